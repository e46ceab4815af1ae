// Recognizing the attention of one layer by the names of its tensors.
#include "io/array_names.hpp"
#include "model/attention_parameters.hpp"
#include "model/prefixes.hpp"

#include <algorithm>
#include <cctype>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace attn::model {

namespace {

std::string name_list(const std::vector<const NameRow*>& rows) {
  std::vector<std::string_view> names;
  for (const NameRow* row : rows) names.push_back(row->name);
  return fmt::format("{}", fmt::join(names, ", "));
}

/// Every scheme that has at least one name under the prefix.
std::vector<SchemeMatch> matches_under(const ParameterFile& file, const std::string& prefix) {
  std::vector<SchemeMatch> matches;
  for (const NamingScheme& scheme : attention_schemes()) {
    SchemeMatch match =
        match_scheme(scheme, [&](std::string_view name) { return file.find(prefix + std::string(name)) != nullptr; });
    if (!match.found.empty()) matches.push_back(std::move(match));
  }
  return matches;
}

/// True when `match` has a weight that `other` does not explain.
bool has_own_weight(const SchemeMatch& match, const SchemeMatch& other) {
  return std::ranges::any_of(match.found, [&](const NameRow* row) {
    const bool explained = std::ranges::any_of(other.found, [&](const NameRow* known) { return known->name == row->name; });
    return row->presence == Presence::required && !explained;
  });
}

/// The one scheme that holds here, or a sentence on why there is none.
struct Verdict {
  const SchemeMatch* match = nullptr;
  std::string problem;
};

Verdict judge(const std::vector<SchemeMatch>& matches) {
  const auto most = std::ranges::max_element(matches, {}, [](const SchemeMatch& m) {
    // A complete set first; among incomplete ones that which is nearest to complete.
    return std::pair(m.complete(), static_cast<std::ptrdiff_t>(m.found.size()) - static_cast<std::ptrdiff_t>(m.missing.size()));
  });
  if (most == matches.end()) return {};
  if (!most->complete())
    return {nullptr, fmt::format("incomplete parameters ({}): found {}; missing {}", most->scheme->name, name_list(most->found),
                                 name_list(most->missing))};
  for (const SchemeMatch& other : matches) {
    if (&other == &*most || !has_own_weight(other, *most)) continue;
    return {nullptr, fmt::format("ambiguous parameters: found {} ({}) and {} ({}), and only one of the two can be meant",
                                 name_list(most->found), most->scheme->name, name_list(other.found), other.scheme->name)};
  }
  for (const NameRow* row : most->found) {
    if (row->presence == Presence::refused)
      return {nullptr, fmt::format("{} is not supported: it puts a learned row behind the keys", row->name)};
  }
  return {&*most, {}};
}

/// A tensor of a set, checked to be one that projections can be computed from.
NamedRole role_of(const ParameterFile& file, const std::string& prefix, const NameRow& row) {
  const std::string name = prefix + std::string(row.name);
  const ArrayEntry& entry = *file.find(name);
  const Location where = location_of(file.path(), name);
  if (!entry.refusal.empty()) throw Error(Status::data, where, entry.refusal);
  if (!entry.dtype || !is_floating(*entry.dtype))
    throw Error(Status::data, where, fmt::format("parameters of the type {} (expected floating-point numbers)", entry.type_name));
  const bool is_matrix = is_weight(row.role);
  if (entry.shape.size() != (is_matrix ? 2U : 1U) || element_count(entry.shape) == 0)
    throw Error(Status::data, where,
                fmt::format("the shape is {} (expected {})", to_string(entry.shape), is_matrix ? "a matrix" : "one dimension"));
  return {.role = row.role, .name = name, .shape = entry.shape, .dtype = *entry.dtype};
}

/// Fills in the widths and checks the shapes against each other.
class WidthCheck {
 public:
  WidthCheck(AttentionSet& set, const std::string& file) : set_(set), file_(file) {}

  void run() {
    set_.output = weight(Role::output_weight, 1);
    if (set_.find(Role::joined_weight) != nullptr) {
      set_.query = set_.key = set_.value = weight(Role::joined_weight, 3);
    } else {
      set_.query = weight(Role::query_weight, 1);
      set_.key = weight(Role::key_weight, 1);
      set_.value = weight(Role::value_weight, 1);
    }
    bias(Role::query_bias, set_.query.out);
    bias(Role::key_bias, set_.key.out);
    bias(Role::value_bias, set_.value.out);
    bias(Role::output_bias, set_.output.out);
    bias(Role::joined_bias, set_.query.out + set_.key.out + set_.value.out);
    const NamedRole* norm = set_.find(Role::query_norm);
    set_.norm_dim = norm == nullptr ? 0 : norm->shape[0];
  }

 private:
  [[nodiscard]] Widths weight(Role role, std::size_t parts) const {
    const NamedRole& tensor = *set_.find(role);
    const bool in_first = set_.scheme->orientation == Orientation::in_out;
    const Widths widths{.in = tensor.shape[in_first ? 0 : 1], .out = tensor.shape[in_first ? 1 : 0]};
    if (widths.out % parts != 0)
      throw Error(Status::data, location_of(file_, tensor.name),
                  fmt::format("{} cannot hold query, key and value side by side: {} output features are no multiple of 3",
                              to_string(tensor.shape), widths.out));
    return {.in = widths.in, .out = widths.out / parts};
  }

  void bias(Role role, std::size_t expected) const {
    const NamedRole* tensor = set_.find(role);
    if (tensor == nullptr || tensor->shape[0] == expected) return;
    throw Error(Status::data, location_of(file_, tensor->name),
                fmt::format("the bias has {} numbers for {} output features", tensor->shape[0], expected));
  }

  AttentionSet& set_;
  const std::string& file_;
};

AttentionSet make_set(const ParameterFile& file, const std::string& prefix, const SchemeMatch& match) {
  AttentionSet set{.prefix = prefix, .scheme = match.scheme, .tensors = {}, .query = {}, .key = {}, .value = {}, .output = {}};
  for (const NameRow* row : match.found) set.tensors.push_back(role_of(file, prefix, *row));
  WidthCheck(set, file.path()).run();
  return set;
}

/// What stands before the name of a weight, for every weight of every scheme in the file.
std::vector<std::string> all_prefixes(const ParameterFile& file) {
  std::set<std::string> found;
  for (const ArrayEntry& entry : file.entries()) {
    for (const NamingScheme& scheme : attention_schemes()) {
      for (const NameRow& row : scheme.rows) {
        if (row.presence != Presence::required || row.role == Role::output_weight || !entry.name.ends_with(row.name)) continue;
        std::string prefix = entry.name.substr(0, entry.name.size() - row.name.size());
        const bool at_boundary = prefix.empty() || std::isalnum(static_cast<unsigned char>(prefix.back())) == 0;
        if (at_boundary) found.insert(std::move(prefix));
      }
    }
  }
  std::vector<std::string> sorted(found.begin(), found.end());
  std::ranges::sort(sorted, natural_less);
  return sorted;
}

/// The complete sets of the file for the end of a message.
std::string other_sets(const ParameterFile& file, const std::string& prefix) {
  std::vector<std::string> prefixes;
  for (const AttentionPlace& place : find_attention(file)) {
    if (place.set && place.prefix != prefix) prefixes.push_back(place.prefix);
  }
  return where_else(file, prefix, prefixes);
}

}  // namespace

const NamedRole* AttentionSet::find(Role role) const noexcept {
  const auto at = std::ranges::find(tensors, role, &NamedRole::role);
  return at == tensors.end() ? nullptr : &*at;
}

bool AttentionSet::has_bias() const noexcept {
  return std::ranges::any_of(tensors, [](const NamedRole& tensor) { return is_bias(tensor.role); });
}

AttentionSet recognize_attention(const ParameterFile& file, const std::string& prefix) {
  std::string used = prefix;
  std::vector<SchemeMatch> matches = matches_under(file, used);
  if (matches.empty() && !prefix.empty()) {
    used = prefix + ".";
    matches = matches_under(file, used);
  }
  if (matches.empty())
    throw Error(Status::data, {file.path()},
                fmt::format("no attention parameters under the prefix {}{}", quoted_prefix(prefix), other_sets(file, prefix)),
                "attn info lists the attention layers of a file; --params-prefix names one");
  const Verdict verdict = judge(matches);
  if (verdict.match == nullptr)
    throw Error(Status::data, {file.path()},
                fmt::format("under the prefix {}: {}{}", quoted_prefix(used), verdict.problem, other_sets(file, used)));
  return make_set(file, used, *verdict.match);
}

std::vector<AttentionPlace> find_attention(const ParameterFile& file) {
  std::vector<AttentionPlace> places;
  for (const std::string& prefix : all_prefixes(file)) {
    const std::vector<SchemeMatch> matches = matches_under(file, prefix);
    const Verdict verdict = judge(matches);
    // A single weight may be anything.
    const bool has_two = std::ranges::any_of(matches, [](const SchemeMatch& match) {
      return std::ranges::count(match.found, Presence::required, &NameRow::presence) > 1;
    });
    if (!has_two) continue;
    AttentionPlace place{.prefix = prefix, .scheme = {}, .set = {}, .problem = verdict.problem};
    if (verdict.match != nullptr) {
      place.scheme = verdict.match->scheme->name;
      try {
        place.set = make_set(file, prefix, *verdict.match);
      } catch (const Error& error) {
        place.problem = error.where().file + ": " + error.what();
      }
    }
    places.push_back(std::move(place));
  }
  return places;
}

}  // namespace attn::model

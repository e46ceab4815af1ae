// Recognizing a transformer layer by the names of its tensors.
#include "io/array_names.hpp"
#include "model/layer_parameters.hpp"
#include "model/prefixes.hpp"

#include <algorithm>
#include <cctype>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace attn::model {

namespace {

/// A name that a scheme may have, behind the prefix of the layer: of one of its attentions (no role), or of the rest.
struct ExpectedName {
  std::string name;
  std::optional<LayerRole> role;
  Presence presence = Presence::required;
  bool is_bias = false;
  std::string_view other_name = {};
};

const NamingScheme& attention_scheme(std::string_view name) {
  const auto at = std::ranges::find(attention_schemes(), name, &NamingScheme::name);
  if (at == attention_schemes().end()) throw Error(Status::defect, fmt::format("no attention scheme is called {}", name));
  return *at;
}

std::vector<ExpectedName> expected_names(const LayerScheme& scheme) {
  std::vector<ExpectedName> names;
  for (const AttentionPart& part : {scheme.attention, scheme.cross}) {
    if (part.prefix.empty()) continue;
    for (const NameRow& row : attention_scheme(part.scheme).rows) {
      const bool bias = is_bias(row.role);
      names.push_back({std::string(part.prefix) + std::string(row.name), std::nullopt, row.presence, bias});
    }
  }
  for (const LayerNameRow& row : scheme.rows)
    names.push_back({std::string(row.name), row.role, row.presence, is_bias(row.role), row.other_name});
  return names;
}

struct FoundName {
  std::string name;  ///< behind the prefix, as the file has it
  std::optional<LayerRole> role;
  Presence presence = Presence::required;
};

/// The names of one scheme that exist under one prefix.
struct LayerMatch {
  const LayerScheme* scheme = nullptr;
  std::vector<FoundName> found;
  std::vector<std::string> missing;

  [[nodiscard]] std::size_t required() const {
    return static_cast<std::size_t>(std::ranges::count(found, Presence::required, &FoundName::presence));
  }
};

LayerMatch match_layer(const ParameterFile& file, const std::string& prefix, const LayerScheme& scheme) {
  LayerMatch match{.scheme = &scheme, .found = {}, .missing = {}};
  std::vector<std::string> absent_biases;
  bool has_bias = false;
  for (const ExpectedName& expected : expected_names(scheme)) {
    const bool is_there = file.find(prefix + expected.name) != nullptr;
    const bool is_older =
        !is_there && !expected.other_name.empty() && file.find(prefix + std::string(expected.other_name)) != nullptr;
    if (is_there || is_older) {
      match.found.push_back({is_there ? expected.name : std::string(expected.other_name), expected.role, expected.presence});
      has_bias = has_bias || expected.is_bias;
    } else if (expected.presence == Presence::required) {
      match.missing.push_back(expected.name);
    } else if (expected.is_bias) {
      absent_biases.push_back(expected.name);
    }
  }
  if (has_bias && scheme.biases_go_together)
    match.missing.insert(match.missing.end(), absent_biases.begin(), absent_biases.end());
  return match;
}

/// The scheme that explains most of what is there: a decoder's layer holds all that an encoder's has, and more. Of two that
/// explain as much, the one that misses less.
LayerMatch best_match(const ParameterFile& file, const std::string& prefix) {
  LayerMatch best;
  for (const LayerScheme& scheme : layer_schemes()) {
    LayerMatch match = match_layer(file, prefix, scheme);
    const auto rank = [](const LayerMatch& m) {
      return std::pair(m.found.size(), -static_cast<std::ptrdiff_t>(m.missing.size()));
    };
    if (!match.found.empty() && (best.scheme == nullptr || rank(match) > rank(best))) best = std::move(match);
  }
  return best;
}

bool is_complete(const LayerMatch& match) {
  return match.scheme != nullptr && match.missing.empty() &&
         std::ranges::none_of(match.found, [](const FoundName& name) { return name.presence == Presence::refused; });
}

/// The prefixes of all complete layers.
std::vector<std::string> layer_prefixes(const ParameterFile& file) {
  std::set<std::string> found;
  for (const ArrayEntry& entry : file.entries()) {
    for (const LayerScheme& scheme : layer_schemes()) {
      // One name that each layer of the scheme has.
      const std::string name = expected_names(scheme).front().name;
      if (!entry.name.ends_with(name)) continue;
      std::string prefix = entry.name.substr(0, entry.name.size() - name.size());
      if (!prefix.empty() && std::isalnum(static_cast<unsigned char>(prefix.back())) != 0) continue;
      if (is_complete(best_match(file, prefix))) found.insert(std::move(prefix));
    }
  }
  std::vector<std::string> sorted(found.begin(), found.end());
  std::ranges::sort(sorted, natural_less);
  return sorted;
}

std::string other_layers(const ParameterFile& file, const std::string& prefix) {
  std::vector<std::string> prefixes = layer_prefixes(file);
  std::erase(prefixes, prefix);
  return where_else(file, prefix, prefixes);
}

LayerTensor tensor_of(const ParameterFile& file, const std::string& prefix, const FoundName& found) {
  const std::string name = prefix + found.name;
  const ArrayEntry& entry = *file.find(name);
  const Location where = location_of(file.path(), name);
  if (!entry.refusal.empty()) throw Error(Status::data, where, entry.refusal);
  if (!entry.dtype || !is_floating(*entry.dtype))
    throw Error(Status::data, where, fmt::format("parameters of the type {} (expected floating-point numbers)", entry.type_name));
  return {.role = *found.role, .name = name, .shape = entry.shape, .dtype = *entry.dtype};
}

/// Fills in the widths and checks the shapes against each other.
class LayerCheck {
 public:
  LayerCheck(LayerSet& set, const std::string& file) : set_(set), file_(file) {}

  void run() {
    using enum LayerRole;
    set_.width = set_.attention.query.in;
    attention(set_.attention, true);
    if (set_.cross) attention(*set_.cross, false);
    const LayerTensor& up = *set_.find(up_weight);
    const bool in_first = set_.scheme->orientation == Orientation::in_out;
    if (up.shape.size() != 2) refuse(up, "a matrix");
    set_.hidden = up.shape[in_first ? 1 : 0];
    for (const LayerTensor& tensor : set_.tensors) {
      const bool up_side = tensor.role == up_weight || tensor.role == gate_weight;
      if (up_side || tensor.role == down_weight) {
        const bool hidden_first = up_side != in_first;
        require(tensor, hidden_first ? Shape{set_.hidden, set_.width} : Shape{set_.width, set_.hidden});
      } else {
        const bool is_hidden = tensor.role == up_bias || tensor.role == gate_bias;
        require(tensor, {is_hidden ? set_.hidden : set_.width});
      }
    }
  }

 private:
  void attention(const AttentionSet& set, bool is_self) const {
    if (set.output.out == set_.width && set.query.in == set_.width &&
        (!is_self || (set.key.in == set_.width && set.value.in == set_.width)))
      return;
    throw Error(
        Status::data, location_of(file_, set.prefix),
        fmt::format("an attention that takes {} features (key {}, value {}) and gives {} is no part of a layer of width {}",
                    set.query.in, set.key.in, set.value.in, set.output.out, set_.width));
  }

  void require(const LayerTensor& tensor, const Shape& shape) const {
    if (tensor.shape != shape || element_count(shape) == 0) refuse(tensor, to_string(shape));
  }

  [[noreturn]] void refuse(const LayerTensor& tensor, const std::string& expected) const {
    throw Error(
        Status::data, location_of(file_, tensor.name),
        fmt::format("the shape is {} (expected {} in a layer of width {})", to_string(tensor.shape), expected, set_.width));
  }

  LayerSet& set_;
  const std::string& file_;
};

LayerSet make_layer(const ParameterFile& file, const std::string& prefix, const LayerMatch& match) {
  LayerSet set;
  set.prefix = prefix;
  set.scheme = match.scheme;
  set.attention = recognize_attention(file, prefix + std::string(match.scheme->attention.prefix));
  if (!match.scheme->cross.prefix.empty())
    set.cross = recognize_attention(file, prefix + std::string(match.scheme->cross.prefix));
  for (const FoundName& found : match.found) {
    if (found.role) set.tensors.push_back(tensor_of(file, prefix, found));
  }
  LayerCheck(set, file.path()).run();
  return set;
}

}  // namespace

const LayerTensor* LayerSet::find(LayerRole role) const noexcept {
  const auto at = std::ranges::find(tensors, role, &LayerTensor::role);
  return at == tensors.end() ? nullptr : &*at;
}

std::vector<std::string> LayerSet::names() const {
  std::vector<std::string> all;
  for (const NamedRole& tensor : attention.tensors) all.push_back(tensor.name);
  if (cross) {
    for (const NamedRole& tensor : cross->tensors) all.push_back(tensor.name);
  }
  for (const LayerTensor& tensor : tensors) all.push_back(tensor.name);
  return all;
}

LayerSet recognize_layer(const ParameterFile& file, const std::string& prefix) {
  std::string used = prefix;
  LayerMatch match = best_match(file, used);
  if (match.scheme == nullptr && !prefix.empty()) {
    used = prefix + ".";
    match = best_match(file, used);
  }
  if (match.scheme == nullptr)
    throw Error(Status::data, {file.path()},
                fmt::format("no parameters of a layer under the prefix {}{}", quoted_prefix(prefix), other_layers(file, prefix)),
                "attn info lists the attention layers of a file; --params-prefix names the layer around one");
  for (const FoundName& found : match.found) {
    if (found.presence == Presence::refused)
      throw Error(Status::data, location_of(file.path(), used + found.name),
                  fmt::format("a layer with {} ({}) has a part that attn layer does not have", found.name, match.scheme->name));
  }
  if (match.missing.empty()) return make_layer(file, used, match);
  std::vector<std::string_view> names;
  for (const FoundName& found : match.found) names.push_back(found.name);
  throw Error(
      Status::data, {file.path()},
      fmt::format("under the prefix {}: incomplete parameters of a layer ({}): found {}; missing {}{}", quoted_prefix(used),
                  match.scheme->name, fmt::join(names, ", "), fmt::join(match.missing, ", "), other_layers(file, used)));
}

}  // namespace attn::model

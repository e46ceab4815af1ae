// What a search for conventions has to say, for people and for programs.
#include "base/counted.hpp"
#include "base/json_number.hpp"
#include "request/identify.hpp"

#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace attn::request {

namespace {

using analysis::Candidate;
using analysis::Convention;
using analysis::Deviation;
using analysis::Identification;

std::string three_digits(double x) { return fmt::format("{:.3g}", x); }

std::string name_of_candidate(const Identification& found, const Candidate& c) {
  if (c.deviations.empty()) return "as-asked";
  std::vector<std::string> names;
  for (const std::size_t d : c.deviations) names.push_back(found.deviations[d].name);
  return fmt::format("{}", fmt::join(names, " + "));
}

std::string sentence_of(const Identification& found, const Candidate& c) {
  if (c.deviations.empty()) return "it is what was asked for";
  std::vector<std::string> sentences;
  for (const std::size_t d : c.deviations) sentences.push_back(found.deviations[d].sentence);
  return fmt::format("{}", fmt::join(sentences, "; and "));
}

/// What makes attn run do the same; nothing where it has no option for it.
std::optional<std::string> flags_of(const Identification& found, const Candidate& c, const char* between) {
  std::vector<std::string> flags;
  for (const std::size_t d : c.deviations) {
    if (found.deviations[d].flags.empty()) return std::nullopt;
    flags.push_back(found.deviations[d].flags);
  }
  return fmt::format("{}", fmt::join(flags, between));
}

/// The inputs that would tell a candidate from the best: those of the deviations that only one of them has.
std::string told_apart_by(const Identification& found, const Candidate& best, const Candidate& other) {
  std::vector<std::size_t> differing;
  std::ranges::set_symmetric_difference(best.deviations, other.deviations, std::back_inserter(differing));
  std::vector<std::string> inputs;
  for (const std::size_t d : differing)
    if (std::ranges::find(inputs, found.deviations[d].told_apart_by) == inputs.end())
      inputs.push_back(found.deviations[d].told_apart_by);
  return fmt::format("{}", fmt::join(inputs, "; and "));
}

std::string_view name_of_kind(engine::MaskKind kind) {
  switch (kind) {
    case engine::MaskKind::keep:
      return "keep";
    case engine::MaskKind::block:
      return "block";
    case engine::MaskKind::add:
      return "add";
  }
  return "";
}

/// The settings of a convention, whether attn run can be asked for them or not.
Json settings_of(const Identified& identified, const Candidate& candidate) {
  Convention c = identified.asked;
  for (const std::size_t d : candidate.deviations) identified.found.deviations[d].apply(c);
  const AttentionOptions& o = c.options;
  const auto side = [](const std::optional<std::int64_t>& s) { return s ? Json(*s) : Json(nullptr); };
  const analysis::PreparedConvention prepared(c);
  Json offsets = prepared.plan.query_offset;
  constexpr std::array<const char*, 3> over{"keys", "queries", "heads"};
  constexpr std::array<const char*, 3> splits{"beside", "viewed", "inside"};
  return {{"score", name_of(o.score)},
          {"scale", prepared.plan.factor * o.temperature},
          {"temperature", o.temperature},
          {"softcap", o.softcap},
          {"softcap_after_mask", c.cap_after_mask},
          {"normalize", name_of(o.normalize)},
          {"softmax_over", over[static_cast<std::size_t>(c.sums_over)]},
          {"mask_type", c.has_mask ? Json(name_of_kind(c.inputs.masks.front().kind)) : Json(nullptr)},
          {"mask_after_softmax", c.mask_after},
          {"hidden_logit", c.big_negative ? Json(-1e9) : Json("-inf")},
          {"causal", o.causal},
          {"window", {side(o.window.left), side(o.window.right)}},
          {"query_offset", std::move(offsets)},
          {"alibi", o.alibi},
          {"rope", name_of(o.rope)},
          {"head_order", c.tiled_heads ? "tiled" : "grouped"},
          {"head_split", splits[static_cast<std::size_t>(c.split)]},
          {"heads_merged", !c.merge_missing},
          {"output_projected", c.projection && c.projects_output},
          {"residual", o.residual}};
}

Json to_json(const Identified& identified, const Candidate& c) {
  const Identification& found = identified.found;
  Json names = Json::array();
  for (const std::size_t d : c.deviations) names.push_back(found.deviations[d].name);
  const auto flags = flags_of(found, c, " ");
  return {{"name", name_of_candidate(found, c)},
          {"deviations", std::move(names)},
          {"sentence", sentence_of(found, c)},
          {"flags", flags ? Json(*flags) : Json(nullptr)},
          {"fits", c.fits},
          {"rows", c.is_confirmed ? "all" : "some"},
          {"rms_error", json_number(c.misfit.root_mean_square())},
          {"max_error", json_number(c.misfit.largest)},
          {"relative_error", json_number(c.misfit.relative())}};
}

}  // namespace

std::string identified_text(const Identified& identified) {
  const Identification& found = identified.found;
  std::string text;
  if (found.best) {
    text += fmt::format("{}: {}\n", name_of_candidate(found, *found.best), sentence_of(found, *found.best));
    const auto flags = flags_of(found, *found.best, ", ");
    if (!flags)
      text += "  attn run has no option for that\n";
    else if (!flags->empty())
      text += fmt::format("  attn run does the same with {}\n", *flags);
    text += fmt::format("  largest difference {}, relative {}, over {}\n", three_digits(found.best->misfit.largest),
                        three_digits(found.best->misfit.relative()), counted(identified.elements, "element", "elements"));
  } else {
    text += fmt::format("no convention fits: {} were tried\n", found.tried);
  }
  if (!found.indistinguishable.empty()) {
    text += "these inputs do not tell it from\n";
    for (const Candidate& c : found.indistinguishable)
      text += fmt::format("  {}: {} (told apart by {})\n", name_of_candidate(found, c), sentence_of(found, c),
                          told_apart_by(found, *found.best, c));
  }
  text += found.best ? "ranking\n" : "the nearest\n";
  for (const Candidate& c : found.candidates)
    text += fmt::format("  {:<42} relative difference {}{}\n", name_of_candidate(found, c), three_digits(c.misfit.relative()),
                        c.is_confirmed ? "" : " on some rows");
  return text;
}

std::string identified_json(const Identified& identified) {
  const Identification& found = identified.found;
  Json best = nullptr;
  if (found.best) {
    best = to_json(identified, *found.best);
    best["options"] = settings_of(identified, *found.best);
  }
  Json candidates = Json::array();
  for (const Candidate& c : found.candidates) candidates.push_back(to_json(identified, c));
  Json equals = Json::array();
  for (const Candidate& c : found.indistinguishable) {
    equals.push_back(to_json(identified, c));
    equals.back()["told_apart_by"] = told_apart_by(found, *found.best, c);
  }
  const Json all{{"best", std::move(best)},      {"candidates", std::move(candidates)}, {"indistinguishable", std::move(equals)},
                 {"tried", found.tried},         {"budget", identified.budget},         {"elements", identified.elements},
                 {"seconds", identified.seconds}};
  return all.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace attn::request

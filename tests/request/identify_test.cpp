// Identification: outputs that independent code made with known deviations are named; noise is not; what is asked for is found.
#include "request/identify.hpp"

#include "request/claim_scenes.hpp"

#include <cmath>
#include <limits>
#include <set>
#include <sstream>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

namespace {

using namespace attn;
using namespace attn::testing;
using Json = nlohmann::json;

request::Identified identify(const Words& arguments, std::size_t threads = 2) {
  Listener listener;
  return request::identify(claim_request(request::identify_table(), arguments),
                           {.reporter = listener, .print = [](std::string_view) {}, .progress = {}, .cores = threads});
}

using Names = std::set<std::string>;

Names names_of(const request::Identified& identified, const analysis::Candidate& candidate) {
  Names names;
  for (const std::size_t d : candidate.deviations) names.insert(identified.found.deviations[d].name);
  return names;
}

/// All that the inputs do not tell apart from the best.
std::set<Names> ties_of(const request::Identified& identified) {
  std::set<Names> ties;
  for (const auto& c : identified.found.indistinguishable) ties.insert(names_of(identified, c));
  return ties;
}

Json cases() { return Json::parse(read_file(kConventions / "cases.json")); }

}  // namespace

TEST_CASE("each deviation and each pair that an independent program made is named") {
  const WorkingDirectory place(kConventions);
  for (const Json& item : cases()) {
    const auto name = item["name"].get<std::string>();
    CAPTURE(name);
    const auto result = identify(joined(item["arguments"].get<Words>(), {"--claim", "claims.npz:" + name}));
    if (item["deviations"].is_null()) {
      CHECK_FALSE(result.found.best.has_value());
      CHECK_FALSE(result.found.candidates.empty());
      continue;
    }
    REQUIRE(result.found.best.has_value());
    const auto expected = item["deviations"].get<std::vector<std::string>>();
    CHECK(names_of(result, *result.found.best) == Names(expected.begin(), expected.end()));
    CHECK(result.found.best->is_confirmed);
    CHECK(result.found.best->misfit.elements == result.elements);
    CHECK(result.found.best->misfit.relative() < 1e-6);
    CHECK(ties_of(result).empty());
  }
}

TEST_CASE("the flags that are named make attn run compute the claim") {
  TemporaryDirectory directory;
  const WorkingDirectory place(kConventions);
  std::size_t tried = 0;
  for (const Json& item : cases()) {
    const auto name = item["name"].get<std::string>();
    CAPTURE(name);
    Words arguments = item["arguments"].get<Words>();
    const auto result = identify(joined(arguments, {"--claim", "claims.npz:" + name}));
    const Json report = Json::parse(request::identified_json(result));
    if (report["best"].is_null() || report["best"]["flags"].is_null()) continue;
    std::istringstream text(report["best"]["flags"].get<std::string>());
    Words flags;
    for (std::string word; text >> word;) flags.push_back(word);
    const auto says_more = [](const std::string& word) {
      return word == "leave" || word == "instead" || word == "attn" || word == "KEY";
    };
    if (std::ranges::any_of(flags, says_more)) continue;
    const std::string out = (directory.path() / "y.npy").string();
    (void)run_inside(joined(joined(arguments, flags), {"-o", out}));
    arguments = joined(joined(arguments, flags), {"--claim", "claims.npz:" + name});
    CHECK(identify(arguments).found.best->deviations.empty());
    ++tried;
  }
  CHECK(tried > 20);
}

TEST_CASE("what attn run computes is what was asked for, or as good as it") {
  const WorkingDirectory place;
  for (std::size_t s = 0; s < kScenes.size(); ++s) {
    const Scene& scene = kScenes[s];
    CAPTURE(shell_text(scene.options));
    write_scene(scene, 500 + s);
    (void)run_inside(with_inputs(scene, {"-o", "y.npy", "--weights", "w.npy", "--engine", "reference"}));
    const auto result = identify(with_inputs(scene, {"--claim", "y.npy", "--claim-weights", "w.npy"}));
    REQUIRE(result.found.best.has_value());
    CHECK(names_of(result, *result.found.best).empty());
    CHECK(result.elements == read_result("y.npy").size() + read_result("w.npy").size());
  }
}

TEST_CASE("a claim that was computed in bfloat16 and widened is taken for what it is") {
  const WorkingDirectory place;
  write_input("q.npy", {.dtype = "float32", .shape = {40, 16}, .seed = 11, .amplitude = 1});
  const Words words{"q.npy"};
  (void)run_inside(joined(words, {"--scale", "1", "-o", "y.npy"}));
  // Rounded to 8 bits of significand, kept as float32.
  const Array exact = read_result("y.npy");
  std::vector<double> rounded;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    int exponent = 0;
    const double fraction = std::frexp(exact.at_flat(i), &exponent);
    rounded.push_back(std::ldexp(std::nearbyint(fraction * 256), exponent - 8));
  }
  write_input("claim.npy", "float32", {40, 16}, rounded);
  const auto found = identify(joined(words, {"--claim", "claim.npy"}));
  CHECK(found.budget == "bf16");
  REQUIRE(found.found.best.has_value());
  CHECK(names_of(found, *found.found.best) == Names{"scale-none"});
  CHECK_FALSE(identify(joined(words, {"--claim", "claim.npy", "--budget", "f32"})).found.best.has_value());
  CHECK(identify(joined(words, {"--claim", "y.npy"})).budget == "f32");
}

TEST_CASE("inputs of ones tell nothing apart, and it is said what would") {
  const WorkingDirectory place(kConventions);
  const auto result = identify({"inputs.npz:ones", "--claim", "inputs.npz:ones"});
  REQUIRE(result.found.best.has_value());
  CHECK(result.found.best->deviations.empty());
  const auto ties = ties_of(result);
  for (const char* name : {"scale-none", "scale-inverted", "score-cosine", "causal-added", "normalize-double-softmax"})
    CHECK(ties.contains({name}));
  CHECK_FALSE(ties.contains({"residual-added"}));
  CHECK_FALSE(ties.contains({"normalize-sigmoid"}));
  const Json shown = Json::parse(request::identified_json(result));
  for (const Json& tie : shown.at("indistinguishable")) CHECK_FALSE(tie["told_apart_by"].get<std::string>().empty());
}

TEST_CASE("weights decide where outputs do not") {
  const WorkingDirectory place;
  // All values are equal, so that any weights that sum to 1 give the same output.
  write_input("q.npy", {.dtype = "float32", .shape = {9, 4}, .seed = 3, .amplitude = 2});
  write_input("v.npy", "float32", {9, 4}, std::vector<double>(36, 0.5));
  const Words words{"-q", "q.npy", "-k", "q.npy", "-v", "v.npy"};
  (void)run_inside(joined(words, {"--scale", "1", "-o", "y.npy", "--weights", "w.npy"}));
  const auto by_output = identify(joined(words, {"--claim", "y.npy"}));
  CHECK(by_output.found.best->deviations.empty());
  CHECK(ties_of(by_output).contains({"scale-none"}));
  const auto by_both = identify(joined(words, {"--claim", "y.npy", "--claim-weights", "w.npy"}));
  CHECK(names_of(by_both, *by_both.found.best) == Names{"scale-none"});
  const auto by_weights = identify(joined(words, {"--claim-weights", "w.npy"}));
  CHECK(names_of(by_weights, *by_weights.found.best) == Names{"scale-none"});
}

TEST_CASE("a query without a key: zero, NaN, or the mean of all values") {
  const WorkingDirectory place;
  const Scene scene{{6, 4}, {6, 4}, {"--causal", "--query-offset", "-2"}};
  write_scene(scene, 81);
  for (const char* policy : {"zero", "nan"}) {
    (void)run_inside(with_inputs(scene, {"-o", "y.npy", "--empty-rows", policy}));
    CHECK(identify(with_inputs(scene, {"--claim", "y.npy"})).found.best->deviations.empty());
  }
  (void)run_inside(with_inputs(scene, {"-o", "y.npy"}));
  const Array y = read_result("y.npy");
  const Array v = read_result("v.npy");
  std::vector<double> values(y.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = y.at_flat(i);
    if (i >= 8) continue;
    values[i] = 0;
    for (std::size_t j = 0; j < 6; ++j) values[i] += v.at_flat(j * 4 + i % 4) / 6;
    values[i] = static_cast<double>(static_cast<float>(values[i]));
  }
  write_input("y.npy", "float32", {6, 4}, values);
  const auto result = identify(with_inputs(scene, {"--claim", "y.npy"}));
  REQUIRE(result.found.best.has_value());
  CHECK(names_of(result, *result.found.best) == Names{"mask-big-negative"});
}

TEST_CASE("a NaN fits nothing") {
  const WorkingDirectory place;
  write_scene(kScenes[0], 82);
  (void)run_inside(with_inputs(kScenes[0], {"-o", "y.npy"}));
  const Array y = read_result("y.npy");
  std::vector<double> values(y.size());
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = y.at_flat(i);
  values[values.size() / 3] = std::numeric_limits<double>::quiet_NaN();
  write_input("y.npy", "float32", y.shape(), values);
  CHECK_FALSE(identify(with_inputs(kScenes[0], {"--claim", "y.npy"})).found.best.has_value());
}

TEST_CASE("PyTorch's bfloat16 outputs are recognized") {
  const WorkingDirectory place(kConventions);
  const std::string file = "torch_bf16.safetensors:";
  const Words words{"-q", file + "q", "-k", file + "k", "-v", file + "v"};
  for (const char* way : {"fused", "math", "composed"}) {
    CAPTURE(way);
    const auto plain = identify(joined(words, {"--claim", file + way}));
    CHECK(plain.budget == "bf16");
    REQUIRE(plain.found.best.has_value());
    CHECK(plain.found.best->deviations.empty());
    const auto causal = identify(joined(words, {"--claim", file + way + "_causal"}));
    REQUIRE(causal.found.best.has_value());
    CHECK(names_of(causal, *causal.found.best) == Names{"causal-added"});
  }
}

TEST_CASE("the result does not depend on threads") {
  const WorkingDirectory place(kConventions);
  const Words words{"inputs.npz:packed", "--heads", "4", "--claim", "claims.npz:merge+unscaled"};
  const auto text = [](request::Identified identified) {
    identified.seconds = 0;
    return request::identified_json(identified);
  };
  const std::string one = text(identify(words, 1));
  for (const std::size_t threads : {std::size_t{2}, std::size_t{5}}) CHECK(text(identify(words, threads)) == one);
}

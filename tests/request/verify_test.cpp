// Verification: what attn and PyTorch compute holds, what is off by one element, one convention or one NaN does not.
#include "request/verify.hpp"

#include "conformance/command.hpp"
#include "conformance/generated_input.hpp"
#include "tools/process.hpp"

#include <cmath>
#include <filesystem>
#include <limits>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

namespace {

using namespace attn;
using namespace attn::testing;
using Json = nlohmann::json;
namespace fs = std::filesystem;

const fs::path kConventions = fs::path(ATTN_TEST_DATA) / "conventions";

/// A working directory, left at the end.
class Place {
 public:
  explicit Place(const fs::path& path = {}) { fs::current_path(path.empty() ? directory_.path() : path); }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() { fs::current_path("/"); }

 private:
  TemporaryDirectory directory_;
};

analysis::Verification verify(const Words& arguments, std::size_t threads = 2) {
  request::ClaimRequest request;
  const auto& table = request::verify_table();
  for (auto word = arguments.begin(); word != arguments.end(); ++word) {
    const auto row = std::ranges::find_if(table, [&](const auto& r) {
      const request::Option& o = r.option;
      return o.positional ? (*word)[0] != '-' : *word == "--" + o.name || (o.letter != 0 && *word == std::string("-") + o.letter);
    });
    REQUIRE_MESSAGE(row != table.end(), *word);
    if (!row->option.positional && !row->option.is_switch()) ++word;
    row->set(request, *word);
  }
  Listener listener;
  return request::verify(request, {.reporter = listener, .print = [](std::string_view) {}, .progress = {}, .cores = threads});
}

/// The NPY file `name` with one element changed.
template <class Change>
void change(const std::string& name, std::size_t index, Change change) {
  const Array array = read_result(name);
  std::vector<double> values(array.size());
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = array.at_flat(i);
  values[index] = change(values[index]);
  write_input(name, "float32", array.shape(), values);
}

struct Scene {
  Shape query;
  Shape key;
  Words options;
};

const std::vector<Scene> kScenes{
    {{2, 4, 13, 8}, {2, 2, 17, 8}, {"--causal", "--query-offset", "end"}},
    {{65, 7}, {65, 7}, {"--window", "5:2"}},
    {{3, 12}, {97, 12}, {"--heads", "3", "--softcap", "2"}},
    {{2, 31, 6}, {2, 31, 6}, {"--alibi", "--normalize", "softmax1"}},
    {{1, 1}, {1, 1}, {}},
    {{40, 5}, {40, 5}, {"--score", "cosine", "--temperature", "0.1"}},
    {{40, 5}, {33, 5}, {"--score", "euclidean"}},
    {{40, 5}, {33, 5}, {"--score", "sqeuclidean", "--normalize", "softmin", "--scale", "0.1"}},
    {{40, 5}, {33, 5}, {"--normalize", "double-softmax"}},
    {{40, 5}, {33, 5}, {"--normalize", "sigmoid", "--bias", "bias.npy"}},
    {{40, 5}, {33, 5}, {"--normalize", "none"}},
    {{40, 5}, {33, 5}, {"--bias", "bias.npy", "--mask", "keep.npy"}},
    {{1, 2, 40, 6}, {1, 2, 33, 6}, {"--rope", "half", "--query-offset", "100000"}},
    {{1, 2, 40, 6}, {1, 2, 33, 6}, {"--rope", "interleaved", "--score", "euclidean"}},
    {{40, 5}, {40, 5}, {"--residual", "--causal"}},
};

void write_scene(const Scene& scene, std::uint64_t seed) {
  write_input("q.npy", {.dtype = "float32", .shape = scene.query, .seed = seed, .amplitude = 2});
  write_input("k.npy", {.dtype = "float32", .shape = scene.key, .seed = seed + 1, .amplitude = 2});
  write_input("v.npy", {.dtype = "float32", .shape = scene.key, .seed = seed + 2, .amplitude = 3});
  write_input("bias.npy", {.dtype = "float32", .shape = {40, 33}, .seed = seed + 3, .amplitude = 4, .hidden = 40});
  write_input("keep.npy", {.dtype = "bool", .shape = {40, 33}, .seed = seed + 4, .dense = 100});
}

Words with_inputs(const Scene& scene, const Words& more) {
  return joined(joined({"-q", "q.npy", "-k", "k.npy", "-v", "v.npy"}, scene.options), more);
}

const Words kClaims{"--claim", "y.npy", "--claim-weights", "w.npy", "--claim-lse", "l.npy"};

std::vector<std::string> holding(const analysis::Verification& v) {
  std::vector<std::string> names;
  for (const auto& verdict : v.verdicts)
    if (verdict.holds()) names.push_back(verdict.what);
  return names;
}

}  // namespace

TEST_CASE("what attn computes in float32 is within f32, and nothing is within an absolute 0") {
  const Place place;
  for (std::size_t s = 0; s < kScenes.size(); ++s) {
    const Scene& scene = kScenes[s];
    CAPTURE(shell_text(scene.options));
    write_scene(scene, 100 + s);
    (void)run_inside(with_inputs(scene, {"-o", "y.npy", "--weights", "w.npy", "--lse", "l.npy"}));
    for (const char* engine : {"tiled", "reference"}) {
      const auto result = verify(with_inputs(scene, joined(kClaims, {"--budget", "f32", "--engine", engine})));
      CHECK(holding(result) == std::vector<std::string>{"output", "weights", "lse"});
      for (const auto& verdict : result.verdicts) {
        CHECK(verdict.elements == read_result(verdict.file).size());
        CHECK(verdict.worst.ratio() >= 0);
      }
    }
    if (read_result("y.npy").size() < 2) continue;
    const auto nothing = verify(with_inputs(scene, joined(kClaims, {"--budget", "0"})));
    CHECK(nothing.verdicts[0].failed > 0);
    CHECK(nothing.verdicts[0].worst.bound == 0);
  }
}

TEST_CASE("float64 is held to float64's own bound") {
  const Place place;
  write_scene(kScenes[0], 9);
  (void)run_inside(with_inputs(
      kScenes[0], {"--dtype", "f64", "-o", "y.npy", "--weights", "w.npy", "--lse", "l.npy", "--engine", "reference"}));
  CHECK(verify(with_inputs(kScenes[0], kClaims)).holds());
  CHECK(verify(with_inputs(kScenes[0], kClaims)).budget == "f64");
  (void)run_inside(with_inputs(kScenes[0], {"-o", "y.npy", "--weights", "w.npy", "--lse", "l.npy"}));
  CHECK_FALSE(verify(with_inputs(kScenes[0], joined(kClaims, {"--budget", "f64"}))).holds());
}

TEST_CASE("one wrong element is found, wherever it is") {
  const Place place;
  for (const std::size_t s : {std::size_t{0}, std::size_t{1}, std::size_t{7}, std::size_t{10}, std::size_t{11}}) {
    const Scene& scene = kScenes[s];
    CAPTURE(shell_text(scene.options));
    write_scene(scene, 300 + s);
    for (const char* name : {"y.npy", "w.npy", "l.npy"}) {
      (void)run_inside(with_inputs(scene, {"-o", "y.npy", "--weights", "w.npy", "--lse", "l.npy"}));
      const std::size_t count = read_result(name).size();
      for (const std::size_t index : {std::size_t{0}, count / 2, count - 1}) {
        for (const double other : {0.05, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
          (void)run_inside(with_inputs(scene, {"-o", "y.npy", "--weights", "w.npy", "--lse", "l.npy"}));
          change(name, index, [&](double x) { return x + other; });
          if (std::isinf(read_result("l.npy").at_flat(std::min(index, read_result("l.npy").size() - 1)))) continue;
          const auto result = verify(with_inputs(scene, joined(kClaims, {"--budget", "f32"})));
          CAPTURE(name);
          CAPTURE(index);
          CAPTURE(other);
          CHECK(holding(result).size() == 2);
          for (const auto& verdict : result.verdicts) {
            if (verdict.file != name) continue;
            CHECK(verdict.failed == 1);
            CHECK(verdict.nan == (std::isnan(other) ? 1 : 0));
            CHECK(verdict.worst.index == index);
          }
        }
      }
    }
  }
}

TEST_CASE("weighted rows are judged pair by pair") {
  const Place place;
  const Scene scene{{4, 5}, {6, 5}, {"--combine", "rows", "--causal", "--query-offset", "-1", "--key-lengths", "5"}};
  write_scene(scene, 77);
  (void)run_inside(with_inputs(scene, {"-o", "y.npy"}));
  CHECK(verify(with_inputs(scene, {"--claim", "y.npy"})).holds());
  for (const std::size_t index : {std::size_t{30}, std::size_t{45}, std::size_t{119}}) {
    (void)run_inside(with_inputs(scene, {"-o", "y.npy"}));
    change("y.npy", index, [](double x) { return x + 1e-3; });
    const auto result = verify(with_inputs(scene, {"--claim", "y.npy"}));
    CHECK(result.verdicts[0].failed == 1);
    CHECK(result.verdicts[0].worst.index == index);
  }
}

TEST_CASE("a query without a key: zeros, or NaN where that was asked for") {
  const Place place;
  const Scene scene{{4, 5}, {4, 5}, {"--causal", "--query-offset", "-2"}};
  write_scene(scene, 78);
  const Words claims = {"--claim", "y.npy", "--claim-weights", "w.npy", "--claim-lse", "l.npy"};
  for (const char* policy : {"zero", "nan"}) {
    (void)run_inside(with_inputs(scene, {"--empty-rows", policy, "-o", "y.npy", "--weights", "w.npy", "--lse", "l.npy"}));
    const auto result = verify(with_inputs(scene, joined(claims, {"--empty-rows", policy})));
    CHECK(result.holds());
    CHECK(result.empty_queries == 2);
    const char* other = std::string(policy) == "nan" ? "zero" : "nan";
    const auto mistaken = verify(with_inputs(scene, joined(claims, {"--empty-rows", other})));
    CHECK(mistaken.verdicts[0].failed == 10);
    CHECK(mistaken.verdicts[0].nan == 10);
    CHECK(mistaken.verdicts[1].failed == 8);
  }
}

TEST_CASE("PyTorch's outputs hold in float32 and bfloat16") {
  const Place place(kConventions);
  for (const auto& [file, budget] : {std::pair{"torch.npz", "f32"}, std::pair{"torch_bf16.safetensors", "bf16"}}) {
    const auto name = [file = file](const char* array) { return std::string(file) + ":" + array; };
    const Words inputs{"-q", name("q"), "-k", name("k"), "-v", name("v")};
    for (const bool causal : {false, true}) {
      const std::string end = causal ? "_causal" : "";
      const Words asked = causal ? joined(inputs, {"--causal"}) : inputs;
      for (const char* way : {"fused", "math", "composed"}) {
        CAPTURE(file);
        CAPTURE(way);
        const auto result = verify(joined(
            asked, {"--claim", name(way) + end, "--claim-weights", name("weights") + end, "--claim-lse", name("lse") + end}));
        CHECK(result.budget == budget);
        CHECK(result.holds());
        // The other reading of the mask does not.
        CHECK_FALSE(verify(joined(inputs, {"--claim", name(way) + "_causal", "--budget", budget})).holds());
      }
    }
  }
}

TEST_CASE("bfloat16 is not within float32, and each deviation is outside of both") {
  const Place place(kConventions);
  const std::string file = "torch_bf16.safetensors:";
  CHECK_FALSE(
      verify({"-q", file + "q", "-k", file + "k", "-v", file + "v", "--claim", file + "fused", "--budget", "f32"}).holds());
  for (const Json& item : Json::parse(read_file("cases.json"))) {
    const auto name = item["name"].get<std::string>();
    CAPTURE(name);
    const Words arguments = joined(item["arguments"].get<Words>(), {"--claim", "claims.npz:" + name});
    const bool is_right = item["deviations"].is_array() && item["deviations"].empty();
    CHECK(verify(joined(arguments, {"--budget", "f32"})).holds() == is_right);
    // A weight of 1/(n+1) and one of 1/n: what bfloat16 rounds is more than that.
    if (name != "softmax1") CHECK(verify(joined(arguments, {"--budget", "bf16"})).holds() == is_right);
  }
}

TEST_CASE("the verdict does not depend on threads") {
  const Place place;
  write_scene(kScenes[0], 5);
  (void)run_inside(with_inputs(kScenes[0], {"-o", "y.npy", "--weights", "w.npy", "--lse", "l.npy"}));
  const auto text = [](analysis::Verification v) {
    v.seconds = 0;
    return analysis::verification_json(v);
  };
  const std::string one = text(verify(with_inputs(kScenes[0], kClaims), 1));
  for (const std::size_t threads : {std::size_t{2}, std::size_t{3}, std::size_t{7}})
    CHECK(text(verify(with_inputs(kScenes[0], kClaims), threads)) == one);
}

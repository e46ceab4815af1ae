// Attention with the parameters of checkpoints, from files to files: every naming scheme against PyTorch in float64, and a real
// model against its own outputs.
#include "model/checkpoint_support.hpp"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <set>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

namespace {

using namespace attn;
using namespace attn::testing;
using Json = nlohmann::json;
namespace fs = std::filesystem;

const std::string kFolder = std::string(ATTN_TEST_DATA) + "/model/";

struct EngineCase {
  const char* name;
  double tolerance;
};
constexpr EngineCase kEngines[] = {{"reference", 2e-6}, {"tiled", 3e-5}};

Json cases() { return Json::parse(read_file(kFolder + "cases.json")); }

/// The arguments of one case, its inputs found in its folder.
Words arguments_of(const Json& entry) {
  Words words;
  for (std::string word : entry["arguments"].get<Words>()) {
    if (word.starts_with("io.npz:")) word = kFolder + entry["name"].get<std::string>() + "/" + word;
    words.push_back(std::move(word));
  }
  return joined(words, {"--params", kFolder + entry["params"].get<std::string>()});
}

Words with_prefix(const Json& entry, const std::string& prefix) {
  return prefix.empty() ? arguments_of(entry) : joined(arguments_of(entry), {"--params-prefix", prefix});
}

/// Entries [first, last) along the length of [batch, heads, length, dim].
Array keys_of(const Array& cache, std::size_t first, std::size_t last) {
  const Shape& s = cache.shape();
  std::vector<float> values;
  for (std::size_t bh = 0; bh < s[0] * s[1]; ++bh) {
    for (std::size_t i = (bh * s[2] + first) * s[3]; i < (bh * s[2] + last) * s[3]; ++i)
      values.push_back(static_cast<float>(cache.at_flat(i)));
  }
  return Array::of<float>({s[0], s[1], last - first, s[3]}, values);
}

}  // namespace

TEST_CASE("each naming scheme computes what PyTorch computes") {
  std::set<std::string> schemes;
  for (const Json& entry : cases()) {
    const auto name = entry["name"].get<std::string>();
    schemes.insert(entry["scheme"].get<std::string>());
    for (const EngineCase& engine : kEngines) {
      CAPTURE(name);
      CAPTURE(engine.name);
      const WorkingDirectory place;
      Words words = joined(with_prefix(entry, entry["prefix"]), {"--engine", engine.name, "--report", "report.json"});
      const auto expected = entry["expected"].get<Words>();
      for (const std::string& flag : expected) words = joined(words, {"--" + flag, flag + ".npy"});
      const std::vector<std::string> warnings = run_inside(words);
      CHECK_MESSAGE(warnings.empty(), warnings.front());
      for (const std::string& flag : expected) {
        CAPTURE(flag);
        check_equal(load(flag + ".npy"), load(kFolder + name + "/io.npz:expected_" + flag), engine.tolerance);
      }
      const Json report = Json::parse(read_file("report.json"));
      CHECK_EQ(report["parameters"]["scheme"], entry["scheme"]);
      CHECK_EQ(report["parameters"]["prefix"], entry["prefix"]);
      CHECK_EQ(report["shape"]["heads"], entry["heads"]);
      CHECK_EQ(report["shape"]["kv_heads"], entry["kv_heads"]);
    }
  }
  CHECK_EQ(schemes.size(), 8);
}

TEST_CASE("neither threads nor other outputs change a bit") {
  for (const Json& entry : cases()) {
    const auto name = entry["name"].get<std::string>();
    for (const EngineCase& engine : kEngines) {
      CAPTURE(name);
      const WorkingDirectory place;
      const Words words = joined(with_prefix(entry, entry["prefix"]), {"--engine", engine.name});
      (void)run_inside(joined(words, {"--threads", "1", "-o", "one.npy"}));
      (void)run_inside(joined(words, {"--threads", "3", "-o", "three.npy", "--weights", "w.npy", "--lse", "l.npy"}));
      CHECK(read_file("one.npy") == read_file("three.npy"));
    }
  }
}

TEST_CASE("a cache of projected keys goes on where it stopped") {
  for (const Json& entry : cases()) {
    if (entry["name"] != "llama" && entry["name"] != "bart") continue;
    const auto name = entry["name"].get<std::string>();
    CAPTURE(name);
    const WorkingDirectory place;
    const std::string io = kFolder + name + "/io.npz:";
    // Four tokens from the cache, two new ones.
    for (const char* side : {"key", "value"})
      write_array({std::string("past-") + side + ".npy", {}}, keys_of(load(io + "expected_present-" + side), 0, 4), {});
    const Array x = load(io + "x");
    const std::size_t width = x.shape()[2];
    std::vector<float> last;
    for (std::size_t b = 0; b < 2; ++b) {
      for (std::size_t i = (b * 6 + 4) * width; i < (b + 1) * 6 * width; ++i) last.push_back(static_cast<float>(x.at_flat(i)));
    }
    write_array({"x.npy", {}}, Array::of<float>({2, 2, width}, last), {});
    Words words = with_prefix(entry, entry["prefix"]);
    words.front() = "x.npy";
    (void)run_inside(joined(words, {"--past-key", "past-key.npy", "--past-value", "past-value.npy", "--present-key", "k.npy",
                                    "--present-value", "v.npy", "-o", "y.npy"}));
    check_equal(load("k.npy"), load(io + "expected_present-key"), 3e-5);
    check_equal(load("v.npy"), load(io + "expected_present-value"), 3e-5);
    const Array y = load("y.npy");
    const Array all = load(io + "expected_output");
    for (std::size_t b = 0; b < 2; ++b) {
      for (std::size_t i = 0; i < 2 * width; ++i)
        CHECK(std::abs(y.at_flat(b * 2 * width + i) - all.at_flat((b * 6 + 4) * width + i)) <= 3e-5);
    }
  }
}

TEST_CASE("what is wrong with the parameters is an error of the data") {
  const Json all = cases();
  const auto named = [&](const char* name) {
    for (const Json& entry : all) {
      if (entry["name"] == name) return entry;
    }
    throw std::runtime_error(name);
  };
  const auto refused = [](const Words& words, Status status, const std::string& part) {
    const WorkingDirectory place;
    CAPTURE(shell_text(words));
    check_refused([&] { (void)run_inside(joined(words, {"-o", "y.npy"})); }, status, part);
    CHECK_FALSE(fs::exists("y.npy"));
  };
  const Json bert = named("bert");
  refused(with_prefix(bert, "bert.encoder.layer.0.attention."), Status::data, "'bert.encoder.layer.1.attention.'");
  refused(arguments_of(bert), Status::data, "'bert.encoder.layer.1.attention.'");
  const Words good = with_prefix(bert, bert["prefix"]);
  refused(joined(good, {"--heads", "5"}), Status::data, "possible: 1, 2, 3, 4, 6, 12");
  refused(joined(good, {"--kv-heads", "1"}), Status::data, "--kv-heads 1");
  refused(joined(good, {"--combine", "rows"}), Status::usage, "--combine rows");
  const std::string llama_x = kFolder + "llama/io.npz:x";
  Words wide = good;
  wide.front() = llama_x;
  refused(wide, Status::data, "is 16 wide, and the parameters take a query of 12");
  refused(joined(good, {"-k", llama_x}), Status::data, "take a key of 12");
  refused(joined(good, {"--max-memory", "1K"}), Status::memory, "--max-memory allows");
  refused({llama_x, "--params-prefix", "x"}, Status::usage, "--params-prefix goes with --params");
}

TEST_CASE("MiniLM: probabilities and projected output of a real layer") {
  const Array probabilities = load(kMinilm + "layer0_io.npz:attention_probs");
  const Array outputs = load(kMinilm + "layer0_io.npz:attention_output");
  const std::vector<std::size_t> lengths{13, 21, 8};
  constexpr std::size_t length = 21;
  constexpr std::size_t width = 384;
  const Words words{"--params", kMinilm + "layer0.safetensors", "--params-prefix", "encoder.layer.0.attention", "--key-lengths",
                    "13,21,8"};
  for (const EngineCase& engine : kEngines) {
    CAPTURE(engine.name);
    const WorkingDirectory place;
    const Words more = joined(words, {"--engine", engine.name});
    CHECK(run_inside(joined(joined({kMinilm + "layer0_io.npz:hidden_in"}, more), {"-o", "y.npy", "--weights", "w.npy"})).empty());
    const Array y = load("y.npy");
    const Array w = load("w.npy");
    REQUIRE(y.shape() == outputs.shape());
    REQUIRE(w.shape() == probabilities.shape());
    double worst = 0;
    const auto compare = [&](const Array& got, const Array& truth, std::size_t i) {
      const double error = std::abs(got.at_flat(i) - truth.at_flat(i));
      if (!(error <= worst)) worst = error;
    };
    for (std::size_t b = 0; b < 3; ++b) {
      for (std::size_t i = 0; i < lengths[b] * width; ++i) compare(y, outputs, b * length * width + i);
      for (std::size_t h = 0; h < 12; ++h) {
        for (std::size_t i = 0; i < lengths[b] * length; ++i) compare(w, probabilities, (b * 12 + h) * length * length + i);
      }
    }
    CAPTURE(worst);
    CHECK(worst <= 2e-5);

    // Whatever stands at padded positions, the real ones do not change by a bit.
    const Array hidden = load(kMinilm + "layer0_io.npz:hidden_in");
    Array spoiled(DType::f32, hidden.shape());
    std::memcpy(spoiled.mutable_data(), hidden.data(), hidden.bytes());
    for (std::size_t b = 0; b < 3; ++b) {
      const auto row = spoiled.mutable_values<float>().subspan(b * length * width, length * width);
      for (float& x : row.subspan(lengths[b] * width)) x = std::numeric_limits<float>::quiet_NaN();
    }
    write_array({"spoiled.npy", {}}, spoiled, {});
    (void)run_inside(joined(joined({"spoiled.npy"}, more), {"-o", "z.npy"}));
    const Array z = load("z.npy");
    for (std::size_t b = 0; b < 3; ++b) {
      const std::size_t at = b * length * width * sizeof(float);
      CHECK(std::memcmp(z.data() + at, y.data() + at, lengths[b] * width * sizeof(float)) == 0);
    }
  }
}

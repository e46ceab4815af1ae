// Transformer layers with the parameters of checkpoints, from files to files: every naming scheme and kind of layer against
// PyTorch in float64, and a real model against its own output.
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

const std::string kFolder = std::string(ATTN_TEST_DATA) + "/layer/";

struct EngineCase {
  const char* name;
  const char* dtype;
  double tolerance;
};
constexpr EngineCase kEngines[] = {
    {"reference", "f32", 2e-6}, {"reference", "f64", 2e-6}, {"tiled", "f32", 3e-5}, {"tiled", "f64", 2e-6}};

Json cases() { return Json::parse(read_file(kFolder + "cases.json")); }

bool is_stack(const Json& entry) { return entry["name"].get<std::string>().starts_with("stack"); }

/// The words for one case but --params-prefix.
Words arguments_of(const Json& entry) {
  const std::string folder = kFolder + entry["name"].get<std::string>() + "/";
  Words words{folder + "io.npz:x", "--params", folder + "model.safetensors"};
  if (entry["memory"]) words = joined(words, {"--memory", folder + "io.npz:memory"});
  return joined(words, entry["arguments"].get<Words>());
}

Words words_of(const Json& entry) {
  const std::string prefix = entry["prefix"].get<std::string>() + (is_stack(entry) ? "layers" : "");
  Words words = joined(arguments_of(entry), {"--params-prefix", prefix});
  return is_stack(entry) ? joined(words, {"--layers", "0..2"}) : words;
}

Json named(const std::string& name) {
  for (const Json& entry : cases()) {
    if (entry["name"] == name) return entry;
  }
  throw std::runtime_error(name);
}

/// The option that writes what is expected under `name`, and its file: the weights of layer 2 of a stack go to weights2.npy.
Words writing(const Words& names) {
  Words words;
  for (const std::string& name : names) {
    if (name.starts_with("weights") && name != "weights") {
      if (name == "weights0") words = joined(words, {"--weights", "weights{}.npy"});
    } else {
      words = joined(words, {"--" + name, name + ".npy"});
    }
  }
  return words;
}

void refused(const Words& words, Status status, const std::string& part) {
  const WorkingDirectory place;
  CAPTURE(shell_text(words));
  check_refused([&] { (void)run_layers_inside(joined(words, {"-o", "y.npy"})); }, status, part);
  CHECK_FALSE(fs::exists("y.npy"));
}

}  // namespace

TEST_CASE("each naming scheme and kind of layer computes what PyTorch computes") {
  std::set<std::string> schemes;
  for (const Json& entry : cases()) {
    const auto name = entry["name"].get<std::string>();
    schemes.insert(entry["scheme"].get<std::string>());
    for (const EngineCase& engine : kEngines) {
      CAPTURE(name);
      CAPTURE(engine.name);
      CAPTURE(engine.dtype);
      const WorkingDirectory place;
      const auto expected = entry["expected"].get<Words>();
      const Words words = joined(joined(words_of(entry), writing(expected)),
                                 {"--engine", engine.name, "--dtype", engine.dtype, "--report", "report.json"});
      const std::vector<std::string> warnings = run_layers_inside(words);
      CHECK_MESSAGE(warnings.empty(), warnings.front());
      for (const std::string& array : expected) {
        CAPTURE(array);
        check_equal(load(array + ".npy"), load(kFolder + name + "/io.npz:expected_" + array), engine.tolerance);
      }
      const Json layer = Json::parse(read_file("report.json"))["layers"].front();
      CHECK_EQ(layer["scheme"], entry["scheme"]);
      CHECK_EQ(layer["heads"], entry["heads"]);
    }
  }
  CHECK_EQ(schemes.size(), 9);
}

TEST_CASE("neither threads nor other outputs change a bit of a layer") {
  for (const Json& entry : cases()) {
    const auto name = entry["name"].get<std::string>();
    for (const EngineCase& engine : kEngines) {
      CAPTURE(name);
      const WorkingDirectory place;
      const Words words = joined(words_of(entry), {"--engine", engine.name, "--dtype", engine.dtype});
      (void)run_layers_inside(joined(words, {"--threads", "1", "-o", "one.npy"}));
      (void)run_layers_inside(joined(joined(words, writing(entry["expected"].get<Words>())),
                                     {"--threads", "3", "-o", "three.npy", "--lse", is_stack(entry) ? "l.npz" : "l.npy"}));
      CHECK(read_file("one.npy") == read_file("three.npy"));
    }
  }
}

TEST_CASE("what stands at padded positions never reaches the others") {
  for (const char* name : {"torch-encoder", "bert", "torch-decoder-pre", "stack"}) {
    CAPTURE(name);
    const WorkingDirectory place;
    const Json entry = named(name);
    const Words words = words_of(entry);
    const auto flag = std::ranges::find(words, "--key-lengths");
    REQUIRE(flag != words.end());
    const std::size_t lengths[] = {static_cast<std::size_t>(flag[1][0] - '0'), static_cast<std::size_t>(flag[1][2] - '0')};
    const Array x = load(words.front());
    const std::size_t length = x.shape()[1];
    const std::size_t width = x.shape()[2];
    Array spoiled(DType::f32, x.shape());
    std::memcpy(spoiled.mutable_data(), x.data(), x.bytes());
    for (std::size_t b = 0; b < 2; ++b) {
      for (float& number :
           spoiled.mutable_values<float>().subspan((b * length + lengths[b]) * width, (length - lengths[b]) * width))
        number = std::numeric_limits<float>::quiet_NaN();
    }
    write_array({"spoiled.npy", {}}, spoiled, {});
    (void)run_layers_inside(joined(words, {"-o", "y.npy"}));
    Words other = words;
    other.front() = "spoiled.npy";
    CHECK(run_layers_inside(joined(other, {"-o", "z.npy"})).empty());
    const Array y = load("y.npy");
    const Array z = load("z.npy");
    for (std::size_t b = 0; b < 2; ++b) {
      const std::size_t at = b * length * width * sizeof(float);
      CHECK(std::memcmp(z.data() + at, y.data() + at, lengths[b] * width * sizeof(float)) == 0);
    }
  }
}

TEST_CASE("layers of no rows, one row, one dimension, half precision and integers") {
  const WorkingDirectory place;
  const auto words = [](const std::string& x) {
    Words all = words_of(named("torch-encoder-no-bias"));
    all.front() = x;
    return joined(all, {"-o", "y.npy", "--weights", "w.npy", "--rollout", "r.npy"});
  };
  const auto shapes_of = [&](const Array& x, const Shape& y, const Shape& w, const Shape& r) {
    CAPTURE(to_string(x.shape()));
    write_array({"x.npy", {}}, x, {});
    (void)run_layers_inside(words("x.npy"));
    CHECK(load("y.npy").shape() == y);
    CHECK(load("w.npy").shape() == w);
    CHECK(load("r.npy").shape() == r);
    for (const char* file : {"y.npy", "w.npy", "r.npy"}) fs::remove(file);
  };
  shapes_of(Array(DType::f32, {0, 12}), {0, 12}, {3, 0, 0}, {0, 0});
  shapes_of(Array(DType::f32, {0, 5, 12}), {0, 5, 12}, {0, 3, 5, 5}, {0, 5, 5});
  shapes_of(Array(DType::f32, {1, 12}), {1, 12}, {3, 1, 1}, {1, 1});
  shapes_of(Array(DType::f32, {12}), {1, 12}, {3, 1, 1}, {1, 1});
  shapes_of(Array(DType::f16, {2, 97, 12}), {2, 97, 12}, {2, 3, 97, 97}, {2, 97, 97});
  shapes_of(Array(DType::i32, {5, 12}), {5, 12}, {3, 5, 5}, {5, 5});
  write_array({"four.npy", {}}, Array(DType::f32, {1, 2, 3, 12}), {});
  refused(words(fs::absolute("four.npy").string()), Status::data, "has heads already");
  write_array({"scalar.npy", {}}, Array(DType::f32, Shape{}), {});
  refused(words(fs::absolute("scalar.npy").string()), Status::data, "a single number");
}

TEST_CASE("a NaN that is no padding is announced, or refused") {
  const Json entry = named("torch-encoder");
  const WorkingDirectory place;
  const Words words = words_of(entry);
  const Array x = load(words.front());
  Array spoiled(DType::f32, x.shape());
  std::memcpy(spoiled.mutable_data(), x.data(), x.bytes());
  spoiled.mutable_values<float>()[12 * 2 + 5] = std::numeric_limits<float>::quiet_NaN();
  write_array({"spoiled.npy", {}}, spoiled, {});
  Words other = words;
  other.front() = "spoiled.npy";
  const auto warnings = run_layers_inside(joined(other, {"-o", "y.npy"}));
  REQUIRE(warnings.size() == 1);
  CHECK(warnings.front().find("row 2, feature 5") != std::string::npos);
  fs::remove("y.npy");
  CHECK_THROWS_AS((void)run_layers_inside(joined(other, {"-o", "y.npy", "--nan", "error"})), Error);
  CHECK_FALSE(fs::exists("y.npy"));
}

TEST_CASE("what is wrong with a layer is an error of the data") {
  const Json bert = named("bert");
  refused(joined(arguments_of(bert), {"--params-prefix", "bert.encoder.layer.2"}), Status::data, "'bert.encoder.layer.1.'");
  refused(joined(arguments_of(bert), {"--params-prefix", "bert.encoder.layer.1.attention"}), Status::data,
          "missing attention.self.query.weight");
  refused(arguments_of(bert), Status::data, "'bert.encoder.layer.1.'");
  const Words good = words_of(bert);
  refused(joined(good, {"--heads", "5"}), Status::data, "possible: 1, 2, 3, 4, 6, 12");
  refused(joined(good, {"--layers", "0..1"}), Status::data, "no parameters of a layer");
  refused(joined(good, {"--memory", good.front()}), Status::data, "no cross-attention");
  refused(joined(good, {"--memory-lengths", "3"}), Status::usage, "--memory-lengths goes with --memory");
  refused(joined(good, {"--cross-weights", "c.npy"}), Status::usage, "--cross-weights goes with --memory");
  refused(joined(good, {"--max-memory", "1K"}), Status::memory, "--max-memory allows");
  refused(joined(good, {"--causal", "--bidirectional"}), Status::usage, "contradict");
  refused(joined(good, {"--norm-eps", "-1"}), Status::usage, "--norm-eps");
  Words wide = good;
  wide.front() = kFolder + "llama/io.npz:x";
  refused(wide, Status::data, "is 20 wide, and the layer takes rows of 12");
  const Json decoder = named("torch-decoder");
  Words alone = words_of(decoder);
  const auto memory = std::ranges::find(alone, "--memory");
  alone.erase(memory, memory + 2);
  const auto lengths = std::ranges::find(alone, "--memory-lengths");
  alone.erase(lengths, lengths + 2);
  refused(alone, Status::usage, "--memory names what it looks at");
  Words other = words_of(decoder);
  *(std::ranges::find(other, "--memory") + 1) = kFolder + "llama/io.npz:x";
  refused(other, Status::data, "takes a memory of 12");
  refused(joined(words_of(named("torch-decoder")), {"--rollout", "r.npy"}), Status::usage, "no meaning with --memory");
  const Words stack = words_of(named("stack"));
  refused(joined(stack, {"--rollout", "r.npy", "--normalize", "none"}), Status::usage, "shares of one");
  refused(joined(stack, {"--rollout", "y.npy"}), Status::usage, "y.npy");
  refused(joined(stack, {"--weights", "w.npy"}), Status::usage, "3 layers cannot all write 'w.npy'");
  refused(joined(stack, {"--layers", "2..0"}), Status::usage, "is empty");
  refused(joined(stack, {"--layers", "0..x"}), Status::usage, "no numbers of layers");
  refused(joined(stack, {"--layers", "0..3"}), Status::data, "under the prefix 'encoder.layers.3.'");
  refused(joined(words_of(named("llama")), {"--rope-scaling", "linear"}), Status::usage, "linear:FACTOR");
  refused(joined(words_of(named("llama")), {"--rope-scaling", "yarn:2"}), Status::usage, "not one of");
}

TEST_CASE("layers of a stack can be named and ordered") {
  const Json entry = named("stack");
  const WorkingDirectory place;
  const Words words = joined(arguments_of(entry), {"--params-prefix", "encoder.layers.{}."});
  (void)run_layers_inside(joined(words, {"--layers", "0..2", "-o", "all.npy", "--weights", "w.npz"}));
  check_equal(load("all.npy"), load(kFolder + "stack/io.npz:expected_output"), 3e-5);
  for (const char* number : {"0", "1", "2"})
    check_equal(load(std::string("w.npz:layer") + number), load(kFolder + "stack/io.npz:expected_weights" + number), 3e-5);
  // One after the other by hand.
  (void)run_layers_inside(joined(words, {"--layers", "0,1", "-o", "two.npy"}));
  Words last = joined(words, {"--layers", "2", "-o", "three.npy"});
  last.front() = "two.npy";
  (void)run_layers_inside(last);
  CHECK(read_file("three.npy") == read_file("all.npy"));
}

TEST_CASE("rollout: shares of one, for every row, and nothing from padding") {
  const Json entry = named("stack");
  const WorkingDirectory place;
  for (const char* layers : {"0", "0..2", "2,1,0,0"}) {
    CAPTURE(layers);
    (void)run_layers_inside(joined(arguments_of(entry), {"--params-prefix", "encoder.layers", "--layers", layers, "--rollout",
                                                         "r.npy", "-o", "none", "--dtype", "f64"}));
    const Array flow = load("r.npy");
    REQUIRE(flow.shape() == Shape{2, 6, 6});
    for (std::size_t row = 0; row < 12; ++row) {
      double sum = 0;
      for (std::size_t j = 0; j < 6; ++j) sum += flow.at_flat(row * 6 + j);
      CHECK(std::abs(sum - 1) <= 1e-12);
    }
    // The second entry has four rows.
    for (std::size_t i = 0; i < 4; ++i) {
      for (std::size_t j = 4; j < 6; ++j) CHECK(flow.at_flat((6 + i) * 6 + j) == 0);
    }
    fs::remove("r.npy");
  }
}

TEST_CASE("a stack of decoder layers is one layer after the other") {
  const Json entry = named("torch-decoder");
  const WorkingDirectory place;
  Words words = joined(arguments_of(entry), {"--params-prefix", "decoder.layers"});
  (void)run_layers_inside(joined(words, {"--layers", "1,1", "-o", "both.npy", "--dtype", "f64"}));
  (void)run_layers_inside(joined(words, {"--layers", "1", "-o", "one.npy", "--dtype", "f64"}));
  words.front() = "one.npy";
  (void)run_layers_inside(joined(words, {"--layers", "1", "-o", "two.npy", "--cross-weights", "w.npy", "--dtype", "f64"}));
  CHECK(read_file("both.npy") == read_file("two.npy"));
}

TEST_CASE("MiniLM: the output of a real layer") {
  const Array truth = load(kMinilm + "layer0_io.npz:layer_out");
  const std::size_t lengths[] = {13, 21, 8};
  constexpr std::size_t length = 21;
  constexpr std::size_t width = 384;
  for (const EngineCase& engine : kEngines) {
    CAPTURE(engine.name);
    const WorkingDirectory place;
    CHECK(run_layers_inside({kMinilm + "layer0_io.npz:hidden_in", "--params", kMinilm + "layer0.safetensors", "--params-prefix",
                             "encoder.layer.0", "--key-lengths", "13,21,8", "--engine", engine.name, "--dtype", engine.dtype,
                             "-o", "y.npy"})
              .empty());
    const Array y = load("y.npy");
    REQUIRE(y.shape() == truth.shape());
    double worst = 0;
    for (std::size_t b = 0; b < 3; ++b) {
      for (std::size_t i = b * length * width; i < (b * length + lengths[b]) * width; ++i) {
        const double error = std::abs(y.at_flat(i) - truth.at_flat(i));
        if (!(error <= worst)) worst = error;
      }
    }
    CHECK(worst <= 2e-5);
  }
}

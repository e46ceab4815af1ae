// Different words for the same problem give the same bytes.
#include "conformance/generated_input.hpp"
#include "conformance/judge.hpp"
#include "properties/scene.hpp"

#include <numeric>

#include <doctest/doctest.h>

namespace {

using namespace attn;
using namespace attn::testing;

const std::vector<std::string> kRows{"output", "lse"};

Words engine_of(std::uint64_t seed) { return {"--engine", seed % 3 == 0 ? "reference" : "tiled"}; }

std::vector<std::size_t> first_keys(std::size_t count) {
  std::vector<std::size_t> index(count);
  std::iota(index.begin(), index.end(), std::size_t{0});
  return index;
}

}  // namespace

TEST_CASE("a batch is its entries one by one") {
  for (std::uint64_t seed = 1; seed <= tries(30); ++seed) {
    INFO("seed ", seed);
    Dice dice(seed);
    const Scene scene = draw_scene(dice, {});
    const Run whole(scene, {"output", "weights", "lse"}, engine_of(seed));
    for (std::size_t b = 0; b < scene.batch(); ++b) {
      INFO("batch entry ", b);
      const Run one(scene.entry(b), {"output", "weights", "lse"}, engine_of(seed));
      for (std::size_t h = 0; h < scene.heads(); ++h) {
        for (std::size_t i = 0; i < scene.q_len(); ++i) {
          CHECK((row_bytes(whole.array("output"), b, h, i) == row_bytes(one.array("output"), 0, h, i)));
          CHECK((row_bytes(whole.array("weights"), b, h, i) == row_bytes(one.array("weights"), 0, h, i)));
        }
      }
    }
  }
}

TEST_CASE("--key-lengths means keys that are not there") {
  for (std::uint64_t seed = 101; seed < 101 + tries(30); ++seed) {
    INFO("seed ", seed);
    Dice dice(seed);
    Scene scene = draw_scene(dice, {});
    const std::size_t length = dice.below(scene.kv_len() - 1) + 1;
    scene.key_lengths.clear();
    const Run shorter(scene.with_keys(first_keys(length)), kRows, engine_of(seed));
    scene.key_lengths.assign(scene.batch(), static_cast<std::int64_t>(length));
    check_same(Run(scene, kRows, engine_of(seed)), shorter, kRows);
  }
}

TEST_CASE("a past and new keys are the joined keys") {
  for (std::uint64_t seed = 201; seed < 201 + tries(30); ++seed) {
    INFO("seed ", seed);
    Dice dice(seed);
    Scene scene = draw_scene(dice, {});
    const std::size_t past = 1 + dice.below(scene.kv_len() - 1);
    scene.offsets.assign(scene.batch(), static_cast<std::int64_t>(past));
    const std::vector<std::string> names{"output", "weights", "lse", "present-key", "present-value"};
    const Run joined_keys(scene, names, engine_of(seed));

    const TemporaryDirectory folder;
    std::vector<std::size_t> late = first_keys(scene.kv_len());
    late.erase(late.begin(), late.begin() + static_cast<std::ptrdiff_t>(past));
    const std::string past_key = (folder.path() / "past_key.npy").string();
    const std::string past_value = (folder.path() / "past_value.npy").string();
    const Tensor old_key = scene.key.select(1, first_keys(past), scene.kv_len());
    const Tensor old_value = scene.value.select(1, first_keys(past), scene.kv_len());
    write_input(past_key, scene.dtype, old_key.shape, old_key.values);
    write_input(past_value, scene.dtype, old_value.shape, old_value.values);
    Scene split = scene;
    split.key = scene.key.select(1, late, scene.kv_len());
    split.value = scene.value.select(1, late, scene.kv_len());
    const Words cache{"--past-key", past_key, "--past-value", past_value};
    check_same(Run(split, names, joined(engine_of(seed), cache)), joined_keys, names);
  }
}

TEST_CASE("grouped heads are repeated heads") {
  for (std::uint64_t seed = 301; seed < 301 + tries(30); ++seed) {
    INFO("seed ", seed);
    Dice dice(seed);
    const Scene scene = draw_scene(dice, {});
    check_same(Run(scene, {"output", "weights", "lse"}, engine_of(seed)),
               Run(scene.with_own_heads(), {"output", "weights", "lse"}, engine_of(seed)), {"output", "weights", "lse"});
  }
}

TEST_CASE("a window that holds everything is none") {
  for (std::uint64_t seed = 401; seed < 401 + tries(12); ++seed) {
    INFO("seed ", seed);
    Dice dice(seed);
    Scene scene = draw_scene(dice, {.positions = false});
    if (seed % 2 == 0) scene.others.emplace_back("--causal");
    const Run none(scene, {"output", "weights", "lse"}, engine_of(seed));
    for (const std::string window : {":", "100000:100000", "9223372036854775807:9223372036854775807", ":500", "500:"}) {
      INFO("--window ", window);
      check_same(Run(scene, {"output", "weights", "lse"}, joined(engine_of(seed), {"--window", window})), none,
                 {"output", "weights", "lse"});
    }
  }
}

TEST_CASE("the order of the keys does not matter beyond rounding") {
  for (std::uint64_t seed = 501; seed < 501 + tries(40); ++seed) {
    INFO("seed ", seed);
    Dice dice(seed);
    Scene scene = draw_scene(dice, {.positions = false});
    scene.key_lengths.clear();
    const Run plain(scene, kRows, engine_of(seed));
    const Run shuffled(scene.with_keys(dice.order(scene.kv_len())), kRows, engine_of(seed));
    for (const std::string& name : kRows) {
      const Array& want = plain.array(name);
      std::vector<double> values;
      for (std::size_t i = 0; i < want.size(); ++i) values.push_back(want.at_flat(i));
      const double tolerance = scene.dtype == "float64" ? 1e-13 : 1e-5;
      const Judgement judgement = judge_by_largest(shuffled.array(name), values, {}, largest_of(want), tolerance);
      INFO(name);
      CHECK_MESSAGE(judgement.defect.empty(), judgement.defect);
    }
  }
}

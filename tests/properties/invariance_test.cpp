// What must not change a single byte: threads, vector instructions, other outputs, another run.
#include "conformance/generated_input.hpp"
#include "engine/engine.hpp"
#include "properties/scene.hpp"

#include <fstream>
#include <sstream>

#include <doctest/doctest.h>
#include <fmt/format.h>

namespace {

using namespace attn;
using namespace attn::testing;

const std::vector<std::string> kAll{"output", "weights", "scores", "lse"};

std::string engine_of(std::uint64_t seed) { return seed % 4 == 0 ? "reference" : "tiled"; }

/// FNV-1a, 64 bits.
std::uint64_t fingerprint(const std::string& bytes) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

}  // namespace

TEST_CASE("the number of threads changes no byte, and a second run neither") {
  for (std::uint64_t seed = 1; seed <= tries(24); ++seed) {
    INFO("seed ", seed);
    Dice dice(seed);
    const Scene scene = draw_scene(dice, {});
    const Words engine{"--engine", engine_of(seed), "--scores-stage", "masked"};
    const Run one(scene, kAll, joined(engine, {"--threads", "1"}));
    check_same(one, Run(scene, kAll, joined(engine, {"--threads", "1"})), kAll, "again");
    check_same(one, Run(scene, kAll, joined(engine, {"--threads", "2"})), kAll, "2 threads");
    check_same(one, Run(scene, kAll, joined(engine, {"--threads", "3"})), kAll, "3 threads");
  }
}

TEST_CASE("asking for more outputs changes no byte of any of them") {
  for (std::uint64_t seed = 101; seed < 101 + tries(16); ++seed) {
    INFO("seed ", seed);
    Dice dice(seed);
    const Scene scene = draw_scene(dice, {});
    const Words engine{"--engine", engine_of(seed)};
    const Run whole(scene, {"output", "weights", "lse", "present-key", "present-value"}, joined(engine, {"--report", "report"}));
    for (std::size_t set = 1; set < 8; ++set) {
      std::vector<std::string> names;
      for (std::size_t k = 0; k < 3; ++k) {
        if ((set >> k & 1) != 0) names.push_back(kAll[k == 2 ? 3 : k]);
      }
      check_same(whole, Run(scene, names, engine), names, fmt::format("set {}", set));
    }
    for (const std::string stage : {"raw", "capped", "masked"}) {
      const Words with_stage = joined(engine, {"--scores-stage", stage});
      const Run scores(scene, {"scores"}, with_stage);
      const Run everything(scene, kAll, joined(with_stage, {"--report", "report"}));
      check_same(scores, everything, {"scores"}, "scores " + stage);
      check_same(whole, everything, {"output", "weights", "lse"}, "with scores " + stage);
    }
  }
}

TEST_CASE("the vector instructions change no byte") {
  const std::vector<std::string> names = engine::available_isas();
  REQUIRE(!names.empty());
  for (std::uint64_t seed = 201; seed < 201 + tries(40); ++seed) {
    INFO("seed ", seed);
    Dice dice(seed);
    const Scene scene = draw_scene(dice, {});
    const Words tiled{"--engine", "tiled", "--scores-stage", "masked"};
    const Run best(scene, kAll, tiled);
    for (const std::string& name : names) check_same(best, Run(scene, kAll, joined(tiled, {"--isa", name})), kAll, name);
  }
}

TEST_CASE("fixed inputs give the bytes that they have always given") {
  // RoPE and ALiBi are left out: their angles and slopes come from the mathematics library of the system.
  std::ostringstream found;
  for (std::uint64_t seed = 301; seed < 325; ++seed) {
    Dice dice(seed);
    Scene scene = draw_scene(dice, {.positions = false});
    if (seed % 2 == 0) scene.others.emplace_back("--causal");
    const Run run(scene, kAll, {"--engine", "tiled", "--scores-stage", "masked"});
    std::string bytes;
    for (const std::string& name : kAll) bytes += run.bytes(name);
    found << fmt::format("{} {:016x}\n", seed, fingerprint(bytes));
  }
  const std::string path = std::string(ATTN_TEST_DATA) + "/fingerprints.txt";
  std::ostringstream known;
  known << std::ifstream(path).rdbuf();
  INFO("a change of the tiled engine's arithmetic must be meant; then these lines go to ", path);
  CHECK_EQ(known.str(), found.str());
}

// Masked means absent: whatever stands in a masked place reaches no other row, and no output at all when nobody sees it.
#include "properties/scene.hpp"

#include <cmath>
#include <limits>

#include <doctest/doctest.h>

namespace {

using namespace attn;
using namespace attn::testing;

const std::vector<std::string> kAll{"output", "weights", "scores", "lse"};
const std::vector<double> kPoison{std::nan(""), std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity(),
                                  3e38, 0};

Words engine_of(std::uint64_t seed) { return {"--engine", seed % 3 == 0 ? "reference" : "tiled", "--scores-stage", "masked"}; }

bool sees(const Run& run, std::size_t b, std::size_t h, std::size_t i, std::size_t j) {
  const Array& scores = run.array("scores");
  const Shape& s = scores.shape();
  return !std::isinf(scores.at_flat(((b * s[1] + h) * s[2] + i) * s[3] + j));
}

bool nobody_sees(const Scene& scene, const Run& run, std::size_t b, std::size_t kv_head, std::size_t j) {
  const std::size_t group = scene.heads() / scene.kv_heads();
  for (std::size_t h = kv_head * group; h < (kv_head + 1) * group; ++h) {
    for (std::size_t i = 0; i < scene.q_len(); ++i) {
      if (sees(run, b, h, i, j)) return false;
    }
  }
  return true;
}

void fill_row(Tensor& tensor, std::size_t b, std::size_t h, std::size_t j, double value) {
  const Shape& s = tensor.shape;
  for (std::size_t c = 0; c < s[3]; ++c) tensor.values[((b * s[1] + h) * s[2] + j) * s[3] + c] = value;
}

/// Rows of query heads that do not see key j of kv_head must be the same in both runs.
void check_blind_rows(const Scene& scene, const Run& clean, const Run& poisoned, std::size_t b, std::size_t kv_head,
                      std::size_t j) {
  for (std::size_t b2 = 0; b2 < scene.batch(); ++b2) {
    for (std::size_t h = 0; h < scene.heads(); ++h) {
      const bool reads = b2 == b && h / (scene.heads() / scene.kv_heads()) == kv_head;
      for (std::size_t i = 0; i < scene.q_len(); ++i) {
        if (reads && sees(clean, b2, h, i, j)) continue;
        INFO("batch ", b2, ", head ", h, ", query ", i);
        for (const char* name : {"output", "weights", "scores"})
          CHECK((row_bytes(clean.array(name), b2, h, i) == row_bytes(poisoned.array(name), b2, h, i)));
        const std::size_t row = (b2 * scene.heads() + h) * scene.q_len() + i;
        CHECK(clean.array("lse").at_flat(row) == poisoned.array("lse").at_flat(row));
      }
    }
  }
}

}  // namespace

TEST_CASE("keys that no query sees may hold anything") {
  for (std::uint64_t seed = 1; seed <= tries(40); ++seed) {
    INFO("seed ", seed);
    Dice dice(seed);
    Scene scene = draw_scene(dice, {});
    const Run clean(scene, kAll, engine_of(seed));
    for (std::size_t b = 0; b < scene.batch(); ++b) {
      for (std::size_t h = 0; h < scene.kv_heads(); ++h) {
        for (std::size_t j = 0; j < scene.kv_len(); ++j) {
          if (!nobody_sees(scene, clean, b, h, j)) continue;
          fill_row(scene.key, b, h, j, dice.pick(kPoison));
          fill_row(scene.value, b, h, j, dice.pick(kPoison));
        }
      }
    }
    const Run poisoned(scene, kAll, engine_of(seed));
    for (const std::string& name : kAll) {
      INFO(name);
      CHECK((clean.bytes(name) == poisoned.bytes(name)));
    }
    // Nothing that is hidden deserves a word either.
    CHECK_EQ(clean.messages(), poisoned.messages());
  }
}

TEST_CASE("a NaN key reaches the queries that see it and no other") {
  for (std::uint64_t seed = 101; seed < 101 + tries(40); ++seed) {
    INFO("seed ", seed);
    Dice dice(seed);
    Scene scene = draw_scene(dice, {});
    const Run clean(scene, kAll, engine_of(seed));
    const std::size_t b = dice.below(scene.batch());
    const std::size_t kv_head = dice.below(scene.kv_heads());
    const std::size_t j = dice.below(scene.kv_len());
    INFO("key ", j, " of batch ", b, ", key head ", kv_head);
    fill_row(scene.key, b, kv_head, j, std::nan(""));
    fill_row(scene.value, b, kv_head, j, std::nan(""));
    const Run poisoned(scene, kAll, engine_of(seed));
    check_blind_rows(scene, clean, poisoned, b, kv_head, j);
    const std::size_t group = scene.heads() / scene.kv_heads();
    bool seen = false;
    for (std::size_t h = kv_head * group; h < (kv_head + 1) * group; ++h) {
      for (std::size_t i = 0; i < scene.q_len(); ++i) {
        if (!sees(clean, b, h, i, j)) continue;
        seen = true;
        const std::size_t width = scene.value.shape[3];
        const std::size_t at = ((b * scene.heads() + h) * scene.q_len() + i) * width;
        for (std::size_t c = 0; c < width; ++c) CHECK(std::isnan(poisoned.array("output").at_flat(at + c)));
      }
    }
    CHECK_EQ(poisoned.messages().find("NaN") != std::string::npos, seen);
  }
}

TEST_CASE("a NaN query reaches its own row only") {
  for (std::uint64_t seed = 201; seed < 201 + tries(20); ++seed) {
    INFO("seed ", seed);
    Dice dice(seed);
    Scene scene = draw_scene(dice, {});
    const Run clean(scene, kAll, engine_of(seed));
    const std::size_t b = dice.below(scene.batch());
    const std::size_t h = dice.below(scene.heads());
    const std::size_t i = dice.below(scene.q_len());
    fill_row(scene.query, b, h, i, std::nan(""));
    const Run poisoned(scene, kAll, engine_of(seed));
    for (std::size_t row = 0; row < scene.batch() * scene.heads() * scene.q_len(); ++row) {
      if (row == (b * scene.heads() + h) * scene.q_len() + i) continue;
      INFO("row ", row);
      const std::size_t head = row / scene.q_len();
      for (const char* name : {"output", "weights", "scores"})
        CHECK((row_bytes(clean.array(name), head / scene.heads(), head % scene.heads(), row % scene.q_len()) ==
               row_bytes(poisoned.array(name), head / scene.heads(), head % scene.heads(), row % scene.q_len())));
    }
  }
}

TEST_CASE("corners of an additive mask that something else hides may hold anything") {
  for (std::uint64_t seed = 301; seed < 301 + tries(20); ++seed) {
    INFO("seed ", seed);
    Dice dice(seed);
    Scene scene = draw_scene(dice, {.masks = false});
    scene.others.emplace_back("--causal");
    scene.key_lengths.assign(scene.batch(), static_cast<std::int64_t>(1 + dice.below(scene.kv_len())));
    scene.bias = {{scene.batch(), scene.heads(), scene.q_len(), scene.kv_len()}, {}};
    for (std::size_t n = element_count(scene.bias.shape); n > 0; --n)
      scene.bias.values.push_back(static_cast<double>(dice.below(64)) / 16 - 2);
    const Run clean(scene, kAll, engine_of(seed));
    for (std::size_t n = 0; n < scene.bias.values.size(); ++n) {
      if (std::isinf(clean.array("scores").at_flat(n))) scene.bias.values[n] = dice.pick(kPoison);
    }
    const Run poisoned(scene, kAll, engine_of(seed));
    for (const std::string& name : kAll) {
      INFO(name);
      CHECK((clean.bytes(name) == poisoned.bytes(name)));
    }
  }
}

TEST_CASE("causal rows do not depend on later keys, not even on their being there") {
  for (std::uint64_t seed = 401; seed < 401 + tries(24); ++seed) {
    INFO("seed ", seed);
    Dice dice(seed);
    Scene scene = draw_scene(dice, {});
    scene.others.emplace_back("--causal");
    scene.key_lengths.clear();
    const std::size_t kept = 1 + dice.below(scene.kv_len() - 1);
    std::vector<std::size_t> index;
    for (std::size_t j = 0; j < kept; ++j) index.push_back(j);
    const Run whole(scene, {"output", "lse"}, engine_of(seed));
    const Run prefix(scene.with_keys(index), {"output", "lse"}, engine_of(seed));
    for (std::size_t b = 0; b < scene.batch(); ++b) {
      for (std::size_t h = 0; h < scene.heads(); ++h) {
        for (std::size_t i = 0; i < scene.q_len(); ++i) {
          if (scene.offsets[b] + static_cast<std::int64_t>(i) >= static_cast<std::int64_t>(kept)) continue;
          INFO("batch ", b, ", head ", h, ", query ", i, " of ", scene.q_len(), ", ", kept, " keys kept");
          CHECK((row_bytes(whole.array("output"), b, h, i) == row_bytes(prefix.array("output"), b, h, i)));
        }
      }
    }
  }
}

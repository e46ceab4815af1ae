// Masks: rows against the plan element by element, recognized flags against what makes them, mistakes, pictures.
#include "analysis/mask_facts.hpp"
#include "analysis/mask_pattern.hpp"
#include "analysis/mask_picture.hpp"
#include "analysis/mask_rows.hpp"
#include "base/philox.hpp"
#include "io/support.hpp"

#include <functional>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

using namespace attn;
using namespace attn::analysis;
using test::contains;

namespace {

/// A mask by a rule written out in the test.
class RuleMask final : public MaskRows {
 public:
  using Rule = std::function<bool(std::size_t b, std::size_t h, std::int64_t i, std::int64_t j)>;
  RuleMask(MaskSize size, Rule rule) : size_(size), rule_(std::move(rule)) {}
  [[nodiscard]] MaskSize size() const override { return size_; }
  void row(std::size_t b, std::size_t h, std::size_t i, std::span<bool> keys) const override {
    for (std::size_t j = 0; j < keys.size(); ++j)
      keys[j] = rule_(b, h, static_cast<std::int64_t>(i), static_cast<std::int64_t>(j));
  }

 private:
  MaskSize size_;
  Rule rule_;
};

MaskFacts square(std::size_t n, std::function<bool(std::int64_t, std::int64_t)> rule) {
  return mask_facts(
      RuleMask({.queries = n, .keys = n}, [=](std::size_t, std::size_t, std::int64_t i, std::int64_t j) { return rule(i, j); }));
}

bool finds(const MaskFacts& facts, const std::string& part) {
  return std::ranges::any_of(facts.findings, [&](const std::string& finding) { return contains(finding, part); });
}

engine::Plan blank_plan(std::size_t queries, std::size_t keys) {
  engine::Plan plan;
  plan.dims = {.batch = 2, .heads = 2, .kv_heads = 2, .q_len = queries, .kv_len = keys, .head_dim = 1, .value_dim = 1};
  plan.query_offset = {0, 3};
  plan.key_length = {keys, keys / 2};
  return plan;
}

}  // namespace

TEST_CASE("rows of plans are what the plans show, pair by pair, alone and combined") {
  for (const std::size_t queries : {1U, 2U, 7U, 17U}) {
    for (const std::size_t keys : {1U, 5U, 8U, 33U}) {
      engine::Plan causal = blank_plan(queries, keys);
      causal.options.causal = true;
      causal.options.window.left = 4;
      engine::Plan segments = blank_plan(queries, keys);
      segments.segments.query_stride = 0;
      for (std::size_t i = 0; i < queries; ++i) segments.segments.query.push_back(static_cast<std::int64_t>(i / 3));
      for (std::size_t j = 0; j < keys; ++j) segments.segments.key.push_back(static_cast<std::int64_t>(j / 3));
      engine::Plan masked = blank_plan(queries, keys);
      std::vector<double> bias(2 * queries * keys);
      for (std::size_t i = 0; i < bias.size(); ++i) bias[i] = i % 3 == 0 ? -std::numeric_limits<double>::infinity() : -1e9;
      engine::MaskPart part;
      part.kind = engine::MaskKind::add;
      part.array = Array::of<double>({2, queries, keys}, bias).converted(DType::f32);
      part.stride[1] = queries * keys;
      part.stride[2] = keys;
      part.stride[3] = 1;
      part.key_count = keys;
      masked.masks.push_back(part);
      const auto all = planned_mask({{causal}, {segments, masked}}, Combination::all);
      const auto any = planned_mask({{causal}, {segments, masked}}, Combination::any);
      const auto none = planned_mask({{causal}, {segments, masked}}, Combination::none);
      std::vector<char> memory(keys);
      const std::span<bool> row(reinterpret_cast<bool*>(memory.data()), keys);
      for (std::size_t b = 0; b < 2; ++b) {
        for (std::size_t h = 0; h < 2; ++h) {
          for (std::size_t i = 0; i < queries; ++i) {
            for (std::size_t j = 0; j < keys; ++j) {
              const bool first = causal.visible(b, h, i, j);
              const bool second = segments.visible(b, h, i, j) && masked.visible(b, h, i, j);
              INFO("batch " << b << " head " << h << " pair " << i << "," << j);
              all->row(b, h, i, row);
              REQUIRE(row[j] == (first && second));
              any->row(b, h, i, row);
              REQUIRE(row[j] == (first || second));
              none->row(b, h, i, row);
              REQUIRE(row[j] == !(first || second));
            }
          }
        }
      }
    }
  }
}

TEST_CASE("counts are those of the mask") {
  const MaskFacts facts = mask_facts(RuleMask({.batch = 2, .heads = 3, .queries = 5, .keys = 7},
                                              [](std::size_t b, std::size_t h, std::int64_t i, std::int64_t j) {
                                                if (b == 1 && h == 2 && i == 4) return false;
                                                return j <= i;
                                              }));
  CHECK(facts.visible == 6 * 15 - 5);
  CHECK(facts.fewest == 0);
  CHECK(facts.most == 5);
  CHECK(facts.median == 3);
  CHECK(facts.empty_rows == 1);
  CHECK(facts.first_empty == 29);
  std::size_t queries = 0;
  for (const std::size_t bar : facts.bars) queries += bar;
  CHECK(queries == 30);
  const auto json = nlohmann::json::parse(mask_facts_json("m", facts, {"r"}));
  CHECK(json["empty_queries"] == 1);
  CHECK(json["keys_per_query"]["max"] == 5);
  CHECK(contains(mask_facts_text("m", facts, {}), "1 query, the first is [1, 2, 4]"));
  const MaskFacts none = mask_facts(RuleMask({.queries = 0, .keys = 0}, [](auto, auto, auto, auto) { return true; }));
  CHECK(none.bars.empty());
  CHECK(nlohmann::json::parse(mask_facts_json("m", none, {}))["visible_share"] == 0);
}

TEST_CASE("masks that flags make are recognized by those flags") {
  CHECK(finds(square(7, [](auto i, auto j) { return j <= i; }), "equals --causal"));
  CHECK(square(7, [](auto i, auto j) { return j <= i; }).findings.size() == 1);
  CHECK(finds(square(9, [](auto i, auto j) { return j <= i && j >= i - 2; }), "equals --causal --window 2:"));
  CHECK(finds(square(9, [](auto i, auto j) { return j <= i + 1 && j >= i - 2; }), "equals --window 2:1"));
  CHECK(finds(square(9, [](auto i, auto j) { return j >= i - 3; }), "equals --window 3:"));
  CHECK(finds(square(9, [](auto, auto j) { return j < 4; }), "equals --key-lengths 4"));
  CHECK(finds(square(9, [](auto i, auto j) { return j < 4 && j <= i; }), "equals --causal --key-lengths 4"));
  CHECK(finds(square(9, [](auto, auto) { return true; }), "hides nothing"));
  CHECK(finds(square(9, [](auto, auto) { return false; }), "hides everything"));
  CHECK(finds(square(9, [](auto i, auto j) { return i / 4 == j / 4; }), "equals --block-size 4"));
  CHECK(finds(square(9, [](auto i, auto j) { return i / 4 == j / 4 && j <= i; }), "equals --block-size 4 --causal"));
  CHECK(finds(square(9, [](auto i, auto j) { return (i < 2) == (j < 2); }), "equals --segments of lengths 2,7"));
  CHECK(square(9, [](auto i, auto j) { return i == j || j % 2 == 0; }).findings.empty());
}

TEST_CASE("rectangles say where the first query stands") {
  const auto facts = [](std::int64_t offset) {
    return mask_facts(RuleMask({.queries = 4, .keys = 6},
                               [=](std::size_t, std::size_t, std::int64_t i, std::int64_t j) { return j <= i + offset; }));
  };
  CHECK(finds(facts(0), "equals --causal --query-offset 0"));
  CHECK(finds(facts(2), "equals --causal --query-offset end"));
  CHECK(finds(facts(1), "equals --causal --query-offset 1"));
}

TEST_CASE("mistakes are recognized") {
  CHECK(finds(square(6, [](auto i, auto j) { return j > i; }), "diagonal hidden: looks inverted"));
  CHECK(finds(square(6, [](auto i, auto j) { return j >= i; }), "transpose of a causal mask"));
  CHECK(finds(square(6, [](auto i, auto j) { return j < i; }), "diagonal excluded"));
  CHECK(finds(square(6, [](auto i, auto j) { return i != j; }), "diagonal hidden"));
  CHECK_FALSE(finds(square(6, [](auto i, auto j) { return j <= i; }), "diagonal"));
}

TEST_CASE("matrices of a batch are put together") {
  const std::size_t lengths[] = {3, 6, 1};
  const MaskSize size{.batch = 3, .heads = 2, .queries = 5, .keys = 6};
  const MaskFacts padded = mask_facts(RuleMask(
      size, [&](std::size_t b, std::size_t, std::int64_t, std::int64_t j) { return j < static_cast<std::int64_t>(lengths[b]); }));
  CHECK(finds(padded, "equals --key-lengths 3,6,1"));
  const MaskFacts mixed = mask_facts(
      RuleMask(size, [](std::size_t b, std::size_t, std::int64_t i, std::int64_t j) { return b == 0 ? j <= i : j % 2 == 0; }));
  CHECK(finds(mixed, "2 matrices: equals --causal --query-offset 0"));
  CHECK(finds(mixed, "4 matrices: no flags make it"));
}

TEST_CASE("whatever options make, the recognized flags make the same mask") {
  // Options drawn at random; the recognized ones may differ, the mask may not.
  constexpr std::uint64_t seed = 17;
  const RandomWords words(seed, 0);
  std::size_t recognized = 0;
  for (std::uint64_t k = 0; k < 3000; ++k) {
    auto draw = [&, n = std::uint32_t{0}](std::int64_t low, std::int64_t high) mutable {
      return low + static_cast<std::int64_t>(words.pair(k, n++)[0] % static_cast<std::uint64_t>(high - low + 1));
    };
    const auto queries = static_cast<std::size_t>(draw(1, 9));
    const auto keys = static_cast<std::size_t>(draw(1, 9));
    engine::Plan plan;
    plan.dims = {.batch = 1, .heads = 1, .kv_heads = 1, .q_len = queries, .kv_len = keys, .head_dim = 1, .value_dim = 1};
    plan.query_offset = {draw(-3, 8)};
    plan.key_length = {static_cast<std::size_t>(draw(0, static_cast<std::int64_t>(keys)))};
    plan.options.causal = draw(0, 1) == 1;
    if (draw(0, 1) == 1) plan.options.window.left = draw(0, 5);
    if (draw(0, 1) == 1) plan.options.window.right = draw(0, 5);
    const auto mask = planned_mask({{plan}}, Combination::all);
    std::vector<RowShape> rows;
    std::vector<char> memory(keys);
    const std::span<bool> row(reinterpret_cast<bool*>(memory.data()), keys);
    for (std::size_t i = 0; i < queries; ++i) {
      mask->row(0, 0, i, row);
      rows.push_back(RowShape::of(row, i));
    }
    const MaskPattern pattern = recognize(rows, keys);
    INFO("seed " << seed << " draw " << k << ": " << pattern.flags);
    if (pattern.flags.empty() && !pattern.key_length && !pattern.plain) continue;
    if (contains(pattern.flags, "segments") || contains(pattern.flags, "block")) continue;
    ++recognized;
    engine::Plan again;
    again.dims = plan.dims;
    again.key_length = {pattern.key_length.value_or(keys)};
    again.query_offset = {0};
    const auto after = [&](const std::string& flag) {
      const std::size_t at = pattern.flags.find(flag);
      return at == std::string::npos
                 ? std::string()
                 : pattern.flags.substr(at + flag.size(), pattern.flags.find(' ', at + flag.size()) - at - flag.size());
    };
    again.options.causal = contains(pattern.flags, "--causal");
    if (const std::string window = after("--window "); !window.empty()) {
      const std::size_t colon = window.find(':');
      if (colon > 0) again.options.window.left = std::stoll(window.substr(0, colon));
      if (colon + 1 < window.size()) again.options.window.right = std::stoll(window.substr(colon + 1));
    }
    if (const std::string offset = after("--query-offset "); offset == "end") {
      again.query_offset = {static_cast<std::int64_t>(again.key_length[0]) - static_cast<std::int64_t>(queries)};
    } else if (!offset.empty()) {
      again.query_offset = {std::stoll(offset)};
    }
    for (std::size_t i = 0; i < queries; ++i) {
      for (std::size_t j = 0; j < keys; ++j) REQUIRE(again.visible(0, 0, i, j) == plan.visible(0, 0, i, j));
    }
  }
  CHECK(recognized > 1500);
}

TEST_CASE("pictures fit their width and show none and all for what they are") {
  for (const std::size_t n : {1U, 2U, 39U, 40U, 41U, 77U, 79U, 100U, 1000U}) {
    for (const std::size_t width : {1U, 3U, 20U, 80U, 200U}) {
      for (const bool unicode : {false, true}) {
        const std::string text = draw_mask(
            RuleMask({.queries = n, .keys = n}, [](std::size_t, std::size_t, std::int64_t i, std::int64_t j) { return j <= i; }),
            {.width = width, .unicode = unicode});
        std::istringstream lines(text);
        std::size_t count = 0;
        for (std::string line; std::getline(lines, line) && !line.starts_with("rows:"); ++count) {
          const auto characters =
              std::ranges::count_if(line, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; });
          INFO("n " << n << " width " << width << "\n" << text);
          CHECK(static_cast<std::size_t>(characters) <= std::max<std::size_t>(width, 3));
        }
        CHECK(count <= 48);
        CHECK(count >= 1);
      }
    }
  }
  const auto one = [](bool visible) {
    const std::string text =
        draw_mask(RuleMask({.queries = 500, .keys = 500},
                           [=](auto, auto, std::int64_t i, std::int64_t j) { return (i == 250 && j == 250) != visible; }),
                  {.width = 10});
    return text.substr(0, text.find("rows:"));
  };
  CHECK(std::ranges::count(one(false), '.') == 1);
  CHECK_FALSE(contains(one(false), "#"));
  CHECK(std::ranges::count(one(true), 'o') == 1);
  CHECK_FALSE(contains(one(true), "| "));
  CHECK(contains(draw_mask(RuleMask({.queries = 0, .keys = 3}, [](auto, auto, auto, auto) { return true; }), {}),
                 "nothing to draw"));
}

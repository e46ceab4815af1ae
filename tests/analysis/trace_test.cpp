// Tests that a trace shows what the formulas say, and that each hidden pair is laid to its rules.
#include "analysis/trace.hpp"

#include "engine/prepare.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include <doctest/doctest.h>

using namespace attn;
using analysis::HeadTrace;
using analysis::HidingRules;

namespace {

/// Two heads of three queries and four keys.
engine::Inputs inputs_of() {
  std::vector<double> query;
  std::vector<double> key;
  std::vector<double> value;
  for (int i = 0; i < 12; ++i) query.push_back(std::sin(i));
  for (int i = 0; i < 16; ++i) key.push_back(std::cos(2 * i));
  for (int i = 0; i < 16; ++i) value.push_back(i * 0.25);
  engine::Inputs in;
  in.query = {Array::of<double>({1, 2, 3, 2}, query), "query"};
  in.key = {Array::of<double>({1, 2, 4, 2}, key), "key"};
  in.value = {Array::of<double>({1, 2, 4, 2}, value), "value"};
  return in;
}

HeadTrace traced(const engine::Inputs& in, const engine::Plan& plan, std::size_t head) {
  engine::Findings findings;
  const auto operands = engine::prepare<double>(plan, in, findings);
  return analysis::trace_head(plan, operands, 0, head, {});
}

}  // namespace

TEST_CASE("each stage of a trace follows from the one before") {
  const engine::Inputs in = inputs_of();
  AttentionOptions options;
  options.softcap = 2;
  options.temperature = 0.5;
  options.alibi = true;
  options.causal = true;
  options.query_offset.kind = QueryOffset::Kind::end;
  const engine::Plan plan = engine::make_plan(in, options, DType::f64);
  const HeadTrace t = traced(in, plan, 1);
  for (std::size_t i = 0; i < 3; ++i) {
    double sum = 0;
    for (std::size_t j = 0; j < 4; ++j) {
      const double product = t.query.at(i, 0) * t.key.at(j, 0) + t.query.at(i, 1) * t.key.at(j, 1);
      CHECK(t.query.at(i, 0) == std::sin(6 + 2.0 * static_cast<double>(i)));
      CHECK(t.products.at(i, j) == doctest::Approx(product).epsilon(1e-14));
      CHECK(t.raw.at(i, j) == doctest::Approx(product / std::sqrt(2.0) / 0.5).epsilon(1e-14));
      CHECK(t.capped.at(i, j) == doctest::Approx(2 * std::tanh(t.raw.at(i, j) / 2)).epsilon(1e-14));
      const bool is_hidden = j > i + 1;
      if (is_hidden) {
        CHECK(t.logits.at(i, j) == -std::numeric_limits<double>::infinity());
        CHECK(t.weights.at(i, j) == 0);
        CHECK(t.bias.at(i, j) == 0);
      } else {
        // The slopes of two heads are 2^-4 and 2^-8.
        CHECK(t.bias.at(i, j) == -std::exp2(-8) * static_cast<double>(i + 1 - j));
        CHECK(t.logits.at(i, j) == t.capped.at(i, j) + t.bias.at(i, j));
        sum += t.weights.at(i, j);
      }
    }
    CHECK(sum == doctest::Approx(1).epsilon(1e-14));
    CHECK_FALSE(t.empty[i]);
    double y = 0;
    for (std::size_t j = 0; j < 4; ++j) y += t.weights.at(i, j) * (8 + 2 * static_cast<double>(j)) * 0.25;
    CHECK(t.output.at(i, 0) == doctest::Approx(y).epsilon(1e-14));
  }
}

TEST_CASE("hidden pairs name all their rules") {
  engine::Inputs in = inputs_of();
  in.key_lengths = {3};
  in.masks.push_back({{Array::of<bool>({4}, {false, true, true, true}), "mask m.npy"}, engine::MaskKind::keep});
  AttentionOptions options;
  options.causal = true;
  options.window.left = 1;
  options.query_offset.kind = QueryOffset::Kind::given;
  options.query_offset.values = {0};
  const engine::Plan plan = engine::make_plan(in, options, DType::f64);
  const HidingRules rules(plan, in);
  CHECK(rules.hiding(0, 0, 0, 0) == "mask m.npy");
  CHECK(rules.hiding(0, 0, 1, 1).empty());
  CHECK(rules.hiding(0, 0, 0, 1) == "causal");
  CHECK(rules.hiding(0, 0, 2, 0) == "window and mask m.npy");
  CHECK(rules.hiding(0, 1, 1, 3) == "padding and causal");
  const HeadTrace t = traced(in, plan, 0);
  CHECK(t.empty[0]);
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 4; ++j) CHECK(rules.hiding(0, 0, i, j).empty() == plan.visible(0, 0, i, j));
}

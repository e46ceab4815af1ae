// Pruned attention: what it says it has dropped is at least what float64 says it has, on random and on nasty cases.
#include "engine/prune.hpp"

#include "engine/tiled_support.hpp"

#include <attn/error.hpp>

#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace attn::engine::test {

namespace {

constexpr double kQuietNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kPositiveInf = std::numeric_limits<double>::infinity();

struct Pruned {
  Results<float> results;
  PruneReport report;
};

Pruned run(const Case& c, const PruneRule& rule, const Execution& execution = {}, bool packed = false) {
  const Dims& d = c.plan.dims;
  const Typed<float> q(c.query, d.heads, d.q_len, d.head_dim, packed);
  const Typed<float> k(c.key, d.kv_heads, d.kv_len, d.head_dim, packed);
  const Typed<float> v(c.value, d.kv_heads, d.kv_len, d.value_dim, packed);
  const Operands<float> operands{{q.rows, d.head_dim}, {k.rows, d.head_dim}, {v.rows, d.value_dim}, {}};
  Needs needs;
  needs.output = needs.weights = true;
  Recorder<float> recorder(d, needs);
  Observer<float>* const observers[] = {&recorder};
  Pruned pruned;
  pruned.report = run_pruned(c.plan, operands, observers, execution, rule);
  pruned.results = std::move(recorder.results);
  return pruned;
}

/// What bounds go wrong on: keys that are alike, that differ in size by much, that have one large feature, that all point to the
/// query, or away; values of very different sizes.
void make_nasty(Random& random, Case& c) {
  const Dims& d = c.plan.dims;
  const auto key = [&](std::size_t row) { return c.key.data() + row * d.head_dim; };
  const std::size_t kind = random.below(9);
  for (std::size_t row = 0; row < d.batch * d.kv_heads * d.kv_len; ++row) {
    for (std::size_t f = 0; f < d.head_dim; ++f) {
      double& x = key(row)[f];
      if (kind == 1) x = key(0)[f];
      if (kind == 2 && row % 7 == 3) x *= 100;
      if (kind == 3 && f == 0) x = static_cast<double>(static_cast<float>(300 + x));
      if (kind == 4) x = static_cast<double>(static_cast<float>(c.query[f] * (row % 5 == 0 ? 3.0 : 1.0) + 0.01 * x));
      if (kind == 5) x = static_cast<double>(static_cast<float>(x * std::pow(2.0, -static_cast<double>(row % 40))));
      if (kind == 6) x = row % 3 == 0 ? 0 : x;
      if (kind == 7 && row + 1 == d.kv_len) x = static_cast<double>(static_cast<float>(40 * c.query[f]));
      if (kind == 8) x = static_cast<double>(static_cast<float>(x + 4 * std::sin(static_cast<double>(row / 96 + f))));
    }
    if (row % 11 == 0)
      for (std::size_t f = 0; f < d.value_dim; ++f) c.value[row * d.value_dim + f] *= 64;
  }
}

Case random_case(Random& random) {
  const std::size_t kv_heads = 1 + random.below(2);
  const Dims dims{1 + random.below(2),
                  kv_heads * (1 + random.below(2)),
                  kv_heads,
                  1 + random.below(random.below(4) == 0 ? 70 : 4),
                  1 + random.below(random.below(6) == 0 ? 900 : 300),
                  1 + random.below(70),
                  1 + random.below(20)};
  Case c = make_case(random, dims);
  c.plan.factor *= std::pow(2.0, static_cast<double>(random.below(8)) - 2);
  make_nasty(random, c);
  c.plan.options.causal = random.below(4) == 0;
  if (random.below(4) == 0) c.plan.query_offset.assign(dims.batch, static_cast<std::int64_t>(random.below(dims.kv_len)));
  if (random.below(5) == 0) c.plan.options.window.left = static_cast<std::int64_t>(random.below(150));
  if (random.below(5) == 0) c.plan.options.softcap = 5;
  if (random.below(4) == 0) add_mask(random, c, random.below(2) == 0 ? MaskKind::keep : MaskKind::add, DType::f32);
  return c;
}

/// The same case with masks for float64.
Case in_double(const Case& c) {
  Case twin = c;
  for (MaskPart& part : twin.plan.masks) {
    if (part.kind != MaskKind::add) continue;
    Array array(DType::f64, part.array.shape());
    for (std::size_t n = 0; n < part.array.size(); ++n)
      array.mutable_values<double>()[n] = static_cast<double>(part.array.values<float>()[n]);
    part.array = array;
  }
  return twin;
}

/// Holds the bounds of one run against exact weights and outputs.
void check_bounds(const Case& c, const PruneRule& rule) {
  const Dims& d = c.plan.dims;
  Needs needs;
  needs.output = needs.weights = true;
  const Results<double> exact = run_case<double>(in_double(c), needs, {}, true);
  const Pruned pruned = run(c, rule);
  CHECK(pruned.results.is_empty == exact.is_empty);
  double largest = 0;
  for (std::size_t row = 0; row < exact.is_empty.size(); ++row) {
    double dropped = 0;
    std::size_t kept = 0;
    for (std::size_t j = 0; j < d.kv_len; ++j) {
      const bool is_kept = pruned.results.weights[row * d.kv_len + j] > 0;
      kept += is_kept ? 1 : 0;
      if (!is_kept) dropped += exact.weights[row * d.kv_len + j];
    }
    if (rule.keys != 0) CHECK(kept <= rule.keys);
    largest = std::max(largest, dropped);
  }
  // Weights below the smallest float32 are 0 though their keys were kept.
  CHECK(largest <= pruned.report.largest_dropped + 1e-30);
  if (rule.keys == 0) CHECK(pruned.report.largest_dropped <= 1 - rule.mass);
  CHECK(pruned.report.mean_dropped <= pruned.report.largest_dropped);
  // float32's own rounding: of logits, which grow with them, and of sums.
  double most = 0;
  double logit = 0;
  for (const double value : c.value) most = std::max(most, std::abs(value));
  double norms[2] = {0, 0};
  for (std::size_t n = 0; n < c.query.size(); ++n) norms[0] = std::max(norms[0], std::abs(c.query[n]));
  for (std::size_t n = 0; n < c.key.size(); ++n) norms[1] = std::max(norms[1], std::abs(c.key[n]));
  logit = norms[0] * norms[1] * static_cast<double>(d.head_dim) * c.plan.factor;
  const double rounding = most * (1e-5 + logit * static_cast<double>(d.head_dim) * 0x1p-23);
  for (std::size_t n = 0; n < exact.output.size(); ++n) {
    const double off = std::abs(static_cast<double>(pruned.results.output[n]) - exact.output[n]);
    CHECK(off <= pruned.report.largest_error + rounding);
  }
}

}  // namespace

TEST_CASE("what pruning drops is never more than it says: 1,000 random and nasty cases") {
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const Case c = random_case(random);
    PruneRule rule;
    if (seed % 2 == 0) {
      constexpr double masses[] = {0.5, 0.9, 0.99, 0.9999};
      rule.mass = masses[random.below(4)];
    } else {
      rule.keys = 1 + random.below(40);
    }
    rule.insist = seed % 4 < 2;  // else many cases are computed exactly
    check_bounds(c, rule);
  }
}

TEST_CASE("the strongest keys are those of the largest logits") {
  Random random(3);
  Case c = make_case(random, {1, 1, 1, 67, 700, 16, 4});
  c.plan.factor = 2;
  Needs needs;
  needs.weights = true;
  const Results<double> exact = run_case<double>(c, needs, {}, true);
  for (const std::size_t keys : {1U, 7U, 150U}) {
    PruneRule rule;
    rule.keys = keys;
    const Pruned pruned = run(c, rule);
    for (std::size_t i = 0; i < 67; ++i) {
      double least_kept = 2;
      double most_dropped = 0;
      std::size_t kept = 0;
      for (std::size_t j = 0; j < 700; ++j) {
        const double weight = exact.weights[i * 700 + j];
        if (pruned.results.weights[i * 700 + j] > 0) {
          least_kept = std::min(least_kept, weight);
          ++kept;
        } else {
          most_dropped = std::max(most_dropped, weight);
        }
      }
      CHECK(least_kept >= most_dropped * (1 - 1e-4));
      // Below 2^-126 of the largest weight none is told from another.
      CHECK((kept == keys || least_kept < 1e-30));
    }
  }
}

TEST_CASE("the strongest keys are found among large logits that differ by little") {
  Random random(13);
  Case c = make_case(random, {1, 1, 1, 5, 900, 16, 4});
  c.plan.factor = 0.25;
  add_mask(random, c, MaskKind::add, DType::f32);
  for (const float offset : {3000.0F, -3000.0F}) {
    // Bounds of this size are rounded by more than the logits differ by.
    for (float& bias : c.plan.masks[0].array.mutable_values<float>()) bias = offset + static_cast<float>(random.normal());
    Needs needs;
    needs.weights = true;
    const Results<double> exact = run_case<double>(in_double(c), needs, {}, true);
    PruneRule rule;
    rule.keys = 20;
    const Pruned pruned = run(c, rule);
    for (std::size_t i = 0; i < 5; ++i) {
      double least_kept = 2;
      double most_dropped = 0;
      for (std::size_t j = 0; j < 900; ++j) {
        const double weight = exact.weights[i * 900 + j];
        if (pruned.results.weights[i * 900 + j] > 0)
          least_kept = std::min(least_kept, weight);
        else
          most_dropped = std::max(most_dropped, weight);
      }
      CHECK(least_kept >= most_dropped * (1 - 1e-3));
    }
  }
}

TEST_CASE("the strongest keys are found in tiles whose logits lie far below the largest") {
  // Each tile of keys lies near an axis of its own. Queries ask for more keys than a tile has: query i sees those of tile i far
  // above those of tile 10 + i, and these above all others. Of tiles that hold the largest logits of any query a sample is looked
  // at first: that of query 0, whose logits lie where those of the others would be passed over.
  constexpr std::size_t tiles = 48;
  constexpr std::size_t queries = 6;
  constexpr std::size_t length = tiles * kernels::kKeys;
  Random random(29);
  Case c = make_case(random, {1, 1, 1, queries, length, tiles, 3});
  c.plan.factor = 0.03;
  for (std::size_t j = 0; j < length; ++j)
    for (std::size_t f = 0; f < tiles; ++f) {
      double& x = c.key[j * tiles + f];
      x = static_cast<double>(static_cast<float>((j / kernels::kKeys == f ? 10 : 0) + 0.01 * x));
    }
  std::fill(c.query.begin(), c.query.end(), 0.0);
  for (std::size_t i = 0; i < queries; ++i) {
    c.query[i * tiles + i] = i == 0 ? 40 : 20;
    c.query[i * tiles + 10 + i] = 10;
    c.query[10 + i] = -30;
  }
  PruneRule rule;
  rule.keys = kernels::kKeys + 4;
  Needs needs;
  needs.weights = true;
  const Results<double> exact = run_case<double>(c, needs, {}, true);
  const Pruned pruned = run(c, rule);
  CHECK(pruned.report.kept == queries * rule.keys);
  for (std::size_t i = 0; i < queries; ++i) {
    double least_kept = 2;
    double most_dropped = 0;
    for (std::size_t j = 0; j < length; ++j) {
      const double weight = exact.weights[i * length + j];
      if (pruned.results.weights[i * length + j] > 0)
        least_kept = std::min(least_kept, weight);
      else
        most_dropped = std::max(most_dropped, weight);
    }
    CHECK(least_kept >= most_dropped * (1 - 1e-5));
  }
}

TEST_CASE("pruning that keeps everything is the exact engine, bit by bit") {
  Random random(4);
  Case c = make_case(random, {2, 2, 1, 30, 200, 9, 5});
  c.plan.options.causal = true;
  Needs needs;
  needs.output = needs.weights = true;
  const Results<float> exact = run_case<float>(c, needs, {});
  PruneRule rule;
  rule.mass = 1;
  CHECK(same_bytes(run(c, rule).results, exact));
  rule = {};
  rule.keys = 200;
  const Pruned all = run(c, rule);
  CHECK(same_bytes(all.results, exact));
  CHECK(all.report.kept == all.report.visible);
  CHECK(all.report.largest_dropped == 0);
}

TEST_CASE("pruned attention has the same bits for all targets, threads and layouts") {
  Random random(5);
  Case c = make_case(random, {1, 4, 2, 70, 1500, 19, 11});
  c.plan.factor = 3;
  c.plan.options.causal = true;
  c.plan.query_offset = {1400};
  for (const bool by_mass : {true, false}) {
    PruneRule rule;
    if (by_mass) {
      rule.mass = 0.99;
    } else {
      rule.keys = 20;
    }
    rule.insist = true;
    const Pruned wanted = run(c, rule);
    CHECK(wanted.report.kept * 10 < wanted.report.visible);
    for (const std::string& isa : available_isas()) {
      for (const std::size_t threads : {1U, 3U}) {
        Execution execution;
        execution.threads = threads;
        execution.isa = isa;
        const Pruned got = run(c, rule, execution, threads == 3);
        CHECK(same_bytes(got.results, wanted.results));
        CHECK(got.report.mean_dropped == wanted.report.mean_dropped);
        CHECK(got.report.largest_error == wanted.report.largest_error);
      }
    }
  }
}

TEST_CASE("pruning: flat weights are computed exactly, masked rows are absent, NaN shows") {
  Random random(6);
  PruneRule rule;
  rule.mass = 0.99;
  Case flat = make_case(random, {1, 1, 1, 65, 3000, 8, 4});
  flat.plan.factor = 0.01;
  const Pruned all = run(flat, rule);
  CHECK(all.report.exact_rows == 65);
  Case clean = make_case(random, {1, 1, 1, 9, 300, 8, 4});
  clean.plan.factor = 4;
  clean.plan.key_length = {200};
  Case dirty = clean;
  for (std::size_t n = 200 * 8; n < dirty.key.size(); ++n) dirty.key[n] = n % 2 == 0 ? kQuietNan : kPositiveInf;
  for (std::size_t n = 200 * 4; n < dirty.value.size(); ++n) dirty.value[n] = kQuietNan;
  const Pruned absent = run(dirty, rule);
  for (const float output : absent.results.output) CHECK(std::isfinite(output));
  dirty = clean;
  dirty.key[17 * 8] = kQuietNan;
  CHECK(std::isnan(run(dirty, rule).results.output[0]));
}

TEST_CASE("pruning refuses what it has no bounds for") {
  Random random(7);
  Case c = make_case(random, {1, 1, 1, 2, 3, 4, 4});
  PruneRule rule;
  CHECK_THROWS_AS((void)run(c, rule), Error);
  rule.mass = 1.5;
  CHECK_THROWS_AS((void)run(c, rule), Error);
  rule.mass = 0.5;
  rule.keys = 1;
  CHECK_THROWS_AS((void)run(c, rule), Error);
  rule.keys = 0;
  c.plan.options.score = Score::euclidean;
  CHECK_THROWS_AS((void)run(c, rule), Error);
  c.plan.options.score = Score::scaled;
  c.plan.options.normalize = Normalizer::sigmoid;
  CHECK_THROWS_AS((void)run(c, rule), Error);
}

}  // namespace attn::engine::test

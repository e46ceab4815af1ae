// Attention by features: against its formula, without bias, and with an error that falls as one over the root of their number.
#include "approx/feature_map.hpp"
#include "approx_support.hpp"

#include <cmath>

#include <doctest/doctest.h>

namespace attn::approx::test {

namespace {

double elu_plus_one(double x) { return x > 0 ? x + 1 : std::exp(x); }

double elu_kernel(const double* q, const double* k, std::size_t dim) {
  double sum = 0;
  for (std::size_t f = 0; f < dim; ++f) sum += elu_plus_one(q[f]) * elu_plus_one(k[f]);
  return sum;
}

/// What is seen under causal and key lengths, by their definition.
Sees seen_by(const engine::Plan& plan) {
  return [&plan](std::size_t b, std::size_t i, std::size_t j) {
    const auto key = static_cast<std::int64_t>(j);
    return j < plan.key_length[b] && (!plan.options.causal || key <= plan.query_offset[b] + static_cast<std::int64_t>(i));
  };
}

Case random_case(Random& random, std::size_t length) {
  const Dims dims{.batch = 1 + random.below(2),
                  .heads = 4,
                  .kv_heads = std::size_t{1} << random.below(3),
                  .q_len = length,
                  .kv_len = length == 0 ? 0 : length - random.below(std::min<std::size_t>(length, 3)),
                  .head_dim = 1 + random.below(90),
                  .value_dim = 1 + random.below(20)};
  Case c = engine::test::make_case(random, dims);
  c.plan.options.causal = random.below(2) == 0;
  for (std::size_t b = 0; b < dims.batch; ++b) {
    c.plan.query_offset[b] = static_cast<std::int64_t>(random.below(9)) - 4;
    if (random.below(2) == 0) c.plan.key_length[b] = random.below(dims.kv_len + 1);
  }
  return c;
}

constexpr engine::Needs kWithWeights{.output = true, .weights = true};

}  // namespace

TEST_CASE("linear attention is its formula, for all lengths, offsets, heads and scores") {
  const std::uint64_t seed = 20261;
  CAPTURE(seed);
  Random random(seed);
  for (const std::size_t length : std::initializer_list<std::size_t>{0, 1, 2, 63, 64, 65, 127, 130, 1023, 1101}) {
    Case c = random_case(random, length);
    const bool is_gaussian = random.below(2) == 0;
    if (is_gaussian) c.plan.options.score = Score::sqeuclidean;
    const std::size_t dim = c.plan.dims.head_dim;
    CAPTURE(length);
    CAPTURE(dim);
    CAPTURE(c.plan.options.causal);
    CAPTURE(is_gaussian);
    std::vector<double> weights;
    const double factor = c.plan.factor;
    const std::vector<double> exact = kernel_attention(
        c,
        [&](const double* q, const double* k) {
          return elu_kernel(q, k, dim) * (is_gaussian ? std::exp(-factor * dot(k, k, dim)) : 1.0);
        },
        seen_by(c.plan), &weights);
    const Results<double> found = run_method<double>(c, "linear", {}, kWithWeights);
    CHECK(farthest(found.output, exact) <= 1e-12);
    CHECK(farthest(found.weights, weights) <= 1e-12);
    const Results<float> single = run_method<float>(c, "linear", {}, kWithWeights, true);
    CHECK(farthest(single.output, exact) <= 2e-5);
    CHECK(farthest(single.weights, weights) <= 2e-5);
    // Looking at weights changes no output.
    CHECK(engine::test::same_bytes(single.output, run_method<float>(c, "linear", {}, {.output = true}, true).output));
  }
}

TEST_CASE("random features are their formula") {
  const std::uint64_t seed = 20262;
  CAPTURE(seed);
  Random random(seed);
  for (const std::size_t count : std::initializer_list<std::size_t>{1, 63, 64, 65, 200}) {
    Case c = random_case(random, 70 + count);
    const std::size_t dim = c.plan.dims.head_dim;
    const bool is_gaussian = count % 2 == 1;
    if (is_gaussian) c.plan.options.score = Score::sqeuclidean;
    c.plan.factor = (count == 63 ? -0.2 : 0.3) / static_cast<double>(dim);
    const double product = is_gaussian ? 2 * c.plan.factor : c.plan.factor;
    const std::vector<double> directions = orthogonal_normals(count, dim, 5);
    const PairKernel kernel = [&](const double* q, const double* k) {
      double sum = 0;
      const double root = std::sqrt(std::abs(product));
      for (std::size_t r = 0; r < count; ++r) {
        const double* w = directions.data() + r * dim;
        const double norms = std::abs(product) * (dot(q, q, dim) + dot(k, k, dim)) / 2;
        sum += std::exp(root * (std::copysign(1.0, product) * dot(w, q, dim) + dot(w, k, dim)) - norms);
      }
      return sum * (is_gaussian ? std::exp(-c.plan.factor * dot(k, k, dim)) : 1.0);
    };
    std::vector<double> weights;
    const std::vector<double> exact = kernel_attention(c, kernel, seen_by(c.plan), &weights);
    CAPTURE(count);
    CAPTURE(dim);
    CAPTURE(c.plan.factor);
    CAPTURE(c.plan.options.causal);
    const std::string choice = "features:" + std::to_string(count) + ":5";
    const Results<double> found = run_method<double>(c, choice, {}, kWithWeights);
    CHECK(farthest(found.output, exact) <= 1e-11);
    CHECK(farthest(found.weights, weights) <= 1e-11);
    CHECK(farthest(run_method<float>(c, choice).output, exact) <= 1e-4);
  }
}

TEST_CASE("random directions are at right angles, and long as normal ones are") {
  const std::size_t dim = 24;
  const std::size_t count = 61;
  const std::vector<double> w = orthogonal_normals(count, dim, 11);
  REQUIRE(w.size() == count * dim);
  double squares = 0;
  for (std::size_t r = 0; r < count; ++r) {
    squares += dot(w.data() + r * dim, w.data() + r * dim, dim);
    for (std::size_t s = r / dim * dim; s < r; ++s) CHECK(std::abs(dot(w.data() + r * dim, w.data() + s * dim, dim)) <= 1e-12);
  }
  // A squared length has mean dim and variance 2 dim: four standard errors of the mean of `count`.
  CHECK(std::abs(squares / count - dim) <= 4 * std::sqrt(2.0 * dim / count));
  CHECK(orthogonal_normals(count, dim, 12) != w);
}

TEST_CASE("random features estimate the exponential without bias") {
  const std::uint64_t seed = 20263;
  CAPTURE(seed);
  Random random(seed);
  const std::size_t dim = 8;
  const std::size_t count = 16;
  const std::vector<double> x = engine::test::float_values(random, 2 * dim);
  const double* q = x.data();
  const double* k = x.data() + dim;
  const double scale = 0.5;
  double sum = 0;
  double squares = 0;
  const int draws = 4000;
  for (int draw = 0; draw < draws; ++draw) {
    const std::vector<double> w = orthogonal_normals(count, dim, static_cast<std::uint64_t>(draw));
    double estimate = 0;
    for (std::size_t r = 0; r < count; ++r)
      estimate += std::exp(scale * (dot(w.data() + r * dim, q, dim) + dot(w.data() + r * dim, k, dim)) -
                           scale * scale * (dot(q, q, dim) + dot(k, k, dim)) / 2);
    estimate /= count;
    sum += estimate;
    squares += estimate * estimate;
  }
  const double mean = sum / draws;
  const double deviation = std::sqrt((squares / draws - mean * mean) / draws);
  const double exact = std::exp(scale * scale * dot(q, k, dim));
  CAPTURE(exact);
  CAPTURE(mean);
  CAPTURE(deviation);
  CHECK(std::abs(mean - exact) <= 4 * deviation);
  CHECK(deviation <= 0.1 * exact);
}

TEST_CASE("the error falls as one over the root of the number of features") {
  const std::uint64_t seed = 20264;
  CAPTURE(seed);
  Random random(seed);
  for (const Score score : {Score::scaled, Score::sqeuclidean}) {
    Case c = engine::test::make_case(
        random, {.batch = 1, .heads = 1, .kv_heads = 1, .q_len = 40, .kv_len = 90, .head_dim = 8, .value_dim = 5});
    c.plan.options.score = score;
    c.plan.factor = score == Score::scaled ? 0.04 : 0.02;
    const std::vector<double> exact = engine::test::run_case<double>(c, {.output = true}, {}).output;
    // Least squares through (ln count, ln error), each the root mean square over many draws.
    const std::vector<std::size_t> counts{64, 128, 256, 512, 1024, 2048};
    double sx = 0;
    double sy = 0;
    double sxx = 0;
    double sxy = 0;
    for (const std::size_t count : counts) {
      double squares = 0;
      for (int draw = 0; draw < 12; ++draw) {
        const auto found = run_method<double>(c, "features:" + std::to_string(count) + ":" + std::to_string(draw)).output;
        for (std::size_t i = 0; i < exact.size(); ++i) squares += (found[i] - exact[i]) * (found[i] - exact[i]);
      }
      const double x = std::log(static_cast<double>(count));
      const double y = std::log(squares) / 2;
      sx += x;
      sy += y;
      sxx += x * x;
      sxy += x * y;
    }
    const auto n = static_cast<double>(counts.size());
    const double slope = (n * sxy - sx * sy) / (n * sxx - sx * sx);
    CAPTURE(slope);
    CHECK(std::abs(slope + 0.5) <= 0.1);
  }
}

TEST_CASE("what features cannot stand for is refused") {
  Random random(3);
  const Case c = engine::test::make_case(
      random, {.batch = 1, .heads = 1, .kv_heads = 1, .q_len = 3, .kv_len = 3, .head_dim = 2, .value_dim = 2});
  const std::vector<std::function<void(engine::Plan&)>> changes{
      [](engine::Plan& p) { p.options.normalize = Normalizer::sigmoid; },
      [](engine::Plan& p) { p.options.score = Score::euclidean; },
      [](engine::Plan& p) { p.options.softcap = 5; },
      [](engine::Plan& p) { p.options.window.left = 1; },
      [](engine::Plan& p) { p.options.window.right = 1; },
      [](engine::Plan& p) { p.slopes = {0.5}; },
      [](engine::Plan& p) {
        p.segments = {.query = {0, 0, 1}, .key = {0, 0, 1}};
      },
      [](engine::Plan& p) { p.masks.emplace_back(); }};
  CHECK(feature_refusal(c.plan).empty());
  for (const auto& change : changes) {
    engine::Plan plan = c.plan;
    change(plan);
    CHECK_FALSE(feature_refusal(plan).empty());
  }
}

}  // namespace attn::approx::test

// The tiled engine against a loop in float64 written out here, and against the reference engine over random options and sizes.
#include "engine/tiled_support.hpp"

#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace attn::engine::test {

namespace {

/// The largest |got - wanted| over the largest |wanted|. What is not finite must be the same on both sides, else the answer is
/// infinite.
template <class T, class U>
double relative_error(const std::vector<T>& got, const std::vector<U>& wanted) {
  double scale = 0;
  double worst = 0;
  if (got.size() != wanted.size()) return std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < got.size(); ++i) {
    const auto a = static_cast<double>(got[i]);
    const auto b = static_cast<double>(wanted[i]);
    if (a == b) {
      if (std::isfinite(b)) scale = std::max(scale, std::abs(b));
      continue;
    }
    if (std::isnan(a) && std::isnan(b)) continue;
    if (!std::isfinite(a) || !std::isfinite(b)) return std::numeric_limits<double>::infinity();
    scale = std::max(scale, std::abs(b));
    worst = std::max(worst, std::abs(a - b));
  }
  return worst == 0 ? 0 : worst / scale;
}

constexpr Score kAnyScore[] = {Score::dot, Score::scaled, Score::cosine, Score::euclidean, Score::sqeuclidean};
constexpr Normalizer kAnyNormalizer[] = {Normalizer::softmax,  Normalizer::softmin, Normalizer::double_softmax,
                                         Normalizer::softmax1, Normalizer::sigmoid, Normalizer::none};

std::size_t draw(Random& random, std::initializer_list<std::size_t> from) { return from.begin()[random.below(from.size())]; }

void draw_positions(Random& random, Case& c) {
  const Dims& d = c.plan.dims;
  AttentionOptions& options = c.plan.options;
  for (std::size_t b = 0; b < d.batch; ++b) {
    if (random.below(3) == 0) c.plan.query_offset[b] = static_cast<std::int64_t>(random.below(20)) - 8;
    if (random.below(4) == 0) c.plan.key_length[b] = random.below(d.kv_len + 1);
  }
  options.causal = random.below(3) == 0;
  if (random.below(4) == 0) options.window.left = static_cast<std::int64_t>(random.below(70));
  if (random.below(4) == 0) options.window.right = static_cast<std::int64_t>(random.below(70));
  if (random.below(4) == 0) c.plan.slopes = alibi_slopes(d.heads);
  if (random.below(5) == 0) {
    c.plan.segments.query_stride = d.q_len;
    c.plan.segments.key_stride = 0;
    for (std::size_t i = 0; i < d.batch * d.q_len; ++i)
      c.plan.segments.query.push_back(static_cast<std::int64_t>(random.below(3)));
    for (std::size_t j = 0; j < d.kv_len; ++j) c.plan.segments.key.push_back(static_cast<std::int64_t>(j * 3 / (d.kv_len + 1)));
  }
}

/// A case whose options, sizes and masks are all drawn.
Case draw_case(Random& random, DType compute) {
  const std::size_t kv_heads = 1 + random.below(2);
  const Dims dims{.batch = 1 + random.below(2),
                  .heads = kv_heads * (1 + random.below(2)),
                  .kv_heads = kv_heads,
                  .q_len = draw(random, {0, 1, 2, 7, 16, 31, 63, 64, 65, 129}),
                  .kv_len = draw(random, {0, 1, 5, 48, 95, 96, 97, 193, 250}),
                  .head_dim = draw(random, {1, 2, 3, 5, 8, 13, 40, 64, 65}),
                  .value_dim = draw(random, {1, 2, 6, 7, 12, 17, 64, 67})};
  Case c = make_case(random, dims);
  AttentionOptions& options = c.plan.options;
  options.score = kAnyScore[random.below(5)];
  options.normalize = kAnyNormalizer[random.below(6)];
  if (options.score == Score::cosine) {
    make_unit(c.query, dims.head_dim);
    make_unit(c.key, dims.head_dim);
  }
  c.plan.factor = options.score == Score::scaled ? c.plan.factor : 1.0;
  if (random.below(2) == 0) c.plan.factor *= random.uniform() * 2 - 0.5;
  if (random.below(3) == 0) options.softcap = 1 + random.uniform() * 20;
  draw_positions(random, c);
  constexpr MaskKind kinds[] = {MaskKind::keep, MaskKind::block, MaskKind::add};
  while (random.below(3) == 0) add_mask(random, c, kinds[random.below(3)], compute);
  return c;
}

template <class T>
void compare_with_reference(const Case& c, double tolerance) {
  Execution execution;
  const Results<double> wanted = run_case<double>(c, kEverything, execution, true);
  const Results<T> got = run_case<T>(c, kEverything, execution);
  CHECK(same_bytes(got.is_empty, wanted.is_empty));
  CHECK(relative_error(got.output, wanted.output) <= tolerance);
  CHECK(relative_error(got.weights, wanted.weights) <= tolerance);
  CHECK(relative_error(got.raw, wanted.raw) <= tolerance);
  CHECK(relative_error(got.capped, wanted.capped) <= tolerance);
  CHECK(relative_error(got.masked, wanted.masked) <= tolerance);
  CHECK(relative_error(got.log_sum_exp, wanted.log_sum_exp) <= tolerance);
}

template <class T>
constexpr DType kCompute = std::is_same_v<T, float> ? DType::f32 : DType::f64;

}  // namespace

TEST_CASE_TEMPLATE("tiled agrees with reference over random options and odd sizes", T, float, double) {
  for (std::uint64_t seed = 1; seed <= 700; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const Case c = draw_case(random, kCompute<T>);
    const Dims& d = c.plan.dims;
    INFO(fmt::format("score {} normalizer {} softcap {} factor {} causal {} q_len {} kv_len {} head_dim {} value_dim {} masks {}",
                     static_cast<int>(c.plan.options.score), static_cast<int>(c.plan.options.normalize), c.plan.options.softcap,
                     c.plan.factor, c.plan.options.causal, d.q_len, d.kv_len, d.head_dim, d.value_dim, c.plan.masks.size()));
    compare_with_reference<T>(c, std::is_same_v<T, float> ? 3e-5 : 1e-12);
  }
}

TEST_CASE_TEMPLATE("a tile of biases says what visible() and bias() say of each pair", T, float, double) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const Case c = draw_case(random, kCompute<T>);
    const Plan& plan = c.plan;
    const std::size_t key = plan.dims.kv_len / 3;
    const std::size_t keys = plan.dims.kv_len - key;
    std::vector<T> rows(plan.dims.q_len * (keys + 2));
    for (std::size_t h = 0; h < plan.dims.heads; ++h) {
      plan.fill_bias(0, h, 0, plan.dims.q_len, key, keys, rows.data(), keys + 2);
      for (std::size_t i = 0; i < plan.dims.q_len; ++i) {
        const KeyRange range = plan.range(0, i);
        for (std::size_t j = key; j < key + keys; ++j) {
          const T got = rows[i * (keys + 2) + j - key];
          const bool shown = got != -std::numeric_limits<T>::infinity() && j >= range.begin && j < range.end;
          CHECK(shown == plan.visible(0, h, i, j));
          if (shown)
            CHECK(std::abs(static_cast<double>(got) - plan.bias(0, h, i, j)) <= 1e-6 * (1 + std::abs(plan.bias(0, h, i, j))));
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("every score with every normalizer", T, float, double) {
  for (const Score score : kAnyScore) {
    for (const Normalizer normalize : kAnyNormalizer) {
      for (const bool masked : {false, true}) {
        Random random(static_cast<std::uint64_t>(score) * 100 + static_cast<std::uint64_t>(normalize));
        Case c = make_case(random, {1, 2, 1, 67, 200, 64, 40});
        CAPTURE(static_cast<int>(score));
        CAPTURE(static_cast<int>(normalize));
        c.plan.options.score = score;
        c.plan.options.normalize = normalize;
        if (score != Score::scaled) c.plan.factor = 1;
        if (score == Score::cosine) {
          make_unit(c.query, 64);
          make_unit(c.key, 64);
        }
        if (masked) {
          c.plan.options.causal = true;
          add_mask(random, c, MaskKind::keep, kCompute<T>);
        }
        compare_with_reference<T>(c, std::is_same_v<T, float> ? 3e-5 : 1e-12);
      }
    }
  }
}

TEST_CASE("softmax attention against a loop in float64") {
  Random random(11);
  const std::size_t length = 300;
  const std::size_t dim = 40;
  const Case c = make_case(random, {1, 1, 1, length, length, dim, dim});
  const Results<float> got = run_case<float>(c, kEverything, {});
  double worst = 0;
  for (std::size_t i = 0; i < length; ++i) {
    std::vector<double> weights(length);
    for (std::size_t j = 0; j < length; ++j)
      weights[j] =
          std::exp(std::inner_product(&c.query[i * dim], &c.query[i * dim] + dim, &c.key[j * dim], 0.0) / std::sqrt(40.0));
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    CHECK(std::abs(got.log_sum_exp[i] - std::log(sum)) < 1e-6);
    for (std::size_t f = 0; f < dim; ++f) {
      double wanted = 0;
      for (std::size_t j = 0; j < length; ++j) wanted += weights[j] / sum * c.value[j * dim + f];
      const double error = std::abs(static_cast<double>(got.output[i * dim + f]) - wanted);
      if (!(error <= worst)) worst = error;
    }
  }
  CHECK(worst <= 3e-7);
}

TEST_CASE("the error of 4,096 keys of 64 normal features is at most 1e-7") {
  Random random(12);
  Case c = make_case(random, {1, 1, 1, 128, 4096, 64, 64});
  Execution execution;
  const Results<double> wanted = run_case<double>(c, {.output = true}, execution, true);
  const Results<float> got = run_case<float>(c, {.output = true}, execution);
  double worst = 0;
  for (std::size_t i = 0; i < got.output.size(); ++i) {
    const double error = std::abs(static_cast<double>(got.output[i]) - wanted.output[i]);
    if (!(error <= worst)) worst = error;
  }
  CHECK(worst <= 1e-7);
}

TEST_CASE_TEMPLATE("wide heads", T, float, double) {
  for (const std::size_t dim : {112U, 256U, 511U, 512U, 600U}) {
    CAPTURE(dim);
    Random random(dim);
    compare_with_reference<T>(make_case(random, {1, 2, 1, 66, 100, dim, dim + 1}), std::is_same_v<T, float> ? 3e-6 : 1e-13);
  }
}

TEST_CASE("near-equal vectors keep their distance") {
  Random random(13);
  Case c = make_case(random, {1, 1, 1, 1, 9, 64, 3});
  for (std::size_t j = 0; j < 9; ++j)
    for (std::size_t d = 0; d < 64; ++d)
      c.key[j * 64 + d] =
          static_cast<double>(static_cast<float>(c.query[d] + 1e-4 * static_cast<double>(j) + (j == 0 ? 0 : 1e-5)));
  c.plan.factor = 1;
  for (const Score score : {Score::euclidean, Score::sqeuclidean}) {
    c.plan.options.score = score;
    compare_with_reference<float>(c, 2e-6);
  }
}

}  // namespace attn::engine::test

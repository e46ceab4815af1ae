// Distances between outputs and between weights: by hand; samples of queries: against the whole.
#include "approx/judge.hpp"

#include "approx/sample.hpp"
#include "approx_support.hpp"

#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include <doctest/doctest.h>

namespace attn::approx::test {

TEST_CASE("distances of outputs by hand") {
  const Array exact = Array::of<double>({3, 2}, {3, 4, 0, 0, 1, 0});
  const Array near = Array::of<double>({3, 2}, {3, 3, 0, 0, 1.5, 0});
  const OutputError error = output_error(exact, near, {0, 1, 2}, 2);
  CHECK(error.relative == doctest::Approx(std::sqrt(1.25 / 26)));
  CHECK(error.largest == 1);
  CHECK(error.worst_row == doctest::Approx(0.5));
  CHECK(error.worst == 2);
  // Rows of a sample: exact row r is row of[r].
  CHECK(output_error(Array::of<double>({1, 2}, {1.5, 0}), near, {2}, 2).largest == 0);
  const OutputError same = output_error(exact, exact, {0, 1, 2}, 2);
  CHECK((same.relative == 0 && same.largest == 0 && same.worst_row == 0));
  const double infinity = std::numeric_limits<double>::infinity();
  const OutputError zero = output_error(Array::of<double>({1, 1}, {0}), Array::of<double>({1, 1}, {2}), {0}, 1);
  CHECK((zero.relative == infinity && zero.worst_row == infinity && zero.largest == 2));
}

TEST_CASE("a NaN in one output alone makes every distance NaN") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Array one = Array::of<float>({2, 1}, {1, nan});
  const Array other = Array::of<float>({2, 1}, {1, 2});
  CHECK(output_error(one, one, {0, 1}, 1).relative == 0);
  for (const OutputError& error : {output_error(one, other, {0, 1}, 1), output_error(other, one, {0, 1}, 1)})
    CHECK((std::isnan(error.relative) && std::isnan(error.largest) && std::isnan(error.worst_row)));
}

TEST_CASE("the divergence of a window is the logarithm of the mass that it keeps") {
  Random random(41);
  Case c = engine::test::make_case(
      random, {.batch = 1, .heads = 1, .kv_heads = 1, .q_len = 30, .kv_len = 30, .head_dim = 4, .value_dim = 4});
  const engine::test::Typed<double> q(c.query, 1, 30, 4, false);
  const engine::test::Typed<double> k(c.key, 1, 30, 4, false);
  const engine::Operands<double> operands{.query = {q.rows, 4}, .key = {k.rows, 4}, .value = {k.rows, 4}, .residual = {}};
  const ExactWeights exact(c.plan, operands, {});
  const Array near = approximate_weights(read_choice("", "window:3"), c.plan, operands, c.plan, operands, {});
  const std::vector<double> weights = engine::test::run_case<double>(c, {.weights = true}, {}).weights;
  double expected = 0;
  for (int i = 0; i < 30; ++i) {
    double kept = 0;
    for (int j = std::max(0, i - 3); j <= std::min(29, i + 3); ++j) kept += weights[static_cast<std::size_t>(i * 30 + j)];
    expected -= std::log(kept) / 30;
  }
  CHECK(exact.divergence(near) == doctest::Approx(expected));
  CHECK(std::abs(exact.divergence(Array::of<double>({1, 1, 30, 30}, weights))) <= 1e-14);
  std::vector<double> negative = weights;
  negative[0] = -negative[0];
  CHECK(std::isnan(exact.divergence(Array::of<double>({1, 1, 30, 30}, negative))));
}

TEST_CASE("random queries are different, ascending, and each as likely as the others") {
  CHECK(random_queries(5, 9, 1) == std::vector<std::size_t>{0, 1, 2, 3, 4});
  CHECK(random_queries(0, 3, 1).empty());
  std::vector<int> drawn(20);
  const int rounds = 4000;
  for (int seed = 0; seed < rounds; ++seed) {
    const std::vector<std::size_t> queries = random_queries(20, 6, static_cast<std::uint64_t>(seed));
    REQUIRE(queries.size() == 6);
    REQUIRE(std::set(queries.begin(), queries.end()).size() == 6);
    REQUIRE(std::ranges::is_sorted(queries));
    for (const std::size_t i : queries) ++drawn.at(i);
  }
  // Binomial with p = 0.3: five standard deviations.
  for (const int count : drawn) CHECK(std::abs(count - 0.3 * rounds) <= 5 * std::sqrt(0.21 * rounds));
}

TEST_CASE("a sample's queries get what they get among all") {
  const std::uint64_t seed = 42;
  CAPTURE(seed);
  Random random(seed);
  for (int round = 0; round < 20; ++round) {
    const Dims d{.batch = 2, .heads = 2, .kv_heads = 1, .q_len = 90, .kv_len = 90, .head_dim = 5, .value_dim = 3};
    Case c = engine::test::make_case(random, d);
    c.plan.options.causal = random.below(2) == 0;
    if (random.below(2) == 0) c.plan.options.window = {.left = 20, .right = 7};
    if (random.below(2) == 0) c.plan.slopes = {0.5, 0.25};
    for (std::size_t n = random.below(3); n > 0; --n)
      engine::test::add_mask(random, c, n == 1 ? engine::MaskKind::add : engine::MaskKind::block, DType::f64);
    if (random.below(2) == 0) {
      c.plan.segments.query_stride = c.plan.segments.key_stride = 90;
      for (int i = 0; i < 180; ++i) {
        c.plan.segments.query.push_back(i / 25);
        c.plan.segments.key.push_back(i / 25);
      }
    }
    const bool packed = random.below(2) == 0;
    const engine::test::Typed<double> q(c.query, 2, 90, 5, packed);
    const engine::test::Typed<double> k(c.key, 1, 90, 5, packed);
    const engine::test::Typed<double> v(c.value, 1, 90, 3, packed);
    const engine::Operands<double> operands{.query = {q.rows, 5}, .key = {k.rows, 5}, .value = {v.rows, 3}, .residual = {}};
    const std::vector<std::size_t> queries = random_queries(90, 1 + random.below(80), random.below(1000));
    const Sample<double> sample(c.plan, operands, queries);
    engine::test::Recorder<double> some(sample.plan.dims, {.output = true, .facts = false});
    engine::Observer<double>* const observers[] = {&some};
    engine::run_tiled<double>(sample.plan, sample.operands, observers, {});
    const std::vector<double> all = engine::test::run_case<double>(c, {.output = true}, {}).output;
    double most = 0;
    for (std::size_t head = 0; head < 4; ++head)
      for (std::size_t n = 0; n < queries.size(); ++n)
        for (std::size_t f = 0; f < 3; ++f) {
          const double off =
              std::abs(some.results.output[(head * queries.size() + n) * 3 + f] - all[(head * 90 + queries[n]) * 3 + f]);
          if (!(off <= most)) most = off;
        }
    CAPTURE(round);
    CAPTURE(packed);
    CAPTURE(queries.size());
    CHECK(most <= 1e-12);
  }
}

}  // namespace attn::approx::test

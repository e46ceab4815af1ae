// Comparisons against values worked out by hand; NaN must always fail unless it was asked not to.
#include "analysis/compare.hpp"

#include "io/support.hpp"

#include <cmath>
#include <limits>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

using namespace attn;
using namespace attn::analysis;

namespace {

const double not_a_number = std::nan("");
const double infinity = std::numeric_limits<double>::infinity();

Comparison of(double a, double b, const Tolerance& tolerance = {}) {
  return compare(Array::of<double>({1}, {a}), Array::of<double>({1}, {b}), tolerance);
}

}  // namespace

TEST_CASE("all measures of a difference are those of their definitions") {
  const Comparison c = compare(Array::of<double>({2, 2}, {1, 2, 3, 5}), Array::of<double>({2, 2}, {1, 2, 4, 0}), {});
  CHECK_FALSE(c.agree());
  CHECK(c.differing == 2);
  CHECK(c.max_abs == 5);
  CHECK(c.max_rel == 0.25);
  CHECK(c.rms == doctest::Approx(std::sqrt(26.0 / 4)));
  CHECK(c.cosine == doctest::Approx(17 / std::sqrt(39.0 * 21.0)));
  CHECK(c.worst == 3);
  CHECK(c.worst_a == 5);
  CHECK(c.worst_b == 0);
}

TEST_CASE("NaN and infinity fail against everything but what they are") {
  for (const double other : {0.0, 1.0, infinity, -infinity, not_a_number}) {
    CHECK_FALSE(of(not_a_number, other).agree());
    CHECK_FALSE(of(other, not_a_number).agree());
    CHECK_FALSE(of(not_a_number, other, {.rtol = infinity, .atol = infinity}).agree());
    if (!std::isnan(other)) CHECK_FALSE(of(not_a_number, other, {.equal_nan = true}).agree());
  }
  CHECK(of(not_a_number, not_a_number, {.equal_nan = true}).agree());
  CHECK(of(infinity, infinity).agree());
  CHECK_FALSE(of(infinity, -infinity, {.atol = infinity}).agree());
  CHECK_FALSE(of(1, infinity, {.atol = infinity}).agree());
  CHECK(of(not_a_number, 1).max_abs == infinity);
  CHECK(of(not_a_number, 1).not_finite == 1);
  // The rest of the array is still measured, and what is not finite is the worst wherever it stands.
  const Comparison c = compare(Array::of<double>({3}, {9, not_a_number, 100}), Array::of<double>({3}, {0, 0, 0}), {});
  CHECK(c.worst == 1);
  CHECK(c.differing == 3);
}

TEST_CASE("the worst element is one beyond the tolerance, not a larger difference within it") {
  const Comparison relative =
      compare(Array::of<double>({2}, {1001, 0.1}), Array::of<double>({2}, {1000, 0}), {.rtol = 0.1, .atol = 0.01});
  CHECK(relative.differing == 1);
  CHECK(relative.worst == 1);
  const Comparison units = compare(Array::of<float>({2}, {1e6F + 0.0625F, 1.001F}), Array::of<float>({2}, {1e6F, 1}),
                                   {.rtol = 0, .atol = 0, .ulp = 2});
  CHECK(units.differing == 1);
  CHECK(units.worst == 1);
  CHECK(compare(Array::of<double>({2}, {1, 3}), Array::of<double>({2}, {0, 0}), {.rtol = 0, .atol = 0}).worst == 1);
}

TEST_CASE("each criterion is enough, and its limit belongs to it") {
  CHECK(of(1.5, 1, {.rtol = 0.5, .atol = 0}).agree());
  CHECK_FALSE(of(1.5, 1, {.rtol = 0.49, .atol = 0}).agree());
  CHECK(of(1.5, 1, {.rtol = 0, .atol = 0.5}).agree());
  CHECK_FALSE(of(1.5, 1, {.rtol = 0, .atol = 0.49}).agree());
  const double next = std::nextafter(1.0, 2.0);
  CHECK(of(next, 1, {.rtol = 0, .atol = 0, .ulp = 1}).agree());
  CHECK_FALSE(of(next, 1, {.rtol = 0, .atol = 0, .ulp = 0.5}).agree());
  CHECK_FALSE(of(next, 1, {.rtol = 0, .atol = 0}).agree());
  CHECK(of(-0.0, 0.0, {.rtol = 0, .atol = 0}).agree());
}

TEST_CASE("units in the last place are those of the coarser type") {
  CHECK(ulp_distance(1, 1 + 0x1p-23, DType::f32) == 1);
  CHECK(ulp_distance(1, 1 + 0x1p-52, DType::f64) == 1);
  CHECK(ulp_distance(1, 1 + 0x1p-10, DType::f16) == 1);
  CHECK(ulp_distance(1, 1 + 0x1p-7, DType::bf16) == 1);
  CHECK(ulp_distance(0, 0x1p-149, DType::f32) == 1);
  CHECK(ulp_distance(-0x1p-149, 0x1p-149, DType::f32) == 2);
  CHECK(std::isfinite(ulp_distance(1.7e308, -1.7e308, DType::f64)));
  const Comparison mixed = compare(Array::of<float>({1}, {1.0F + 0x1p-23F}), Array::of<double>({1}, {1}), {});
  CHECK(mixed.max_ulp == 1);
}

TEST_CASE("64-bit integers are compared exactly, also where double cannot tell them apart") {
  const std::int64_t big = std::int64_t{1} << 62;
  const Tolerance exact{.rtol = 0, .atol = 0};
  CHECK_FALSE(compare(Array::of<std::int64_t>({1}, {big}), Array::of<std::int64_t>({1}, {big + 1}), exact).agree());
  CHECK(compare(Array::of<std::int64_t>({1}, {big}), Array::of<std::int64_t>({1}, {big + 1}), exact).max_abs == 1);
  CHECK_FALSE(
      compare(Array::of<std::int64_t>({1}, {big}), Array::of<std::int64_t>({1}, {big + 1}), {.rtol = 0, .atol = 0, .ulp = 0})
          .agree());
  CHECK(compare(Array::of<std::int64_t>({1}, {big}), Array::of<std::int64_t>({1}, {big + 1}), exact).worst_b_text ==
        "4611686018427387905");
  const std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  CHECK_FALSE(compare(Array::of<std::uint64_t>({1}, {most}), Array::of<std::uint64_t>({1}, {most - 1}), exact).agree());
  const auto low = std::numeric_limits<std::int64_t>::min();
  const auto high = std::numeric_limits<std::int64_t>::max();
  CHECK(compare(Array::of<std::int64_t>({1}, {low}), Array::of<std::int64_t>({1}, {high}), exact).max_abs == 0x1p64);
}

TEST_CASE("shapes must be the same, and nothing equals nothing") {
  const Comparison c = compare(Array(DType::f32, {2, 3}), Array(DType::f32, {3, 2}), {});
  CHECK_FALSE(c.agree());
  CHECK(test::contains(comparison_text("a", "b", c), "[2, 3]"));
  CHECK(compare(Array(DType::f32, {0, 3}), Array(DType::f64, {0, 3}), {}).agree());
  CHECK(nlohmann::json::parse(comparison_json("a", "b", compare(Array(DType::f32, {0}), Array(DType::f32, {0}), {})))["worst"]
            .is_null());
}

TEST_CASE("a difference is found wherever it stands in a long array") {
  for (const std::size_t n : {1U, 4095U, 4096U, 4097U, 10007U}) {
    for (const std::size_t at : {std::size_t{0}, n / 2, n - 1}) {
      std::vector<float> values(n, 1.0F);
      const Array b = Array::of<float>({n}, values);
      values[at] = 2;
      const Comparison c = compare(Array::of<float>({n}, values), b, {});
      CHECK(c.differing == 1);
      CHECK(c.worst == at);
    }
  }
}

TEST_CASE("numbers that JSON does not have are strings, which are below no threshold") {
  const auto json = nlohmann::json::parse(comparison_json("a", "b", of(not_a_number, 1)));
  CHECK(json["equal"] == false);
  CHECK(json["max_abs"] == "inf");
  CHECK(json["worst"]["a"] == "nan");
}

// Types, one-hot rows and norms: exact or refused, ties and extremes, rows of zeros.
#include "analysis/numbers.hpp"

#include "io/support.hpp"

#include <cmath>
#include <limits>

#include <doctest/doctest.h>

using namespace attn;
using namespace attn::analysis;
using test::contains;
using test::error_of;

TEST_CASE("every sample goes to every type and back, exactly or refused") {
  for (const DType from : test::all_types) {
    for (const DType to : test::all_types) {
      INFO(dtype_name(from) << " to " << dtype_name(to));
      const Array sample = test::sample_array(from, {3, 5});
      bool fits = true;
      for (std::size_t i = 0; i < sample.size(); ++i) {
        const double x = sample.at_flat(i);
        const bool is_unsigned = to == DType::u8 || to == DType::u16 || to == DType::u32 || to == DType::u64;
        if (to == DType::boolean) fits = fits && (x == 0 || x == 1);
        if (!is_floating(to) && to != DType::boolean) fits = fits && x == std::trunc(x) && (x >= 0 || !is_unsigned);
      }
      if (!fits) {
        CHECK(error_of([&] { (void)retyped(sample, to, false); }).status() == Status::data);
        continue;
      }
      const Retyped there = retyped(sample, to, false);
      CHECK(there.array.dtype() == to);
      CHECK(there.overflowed == 0);
      for (std::size_t i = 0; i < sample.size(); ++i) CHECK(there.array.at_flat(i) == sample.at_flat(i));
    }
  }
}

TEST_CASE("integers that floating point cannot hold exactly are refused, those it can are not") {
  const auto one = [](std::int64_t value) { return Array::of<std::int64_t>({1}, {value}); };
  CHECK(retyped(one((std::int64_t{1} << 53) + 2), DType::f64, false).array.at_flat(0) == 0x1p53 + 2);
  CHECK_THROWS_AS((void)retyped(one((std::int64_t{1} << 53) + 1), DType::f64, false), Error);
  CHECK_THROWS_AS((void)retyped(one(-(std::int64_t{1} << 53) - 1), DType::f64, false), Error);
  CHECK(retyped(one((std::int64_t{1} << 53) + 1), DType::f64, true).array.at_flat(0) == 0x1p53);
  CHECK_THROWS_AS((void)retyped(one((1 << 24) + 1), DType::f32, false), Error);
  CHECK(retyped(one(3 << 24), DType::f32, false).array.at_flat(0) == 3 * 0x1p24);
  CHECK_THROWS_AS((void)retyped(one(2049), DType::f16, false), Error);
  CHECK_THROWS_AS((void)retyped(one(257), DType::bf16, false), Error);
  CHECK_THROWS_AS((void)retyped(one(std::numeric_limits<std::int64_t>::max()), DType::f64, false), Error);
  CHECK(retyped(one(std::numeric_limits<std::int64_t>::min()), DType::f64, false).array.at_flat(0) == -0x1p63);
  const auto large = Array::of<std::uint64_t>({2}, {0, std::numeric_limits<std::uint64_t>::max()});
  const Error error = error_of([&] { (void)retyped(large, DType::f64, false); });
  CHECK(contains(error.what(), "18446744073709551615 at [1]"));
  CHECK(contains(error.hint(), "--lossy"));
  CHECK_THROWS_AS((void)retyped(large, DType::i64, true), Error);
}

TEST_CASE("fractions, NaN and values out of range do not become integers") {
  const double nan = std::nan("");
  const auto of = [](double x) { return Array::of<double>({1, 1}, {x}); };
  CHECK(contains(error_of([&] { (void)retyped(of(2.5), DType::i32, false); }).hint(), "--lossy"));
  CHECK(retyped(of(2.5), DType::i32, true).array.at_flat(0) == 2);
  CHECK(retyped(of(-0.5), DType::u8, true).array.at_flat(0) == 0);
  for (const double bad : {nan, HUGE_VAL, 256.0, -1.0, 1e300})
    CHECK(contains(error_of([&] { (void)retyped(of(bad), DType::u8, true); }).what(), "[0, 0]"));
  CHECK(retyped(of(255.0), DType::u8, false).array.at_flat(0) == 255);
  CHECK(retyped(of(-128.0), DType::i8, false).array.at_flat(0) == -128);
  CHECK_THROWS_AS((void)retyped(of(0x1p63), DType::i64, true), Error);
  CHECK_THROWS_AS((void)retyped(of(nan), DType::boolean, false), Error);
  CHECK(retyped(of(0.5), DType::boolean, true).array.at_flat(0) == 1);
}

TEST_CASE("numbers that become infinite are counted, infinities that were there are not") {
  const auto wide = Array::of<float>({4}, {70000.0F, -70000.0F, HUGE_VALF, 1.0F});
  CHECK(retyped(wide, DType::f16, false).overflowed == 2);
  CHECK(retyped(wide, DType::bf16, false).overflowed == 0);
  CHECK(retyped(Array::of<double>({2}, {1e300, 1e30}), DType::f32, false).overflowed == 1);
  CHECK(retyped(Array::of<std::int32_t>({1}, {65536}), DType::f16, true).overflowed == 1);
}

TEST_CASE("class ids become one-hot rows") {
  const Array rows = one_hot(Array::of<float>({3, 1}, {2, 0, 1}), std::nullopt, DType::f32);
  CHECK(rows.shape() == Shape{3, 3});
  const double expected[] = {0, 0, 1, 1, 0, 0, 0, 1, 0};
  for (std::size_t i = 0; i < 9; ++i) CHECK(rows.at_flat(i) == expected[i]);
  CHECK(one_hot(Array::of<std::uint8_t>({2}, {0, 1}), 5, DType::f64).shape() == Shape{2, 5});
  CHECK(one_hot(Array::of<std::int64_t>({2, 3}, {0, 1, 2, 0, 1, 2}), std::nullopt, DType::i8).shape() == Shape{2, 3, 3});
  CHECK(one_hot(Array(DType::f32, {0, 1}), std::nullopt, DType::f32).shape() == Shape{0, 0});
  CHECK(one_hot(Array(DType::f32, {0, 1}), 4, DType::f32).shape() == Shape{0, 4});
}

TEST_CASE("ids that are no classes are refused where they stand") {
  for (const double bad : {-1.0, 0.5, std::nan(""), HUGE_VAL, 1e17}) {
    const Error error = error_of([&] { (void)one_hot(Array::of<double>({2, 1}, {0, bad}), std::nullopt, DType::f32); });
    CHECK(error.status() == Status::data);
    CHECK(contains(error.what(), "[1, 0]"));
  }
  CHECK(contains(error_of([] { (void)one_hot(Array::of<float>({2}, {1, 3}), 3, DType::f32); }).what(), "--classes 3"));
  // A stray id must not ask for the memory of its one-hot rows.
  CHECK(contains(error_of([] {
                   (void)one_hot(Array::of<float>({2}, {1, 3e9F}), std::nullopt, DType::f32);
                 }).hint(),
                 "--classes"));
  CHECK_THROWS_AS((void)one_hot(Array(DType::f32, {2, 2, 2, 2}), std::nullopt, DType::f32), Error);
}

TEST_CASE("rows are divided by their norms, zeros stay and are counted") {
  const auto rows = Array::of<float>({4, 2}, {3, -4, 0, 0, -1, 1, 0, 0});
  const NormalizedRows l2 = normalized_rows(rows, RowNorm::l2);
  CHECK(l2.zero_rows == 2);
  CHECK(l2.first_zero == 1);
  CHECK(l2.array.at_flat(0) == doctest::Approx(0.6));
  CHECK(l2.array.at_flat(1) == doctest::Approx(-0.8));
  CHECK(l2.array.at_flat(2) == 0);
  CHECK(normalized_rows(rows, RowNorm::l1).array.at_flat(1) == doctest::Approx(-4.0 / 7));
  CHECK(normalized_rows(rows, RowNorm::max).array.at_flat(0) == 0.75);
}

TEST_CASE("tiny and huge rows still have a direction") {
  for (const double size : {5e-324, 1e-310, 1e-200, 1e200, 1.7e308}) {
    const auto row = Array::of<double>({1, 2}, {size, -size});
    INFO(size);
    CHECK(normalized_rows(row, RowNorm::l2).array.at_flat(1) == doctest::Approx(-std::sqrt(0.5)).epsilon(1e-14));
    CHECK(normalized_rows(row, RowNorm::l1).array.at_flat(0) == doctest::Approx(0.5).epsilon(1e-14));
    CHECK(normalized_rows(row, RowNorm::max).array.at_flat(0) == 1.0);
  }
}

TEST_CASE("norms of long and odd rows, and of all types") {
  for (const std::size_t width : {1U, 4095U, 4096U, 4097U, 10007U}) {
    std::vector<float> values(3 * width);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 13) - 5.5F;
    const NormalizedRows result = normalized_rows(Array::of<float>({3, width}, values), RowNorm::l2);
    for (std::size_t i = 0; i < 3; ++i) {
      double sum = 0;
      for (std::size_t j = 0; j < width; ++j) sum += result.array.at_flat(i * width + j) * result.array.at_flat(i * width + j);
      CHECK(sum == doctest::Approx(1.0).epsilon(1e-5));
    }
  }
  CHECK(normalized_rows(Array::of<std::int64_t>({1, 2}, {3, 4}), RowNorm::l2).array.dtype() == DType::f32);
  CHECK(normalized_rows(test::sample_array(DType::bf16, {2, 4}), RowNorm::max).array.dtype() == DType::bf16);
  CHECK(normalized_rows(Array(DType::f64, {0, 4}), RowNorm::l2).array.shape() == Shape{0, 4});
  CHECK(normalized_rows(Array(DType::f64, {4, 0}), RowNorm::l2).zero_rows == 0);
  const NormalizedRows undefined = normalized_rows(Array::of<double>({2, 2}, {1, std::nan(""), 1, HUGE_VAL}), RowNorm::l2);
  CHECK(std::isnan(undefined.array.at_flat(0)));
  CHECK(undefined.array.at_flat(2) == 0);
  CHECK(std::isnan(undefined.array.at_flat(3)));
}

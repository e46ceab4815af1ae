// Arrays: sizes that overflow, half precision against the definition, conversions that do not fit.
#include <attn/array.hpp>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include <doctest/doctest.h>

using namespace attn;

TEST_CASE("element counts are checked for overflow, whatever the other dimensions are") {
  CHECK(element_count({}) == 1);
  CHECK(element_count({3, 0, 5}) == 0);
  CHECK(element_count({2, 3, 4}, 8) == 24);
  const std::size_t big = std::numeric_limits<std::size_t>::max();
  CHECK_THROWS_AS((void)element_count({big, 2}), Error);
  CHECK_THROWS_AS((void)element_count({big, 2, 0}), Error);
  CHECK_THROWS_AS((void)element_count({big / 2}, 8), Error);
}

TEST_CASE("every float16 widens to the value its bits mean, and rounds back to itself") {
  for (std::uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const int exponent = static_cast<int>((bits >> 10U) & 0x1FU);
    const int mantissa = static_cast<int>(bits & 0x3FFU);
    const float value = half_to_float(half);
    if (exponent == 31 && mantissa != 0) {
      CHECK(std::isnan(value));
      CHECK(std::isnan(half_to_float(float_to_half(value))));
      continue;
    }
    const double magnitude = exponent == 31  ? std::numeric_limits<double>::infinity()
                             : exponent == 0 ? std::ldexp(mantissa, -24)
                                             : std::ldexp(1024 + mantissa, exponent - 25);
    REQUIRE(static_cast<double>(value) == ((bits & 0x8000U) != 0 ? -magnitude : magnitude));
    REQUIRE(float_to_half(value) == half);
  }
}

TEST_CASE("arrays of halves widen to the bits of IEEE 754, NaN and zeros with theirs") {
  Array half(DType::f16, {0x10000});
  Array brain(DType::bf16, {0x10000});
  for (std::uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    reinterpret_cast<std::uint16_t*>(half.mutable_data())[bits] = static_cast<std::uint16_t>(bits);
    reinterpret_cast<std::uint16_t*>(brain.mutable_data())[bits] = static_cast<std::uint16_t>(bits);
  }
  const Array wide = half.converted(DType::f32);
  const Array wider = half.converted(DType::f64);
  const Array wide_brain = brain.converted(DType::f32);
  for (std::uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    const std::uint32_t sign = (bits & 0x8000U) << 16U;
    const std::uint32_t exponent = (bits >> 10U) & 0x1FU;
    const std::uint32_t mantissa = bits & 0x3FFU;
    std::uint32_t expected = sign | ((exponent + 112) << 23U) | (mantissa << 13U);
    if (exponent == 31) expected = sign | 0x7F800000U | (mantissa << 13U);
    if (exponent == 0) expected = sign | std::bit_cast<std::uint32_t>(std::ldexp(static_cast<float>(mantissa), -24));
    REQUIRE(std::bit_cast<std::uint32_t>(wide.values<float>()[bits]) == expected);
    REQUIRE(std::bit_cast<std::uint32_t>(half_to_float(static_cast<std::uint16_t>(bits))) == expected);
    REQUIRE(std::bit_cast<std::uint32_t>(wide_brain.values<float>()[bits]) == bits << 16U);
    if (exponent == 31 && mantissa != 0) {
      REQUIRE(std::isnan(wider.values<double>()[bits]));
    } else {
      REQUIRE(wider.values<double>()[bits] == static_cast<double>(std::bit_cast<float>(expected)));
    }
  }
}

TEST_CASE("narrowing to float16 and bfloat16 rounds to nearest even") {
  CHECK(float_to_half(65519.0F) == 0x7BFF);
  CHECK(float_to_half(65520.0F) == 0x7C00);
  CHECK(float_to_half(1.0F + 0x1p-11F) == 0x3C00);      // a tie goes to the even neighbour below
  CHECK(float_to_half(1.0F + 3 * 0x1p-11F) == 0x3C02);  // and here to the one above
  CHECK(float_to_half(0x1p-25F) == 0x0000);             // half of the smallest subnormal: a tie to zero
  CHECK(float_to_half(0x1.8p-25F) == 0x0001);
  CHECK(float_to_bfloat(1.0F + 0x1p-8F) == 0x3F80);
  CHECK(float_to_bfloat(1.0F + 3 * 0x1p-8F) == 0x3F82);
  CHECK(float_to_bfloat(std::numeric_limits<float>::max()) == 0x7F80);
  CHECK(std::isnan(bfloat_to_float(float_to_bfloat(std::nanf("")))));
}

TEST_CASE("float64 narrows to half precision with a single rounding") {
  // Just above a tie of float16 by less than float can see: rounding twice would go to the even neighbour below.
  const auto above = Array::of<double>({3}, {1.0 + 0x1p-11 + 0x1p-40, -(1.0 + 0x1p-11 + 0x1p-40), 1.0 + 3 * 0x1p-11 - 0x1p-40});
  const auto half = above.converted(DType::f16);
  CHECK(half.at_flat(0) == 1.0 + 0x1p-10);
  CHECK(half.at_flat(1) == -(1.0 + 0x1p-10));
  CHECK(half.at_flat(2) == 1.0 + 0x1p-10);
  const auto wide = Array::of<double>({4}, {1.0 + 0x1p-8 + 0x1p-40, 1e300, -1e300, 1e-300}).converted(DType::bf16);
  CHECK(wide.at_flat(0) == 1.0 + 0x1p-7);
  CHECK(std::isinf(wide.at_flat(1)));
  CHECK(wide.at_flat(2) == -std::numeric_limits<double>::infinity());
  CHECK(wide.at_flat(3) == 0);
  CHECK(std::isnan(Array::of<double>({1}, {std::nan("")}).converted(DType::f16).at_flat(0)));
}

TEST_CASE("conversions are exact or refused") {
  const auto wide = Array::of<std::int64_t>({3}, {-1, 0, 255});
  CHECK(wide.converted(DType::f64).values<double>()[2] == 255.0);
  CHECK_THROWS_AS((void)wide.converted(DType::u8), Error);
  const auto bools = wide.converted(DType::boolean);
  CHECK(bools.values<bool>()[0]);
  CHECK_FALSE(bools.values<bool>()[1]);
  const auto real = Array::of<double>({2}, {2.75, 9.3e18});
  CHECK_THROWS_AS((void)real.converted(DType::i64), Error);
  CHECK(Array::of<double>({1}, {-2.75}).converted(DType::i32).values<std::int32_t>()[0] == -2);
  CHECK_THROWS_AS((void)Array::of<float>({1}, {std::nanf("")}).converted(DType::i32), Error);
  CHECK_THROWS_AS((void)wide.values<float>(), Error);
  CHECK_THROWS_AS((void)wide.reshaped({2, 2}), Error);
  CHECK(wide.reshaped({3, 1}).shape() == Shape{3, 1});
}

// Random bits against the published vectors; logarithm, quantile and sinusoids against the mathematical library and identities.
#include "base/portable_math.hpp"

#include "base/philox.hpp"

#include <cmath>
#include <cstdint>
#include <limits>

#include <doctest/doctest.h>

using namespace attn;

TEST_CASE("Philox4x32-10 gives the vectors its authors published") {
  // Random123, kat_vectors: philox4x32 10.
  CHECK(philox({0, 0, 0, 0}, {0, 0}) == PhiloxCounter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  const std::uint32_t ones = 0xffffffff;
  CHECK(philox({ones, ones, ones, ones}, {ones, ones}) == PhiloxCounter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        PhiloxCounter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("seed, stream, block and draw all reach the random words") {
  const auto words = RandomWords(1, 2).pair(3, 4);
  CHECK(words != RandomWords(2, 2).pair(3, 4));
  CHECK(words != RandomWords(std::uint64_t{1} << 32U | 1U, 2).pair(3, 4));
  CHECK(words != RandomWords(1, 3).pair(3, 4));
  CHECK(words != RandomWords(1, 2).pair(4, 4));
  CHECK(words != RandomWords(1, 2).pair(std::uint64_t{1} << 32U | 3U, 4));
  CHECK(words != RandomWords(1, 2).pair(3, 5));
}

namespace {

double units_apart(double a, double b) {
  const double unit = std::nextafter(std::abs(b), std::numeric_limits<double>::infinity()) - std::abs(b);
  return std::abs(a - b) / unit;
}

}  // namespace

TEST_CASE("the logarithm is within one unit of the mathematical library's") {
  for (int i = 0; i < 20000; ++i) {
    const double x = static_cast<double>(RandomWords(11, 0).pair(static_cast<std::uint64_t>(i))[0] >> 11U) * 0x1p-53 + 0x1p-54;
    for (const double scaled : {x, x * 0x1p-52, x * 0x1p900}) {
      INFO("ln " << scaled);
      // One unit of our own, half a unit of the other.
      REQUIRE(units_apart(portable_log(scaled), std::log(scaled)) <= 1.5);
    }
  }
  CHECK(portable_log(1.0) == 0.0);
  CHECK(portable_log(2.0) == 0x1.62e42fefa39efp-1);
}

TEST_CASE("the normal quantile undoes the normal distribution function, tails included") {
  for (int exponent = 1; exponent <= 53; ++exponent) {
    for (const double mantissa : {1.0, 1.25, 1.9}) {
      const double p = std::ldexp(mantissa, -exponent - 1);
      const double x = normal_quantile(p);
      const double back = 0.5 * std::erfc(-x / std::sqrt(2.0));
      INFO("p " << p << " x " << x);
      // An error of one part in 1e15 in x moves p by about x^2 parts in 1e15.
      REQUIRE(std::abs(back - p) <= p * 2e-15 * (1 + x * x));
      if (p < 0.5 && 1 - (1 - p) == p) REQUIRE(normal_quantile(1 - p) == -x);
    }
  }
  CHECK(normal_quantile(0.5) == 0.0);
}

TEST_CASE("sinusoids lie on the circle and agree with the mathematical library") {
  for (std::uint64_t numerator = 0; numerator < 48; numerator += 5) {
    const DoubleDouble wave = wave_number(numerator, 48);
    CHECK(wave.high == doctest::Approx(std::pow(10000.0, -static_cast<double>(numerator) / 48)).epsilon(1e-15));
    for (const std::uint64_t position : {0U, 1U, 2U, 3U, 1000U, 1234567U}) {
      const auto [sine, cosine] = sine_cosine(position, wave);
      const double angle = static_cast<double>(position) * wave.high;
      INFO("position " << position << " wave " << wave.high);
      REQUIRE(std::abs(sine * sine + cosine * cosine - 1) <= 4e-16);
      // The library sees the angle rounded.
      REQUIRE(std::abs(sine - std::sin(angle)) <= 1e-15 + angle * 3e-16);
      REQUIRE(std::abs(cosine - std::cos(angle)) <= 1e-15 + angle * 3e-16);
    }
  }
}

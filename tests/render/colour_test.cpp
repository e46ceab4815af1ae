// The colour map looks even, and its neighbours on terminals are the nearest there are.
#include "render/colour.hpp"

#include <cmath>
#include <limits>
#include <random>

#include <doctest/doctest.h>

namespace attn::render {

namespace {

/// Lightness L* of CIE 1976 for the white of sRGB, from its definition.
double lightness(Colour colour) {
  const double y = luminance(colour);
  return y > 216.0 / 24389 ? 116 * std::cbrt(y) - 16 : y * 24389 / 27;
}

/// The colour that a terminal shows for a number from 16 on.
Colour of_number(int number) {
  if (number >= 232) {
    const auto level = static_cast<std::uint8_t>(8 + 10 * (number - 232));
    return {level, level, level};
  }
  const auto level = [](int n) { return static_cast<std::uint8_t>(n == 0 ? 0 : 55 + 40 * n); };
  return {level((number - 16) / 36), level((number - 16) / 6 % 6), level((number - 16) % 6)};
}

int distance(Colour a, Colour b) {
  const auto square = [](int x) { return x * x; };
  return square(a.red - b.red) + square(a.green - b.green) + square(a.blue - b.blue);
}

}  // namespace

TEST_CASE("viridis begins and ends where it was published, and NaN is none of its colours") {
  CHECK(viridis(0) == Colour{68, 1, 84});
  CHECK(viridis(1) == Colour{253, 231, 37});
  CHECK(viridis(0.5) == Colour{33, 144, 140});
  CHECK(viridis(-1) == viridis(0));
  CHECK(viridis(2) == viridis(1));
  CHECK(viridis(std::numeric_limits<double>::infinity()) == viridis(1));
  CHECK(viridis(std::nan("")) == kNoNumber);
  for (int i = 0; i <= 1000; ++i) CHECK(distance(viridis(i / 1000.0), kNoNumber) > 3000);
}

TEST_CASE("lightness grows evenly along the map") {
  const double first = lightness(viridis(0));
  const double last = lightness(viridis(1));
  CHECK(luminance(kWhite) == doctest::Approx(1));
  double before = first - 1;
  for (int i = 0; i <= 100; ++i) {
    const double now = lightness(viridis(i / 100.0));
    CHECK(now > before);
    // A straight line, as nearly as eight bits and the published map go.
    CHECK(std::abs(now - (first + (last - first) * i / 100.0)) < 3);
    before = now;
  }
}

TEST_CASE("numbers of terminal colours are near the best there is") {
  constexpr unsigned seed = 7;
  INFO("seed ", seed);
  std::mt19937 random(seed);
  std::uniform_int_distribution<int> channel(0, 255);
  for (int n = 0; n < 500; ++n) {
    const Colour colour{static_cast<std::uint8_t>(channel(random)), static_cast<std::uint8_t>(channel(random)),
                        static_cast<std::uint8_t>(channel(random))};
    int best = 1 << 20;
    for (int number = 16; number < 256; ++number) best = std::min(best, distance(colour, of_number(number)));
    const int number = xterm_colour(colour);
    CHECK(number >= 16);
    CHECK(number < 256);
    CHECK(distance(colour, of_number(number)) == best);
  }
}

}  // namespace attn::render

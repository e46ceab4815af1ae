// Places on scales, the numbers marked there, and cells along an axis.
#include "render/scale.hpp"

#include "render/picture.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include <doctest/doctest.h>

namespace attn::render {

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

Scale scale_of(const std::vector<double>& values, bool is_log) {
  ScaleMaker maker;
  maker.take(values);
  return maker.scale(is_log);
}

}  // namespace

TEST_CASE("a linear scale begins at 0 unless numbers are negative") {
  const Scale scale = scale_of({0.25, 0.5, 0.75}, false);
  CHECK(scale.low == 0);
  CHECK(scale.high == 0.75);
  CHECK(scale.place(0) == 0);
  CHECK(scale.place(0.375) == doctest::Approx(0.5));
  CHECK(scale.place(0.75) == 1);
  CHECK(scale.place(kInfinity) == 1);
  CHECK(std::isnan(scale.place(kNan)));
  CHECK_FALSE(scale.has_nan);
  const Scale signed_scale = scale_of({-2, 2, kNan, kInfinity}, false);
  CHECK(signed_scale.low == -2);
  CHECK(signed_scale.high == 2);
  CHECK(signed_scale.has_nan);
  CHECK(signed_scale.place(-kInfinity) == 0);
}

TEST_CASE("scales of nothing, zeros, NaN alone and one number still have two ends") {
  for (const bool is_log : {false, true}) {
    for (const std::vector<double>& values : std::vector<std::vector<double>>{{}, {0, 0}, {kNan}, {0.5}, {-1}}) {
      const Scale scale = scale_of(values, is_log);
      CHECK(scale.low < scale.high);
      CHECK(scale.place(scale.high) == 1);
      CHECK(scale.place(scale.low) == 0);
      CHECK(ticks_of(scale, 5).size() >= 2);
    }
  }
}

TEST_CASE("a logarithmic scale goes down to the least positive number, over six powers of ten at most") {
  const Scale scale = scale_of({0.001, 0.1, 1}, true);
  CHECK(scale.is_log);
  CHECK(scale.low == 0.001);
  CHECK_FALSE(scale.is_cut);
  CHECK(scale.place(0.1) == doctest::Approx(2.0 / 3));
  CHECK(scale.place(0) == 0);
  const Scale cut = scale_of({0, 1e-30, 1}, true);
  CHECK(cut.low == doctest::Approx(1e-6));
  CHECK(cut.is_cut);
  CHECK(cut.place(1e-30) == 0);
  CHECK(std::isnan(cut.place(kNan)));
}

TEST_CASE("marks are round, apart, and hold both ends") {
  for (const Scale& scale : {Scale{.low = 0, .high = 0.137}, Scale{.low = -3.2, .high = 7}, Scale{.low = 0, .high = 1e-7},
                             Scale{.low = 2e-6, .high = 0.7, .is_log = true}, Scale{.low = 0.2, .high = 0.5, .is_log = true}}) {
    for (const std::size_t most : {2U, 4U, 6U}) {
      const std::vector<Tick> ticks = ticks_of(scale, most);
      CHECK(ticks.front().value == scale.low);
      CHECK(ticks.back().value == scale.high);
      CHECK(ticks.size() <= most + 2);
      for (std::size_t i = 0; i + 1 < ticks.size(); ++i) {
        CHECK(scale.place(ticks[i + 1].value) - scale.place(ticks[i].value) > 0.6 / static_cast<double>(most));
        CHECK(ticks[i].text.size() <= 9);
      }
    }
  }
  CHECK(ticks_of({.low = 0, .high = 1}, 6)[1].text == "0.2");
}

TEST_CASE("index marks are round numbers below the length") {
  CHECK(index_ticks(0, 5).empty());
  CHECK(index_ticks(1, 5) == std::vector<std::size_t>{0});
  CHECK(index_ticks(5, 10) == std::vector<std::size_t>{0, 1, 2, 3, 4});
  CHECK(index_ticks(512, 6) == std::vector<std::size_t>{0, 100, 200, 300, 400, 500});
  CHECK(index_ticks(100000, 4) == std::vector<std::size_t>{0, 50000});
}

TEST_CASE("cells share out what lies along an axis, without overflow") {
  for (const std::size_t length : {1U, 2U, 7U, 96U, 97U, 1000U}) {
    for (std::size_t cells = 1; cells <= std::min<std::size_t>(length, 70); ++cells) {
      CHECK(first_of(0, cells, length) == 0);
      CHECK(first_of(cells, cells, length) == length);
      for (std::size_t c = 0; c < cells; ++c) {
        CHECK(first_of(c, cells, length) == c * length / cells);
        const std::size_t count = first_of(c + 1, cells, length) - first_of(c, cells, length);
        CHECK(count >= length / cells);
        CHECK(count <= length / cells + 1);
      }
    }
  }
  constexpr std::size_t huge = std::numeric_limits<std::size_t>::max();
  CHECK(first_of(4096, 4096, huge) == huge);
  CHECK(first_of(2048, 4096, huge - 1) == (huge - 1) / 2);
}

}  // namespace attn::render

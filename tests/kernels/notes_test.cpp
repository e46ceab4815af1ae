// What kernels learn of tiles besides the output, against plain loops, and the same bits on every target.
#include "kernels/kernel_support.hpp"

#include <cmath>
#include <limits>
#include <string>

#include <doctest/doctest.h>

namespace attn::kernels::test {

namespace {

constexpr std::size_t kCounts[] = {1, 2, 15, 16, 17, 95, 96};
constexpr std::size_t kLaneCounts[] = {1, 3, 4, 7, 8, 16, 17, 31, 33, 63, 64};

/// A tile as exponentials are: 1 for the largest, some 0.
template <class T>
Lanes<T> weights_tile(Random& random, std::size_t count) {
  Lanes<T> tile(count);
  for (std::size_t j = 0; j < count; ++j)
    for (std::size_t i = 0; i < kLanes; ++i)
      tile.at(j, i) = random.below(5) == 0 ? T(0) : static_cast<T>(std::exp(-20 * random.uniform()));
  return tile;
}

}  // namespace

TEST_CASE_TEMPLATE("row_sums are those of a plain loop", T, float, double) {
  Random random(61);
  const double tolerance = sizeof(T) == 4 ? 2e-6 : 1e-14;
  for (const KernelTable<T>* table : available<T>()) {
    CAPTURE(std::string(table->isa));
    for (const std::size_t count : kCounts) {
      for (const std::size_t lanes : kLaneCounts) {
        Lanes<T> tile = weights_tile<T>(random, count);
        Lanes<T> position(1);
        for (std::size_t i = 0; i < kLanes; ++i) position.at(0, i) = static_cast<T>(i) - T(20);
        Lanes<T> sums(3);
        const TileSums<T> to{.mass = sums.get(), .information = sums.get() + kLanes, .distance = sums.get() + 2 * kLanes};
        table->row_sums(tile.get(), count, lanes, position.get(), to);
        for (std::size_t i = 0; i < lanes; ++i) {
          double mass = 0;
          double information = 0;
          double distance = 0;
          for (std::size_t j = 0; j < count; ++j) {
            const auto w = static_cast<double>(tile.at(j, i));
            mass += w;
            information += w > 0 ? w * std::log(w) : 0;
            distance += w * std::abs(static_cast<double>(i) - 20 - static_cast<double>(j));
          }
          CHECK(std::abs(static_cast<double>(to.mass[i]) - mass) <= tolerance * std::max(1.0, mass));
          CHECK(std::abs(static_cast<double>(to.information[i]) - information) <= tolerance * std::max(1.0, -information));
          CHECK(std::abs(static_cast<double>(to.distance[i]) - distance) <= tolerance * std::max(1.0, distance));
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("key_sums and key_maxima are chains over the keys, bit for bit; a NaN stays", T, float, double) {
  Random random(67);
  for (const KernelTable<T>* table : available<T>()) {
    CAPTURE(std::string(table->isa));
    for (const std::size_t count : kCounts) {
      for (const std::size_t lanes : kLaneCounts) {
        Lanes<T> tile = weights_tile<T>(random, count);
        for (std::size_t i = 0; i < lanes; ++i)
          if (random.below(9) == 0) tile.at(random.below(count), i) = std::numeric_limits<T>::quiet_NaN();
        Lanes<T> sums(1);
        Lanes<T> maxima(1);
        table->key_sums(tile.get(), count, lanes, sums.get());
        table->key_maxima(tile.get(), count, lanes, maxima.get());
        for (std::size_t i = 0; i < lanes; ++i) {
          T sum = tile.at(0, i);
          T top = tile.at(0, i);
          for (std::size_t j = 1; j < count; ++j) {
            const T x = tile.at(j, i);
            sum = sum + x;
            top = x > top || std::isnan(x) ? x : top;
          }
          CHECK(same_numbers(&sum, &sums.at(0, i), 1));
          CHECK(same_numbers(&top, &maxima.at(0, i), 1));
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("a negative weight has no logarithm, 1 and 0 give exactly 0", T, float, double) {
  for (const KernelTable<T>* table : available<T>()) {
    CAPTURE(std::string(table->isa));
    Lanes<T> tile(2, T(0));
    Lanes<T> position(1, T(0));
    Lanes<T> sums(3);
    tile.at(0, 0) = -1;
    tile.at(0, 1) = 1;
    tile.at(0, 3) = std::numeric_limits<T>::quiet_NaN();
    tile.at(0, 4) = std::numeric_limits<T>::infinity();
    const TileSums<T> to{.mass = sums.get(), .information = sums.get() + kLanes, .distance = sums.get() + 2 * kLanes};
    table->row_sums(tile.get(), 2, 5, position.get(), to);
    CHECK(std::isnan(to.information[0]));
    CHECK(to.mass[0] == -1);
    CHECK(to.information[1] == 0);
    CHECK(to.information[2] == 0);
    CHECK(std::isnan(to.information[3]));
    CHECK(std::isinf(to.information[4]));
  }
}

TEST_CASE_TEMPLATE("the logarithm is right to some units in the last place, with the same bits everywhere", T, float, double) {
  Random random(62);
  constexpr std::size_t rows = 200;
  Lanes<T> numbers(rows);
  for (std::size_t k = 0; k < rows * kLanes; ++k) {
    const double spread = k % 2 == 0 ? 160 * (random.uniform() - 0.5) : 0.9 * (random.uniform() - 0.5);
    numbers.get()[k] = static_cast<T>(std::exp(spread));
  }
  const auto tables = available<T>();
  Lanes<T> first(numbers);
  tables.front()->log(first.get(), rows);
  const double unit = static_cast<double>(std::numeric_limits<T>::epsilon());
  for (std::size_t k = 0; k < rows * kLanes; ++k) {
    const double expected = std::log(static_cast<double>(numbers.get()[k]));
    CHECK(std::abs(static_cast<double>(first.get()[k]) - expected) <= 2 * unit * std::abs(expected) + 0.01 * unit);
  }
  for (const KernelTable<T>* table : tables) {
    CAPTURE(std::string(table->isa));
    Lanes<T> own(numbers);
    table->log(own.get(), rows);
    CHECK(same_bits(own, first, rows, kLanes));
  }
}

TEST_CASE_TEMPLATE("the largest logit is the first of equal ones, and only what exceeds the best counts", T, float, double) {
  Random random(63);
  for (const KernelTable<T>* table : available<T>()) {
    CAPTURE(std::string(table->isa));
    for (const std::size_t count : kCounts) {
      for (const std::size_t lanes : kLaneCounts) {
        Lanes<T> tile(count);
        Lanes<T> best(1);
        Lanes<T> row(1, T(-1));
        for (std::size_t i = 0; i < kLanes; ++i) {
          best.at(0, i) = i % 3 == 0 ? -std::numeric_limits<T>::infinity() : T(3);
          for (std::size_t j = 0; j < count; ++j) {
            const std::size_t draw = random.below(9);
            tile.at(j, i) = draw == 8 ? std::numeric_limits<T>::quiet_NaN() : static_cast<T>(draw);
          }
        }
        const Lanes<T> before(best);
        const std::uint64_t found = table->largest(tile.get(), count, lanes, best.get(), row.get());
        for (std::size_t i = 0; i < lanes; ++i) {
          T top = before.get()[i];
          T at = -1;
          for (std::size_t j = 0; j < count; ++j) {
            if (tile.at(j, i) > top) {
              top = tile.at(j, i);
              at = static_cast<T>(j);
            }
          }
          CHECK(best.at(0, i) == top);
          CHECK(((found >> i) & 1U) == (at >= 0 ? 1U : 0U));
          if (at >= 0) CHECK(row.at(0, i) == at);
        }
        if (lanes < kLanes) CHECK((found >> lanes) == 0);
      }
    }
  }
}

TEST_CASE_TEMPLATE("above and rows_above mark what exceeds the threshold of its lane or row", T, float, double) {
  Random random(64);
  for (const KernelTable<T>* table : available<T>()) {
    CAPTURE(std::string(table->isa));
    for (const std::size_t count : kCounts) {
      for (const std::size_t lanes : kLaneCounts) {
        Lanes<T> tile(count);
        Lanes<T> of_lane(1);
        Lanes<T> of_row(2);
        for (std::size_t i = 0; i < kLanes; ++i) {
          of_lane.at(0, i) = static_cast<T>(random.below(10));
          for (std::size_t j = 0; j < count; ++j)
            tile.at(j, i) = random.below(9) == 0 ? std::numeric_limits<T>::quiet_NaN() : static_cast<T>(random.below(10));
        }
        for (std::size_t j = 0; j < count; ++j)
          of_row.get()[j] = j % 5 == 3 ? -std::numeric_limits<T>::infinity() : static_cast<T>(random.below(10));
        const auto check = [&](bool any, const std::uint64_t* bits, const auto& threshold) {
          bool expected_any = false;
          for (std::size_t j = 0; j < count; ++j) {
            std::uint64_t expected = 0;
            for (std::size_t i = 0; i < lanes; ++i)
              if (tile.at(j, i) > threshold(j, i)) expected |= std::uint64_t{1} << i;
            CHECK(bits[j] == expected);
            expected_any = expected_any || expected != 0;
          }
          CHECK(any == expected_any);
        };
        std::uint64_t bits[kKeys] = {};
        const bool any = table->above(tile.get(), count, lanes, of_lane.get(), bits);
        check(any, bits, [&](std::size_t, std::size_t i) { return of_lane.at(0, i); });
        const bool any_row = table->rows_above(tile.get(), count, lanes, of_row.get(), bits);
        check(any_row, bits, [&](std::size_t j, std::size_t) { return of_row.get()[j]; });
      }
    }
  }
}

}  // namespace attn::kernels::test

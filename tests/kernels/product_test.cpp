// The two products and the moves between rows and lanes: against float64, and the same bits on every vector target.
#include "kernels/kernel_support.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include <doctest/doctest.h>

namespace attn::kernels::test {

namespace {

struct Size {
  std::size_t keys;
  std::size_t lanes;
  std::size_t dim;
};

const Size kSizes[] = {{1, 1, 1},   {5, 3, 2},    {6, 16, 3},   {7, 17, 4},   {11, 31, 5},  {12, 33, 7},
                       {95, 63, 8}, {96, 64, 13}, {96, 48, 64}, {13, 49, 65}, {96, 64, 40}, {10, 8, 512}};

template <class T>
using Bits = std::conditional_t<std::is_same_v<T, float>, std::uint32_t, std::uint64_t>;

template <class T>
constexpr double kUnit = std::is_same_v<T, float> ? 0x1p-23 : 0x1p-52;

/// A divisor and what it divides, of several kinds: usual ones, quotients next to the middle between two numbers, magnitudes at
/// the ends of the range, and any bits at all.
template <class T>
void make_fraction(Random& random, std::size_t kind, Lanes<T>& output, T& by, std::size_t lane, std::size_t count) {
  const auto any = [&random] { return std::bit_cast<T>(static_cast<Bits<T>>(random.bits())); };
  by = kind == 3 ? any() : static_cast<T>(random.uniform() * 4095 + 1);
  for (std::size_t f = 0; f < count; ++f) {
    T& x = output.at(f, lane);
    const T q = static_cast<T>((random.uniform() + 0.5) * (random.below(2) == 0 ? 1 : -1));
    const auto middle = static_cast<long double>(q) + static_cast<long double>(std::nextafter(q, T(2)) - q) / 2;
    x = kind == 0 ? static_cast<T>(random.uniform()) : any();
    if (kind == 1) x = static_cast<T>(middle * static_cast<long double>(by));
    if (kind == 2) x = std::ldexp(q, static_cast<int>(random.below(16)) - (std::is_same_v<T, float> ? 108 : 908));
    if (random.below(64) == 0) x = std::copysign(T(0), q);
  }
}

}  // namespace

TEST_CASE_TEMPLATE("scores are chains over the features", T, float, double) {
  for (const Size& size : kSizes) {
    CAPTURE(size.keys);
    CAPTURE(size.lanes);
    CAPTURE(size.dim);
    Random random(size.keys * 1000 + size.dim);
    const std::size_t stride = size.dim + size.keys % 3;
    const auto keys = random_values<T>(random, size.keys * stride);
    const auto queries = random_values<T>(random, size.lanes * size.dim);
    const auto& portable = *available<T>().back();
    Lanes<T> transposed(size.dim);
    portable.load_queries(queries.data(), size.dim, size.lanes, size.dim, T(1), transposed.get());
    Lanes<T> product(size.keys);
    Lanes<T> distance(size.keys);
    Lanes<T> top(1, T(0.25));
    portable.score_product(keys.data(), stride, size.keys, size.dim, transposed.get(), size.lanes, product.get(), top.get(), {});
    portable.score_distance(keys.data(), stride, size.keys, size.dim, transposed.get(), size.lanes, distance.get());
    for (std::size_t i = 0; i < size.lanes; ++i) {
      T largest = T(0.25);
      for (std::size_t j = 0; j < size.keys; ++j) {
        double sum = 0;
        double weight = 1;
        double squares = 0;
        for (std::size_t d = 0; d < size.dim; ++d) {
          const auto q = static_cast<double>(queries[i * size.dim + d]);
          const auto k = static_cast<double>(keys[j * stride + d]);
          sum += q * k;
          weight += std::abs(q * k);
          squares += (q - k) * (q - k);
        }
        CHECK(std::abs(static_cast<double>(product.at(j, i)) - sum) <= kUnit<T> * weight * 4);
        CHECK(std::abs(static_cast<double>(distance.at(j, i)) - squares) <= kUnit<T> * squares * 8);
        largest = std::max(largest, product.at(j, i));
      }
      CHECK(top.at(0, i) == largest);
    }
    for (const auto* table : available<T>()) {
      CAPTURE(table->isa);
      Lanes<T> other_query(size.dim);
      table->load_queries(queries.data(), size.dim, size.lanes, size.dim, T(1), other_query.get());
      CHECK(same_bits(other_query, transposed, size.dim, kLanes));
      Lanes<T> tile(size.keys);
      Lanes<T> other_top(1, T(0.25));
      table->score_product(keys.data(), stride, size.keys, size.dim, transposed.get(), size.lanes, tile.get(), other_top.get(),
                           {keys.data(), stride, size.keys, size.dim});
      CHECK(same_bits(tile, product, size.keys, size.lanes));
      CHECK(same_bits(other_top, top, 1, size.lanes));
      table->score_distance(keys.data(), stride, size.keys, size.dim, transposed.get(), size.lanes, tile.get());
      CHECK(same_bits(tile, distance, size.keys, size.lanes));
    }
  }
}

TEST_CASE_TEMPLATE("values are joined tile by tile", T, float, double) {
  for (const Size& size : kSizes) {
    CAPTURE(size.keys);
    CAPTURE(size.lanes);
    CAPTURE(size.dim);
    Random random(size.keys * 1000 + size.dim + 1);
    const std::size_t stride = size.dim + size.keys % 2;
    const auto values = random_values<T>(random, size.keys * stride);
    Lanes<T> weights(size.keys);
    Lanes<T> rescale(1);
    Lanes<T> before(size.dim);
    for (std::size_t i = 0; i < kLanes; ++i) {
      rescale.at(0, i) = static_cast<T>(random.uniform());
      for (std::size_t j = 0; j < size.keys; ++j) weights.at(j, i) = static_cast<T>(random.uniform());
      for (std::size_t f = 0; f < size.dim; ++f) before.at(f, i) = static_cast<T>(random.normal());
    }
    const auto& portable = *available<T>().back();
    Lanes<T> wanted(before);
    portable.value_product(weights.get(), values.data(), stride, size.keys, size.dim, size.lanes, rescale.get(), wanted.get(),
                           {});
    for (std::size_t f = 0; f < size.dim; ++f) {
      for (std::size_t i = 0; i < size.lanes; ++i) {
        double sum = static_cast<double>(before.at(f, i)) * static_cast<double>(rescale.at(0, i));
        double weight = std::abs(sum);
        for (std::size_t j = 0; j < size.keys; ++j) {
          const double term = static_cast<double>(weights.at(j, i)) * static_cast<double>(values[j * stride + f]);
          sum += term;
          weight += std::abs(term);
        }
        CHECK(std::abs(static_cast<double>(wanted.at(f, i)) - sum) <= kUnit<T> * weight * 4);
      }
    }
    const Lanes<T> everything(size.keys, T(1));
    for (const auto* table : available<T>()) {
      CAPTURE(table->isa);
      Lanes<T> output(before);
      table->value_product(weights.get(), values.data(), stride, size.keys, size.dim, size.lanes, rescale.get(), output.get(),
                           {values.data(), stride, size.keys, size.dim});
      CHECK(same_bits(output, wanted, size.dim, size.lanes));
      Lanes<T> selected(before);
      table->value_product_select(weights.get(), everything.get(), values.data(), stride, size.keys, size.dim, size.lanes,
                                  rescale.get(), selected.get());
      CHECK(same_bits(selected, wanted, size.dim, size.lanes));
    }
  }
}

TEST_CASE_TEMPLATE("a hidden key's value is not read", T, float, double) {
  const std::size_t dim = 7;
  std::vector<T> values(2 * dim, T(2));
  for (std::size_t f = 0; f < dim; ++f)
    values[dim + f] = f % 2 == 0 ? std::numeric_limits<T>::quiet_NaN() : -std::numeric_limits<T>::infinity();
  for (const auto* table : available<T>()) {
    CAPTURE(table->isa);
    Lanes<T> weights(2, T(0.5));
    Lanes<T> visible(2, T(1));
    for (std::size_t i = 1; i < kLanes; i += 2) visible.at(1, i) = 0;
    const Lanes<T> rescale(1, T(1));
    Lanes<T> output(dim, T(0));
    table->value_product_select(weights.get(), visible.get(), values.data(), dim, 2, dim, kLanes, rescale.get(), output.get());
    for (std::size_t f = 0; f < dim; ++f) {
      for (std::size_t i = 0; i < kLanes; ++i) CHECK(std::isfinite(output.at(f, i)) == (i % 2 == 1));
      CHECK(output.at(f, 1) == 1);
    }
    CHECK(table->all_finite(values.data(), dim, 1, dim));
    CHECK_FALSE(table->all_finite(values.data(), dim, 2, dim));
    for (std::size_t at = 0; at < dim; ++at) {
      std::vector<T> row(dim, std::numeric_limits<T>::max());
      CHECK(table->all_finite(row.data(), dim, 1, dim));
      row[at] = -std::numeric_limits<T>::infinity();
      CHECK_FALSE(table->all_finite(row.data(), dim, 1, dim));
    }
  }
}

TEST_CASE_TEMPLATE("rows come back divided, empty ones as zero, every NaN alike", T, float, double) {
  for (const std::size_t queries : {1U, 2U, 3U, 4U, 5U, 17U, 63U, 64U}) {
    for (const std::size_t dim : {1U, 2U, 3U, 4U, 5U, 7U, 8U, 9U, 15U, 16U, 17U, 64U, 96U}) {
      const std::size_t stride = dim + queries % 3;
      Random random(queries * 100 + dim);
      Lanes<T> output(dim);
      Lanes<T> divisor(1, T(0));
      for (std::size_t i = 0; i < queries; ++i) {
        divisor.at(0, i) = i % 5 == 2 ? T(0) : static_cast<T>(random.uniform() + 0.5);
        for (std::size_t f = 0; f < dim; ++f) output.at(f, i) = static_cast<T>(random.normal());
      }
      if (queries > 3) output.at(dim - 1, 3) = -std::numeric_limits<T>::quiet_NaN();
      for (const auto* table : available<T>()) {
        CAPTURE(table->isa);
        std::vector<T> rows(queries * stride, T(-1));
        table->store_rows(output.get(), divisor.get(), queries, dim, rows.data(), stride);
        for (std::size_t i = 0; i < queries; ++i) {
          for (std::size_t f = dim; f < stride; ++f) CHECK(rows[i * stride + f] == -1);
          for (std::size_t f = 0; f < dim; ++f) {
            const T by = divisor.at(0, i);
            T wanted = by == 0 ? T(0) : output.at(f, i) / by;
            if (std::isnan(wanted)) wanted = std::numeric_limits<T>::quiet_NaN();
            CHECK(std::memcmp(&wanted, &rows[i * stride + f], sizeof(T)) == 0);
          }
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("rows are divided with the bits of a division, whatever the numbers are", T, float, double) {
  for (std::size_t seed = 0; seed < 80; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Lanes<T> output(kKeys);
    Lanes<T> divisor(1);
    for (std::size_t i = 0; i < kLanes; ++i) make_fraction(random, seed % 4, output, divisor.at(0, i), i, kKeys);
    for (const auto* table : available<T>()) {
      CAPTURE(table->isa);
      std::vector<T> rows(kLanes * kKeys);
      table->store_rows(output.get(), divisor.get(), kLanes, kKeys, rows.data(), kKeys);
      std::size_t wrong = 0;
      for (std::size_t i = 0; i < kLanes; ++i) {
        for (std::size_t f = 0; f < kKeys; ++f) {
          const T by = divisor.at(0, i);
          T wanted = by == 0 ? T(0) : output.at(f, i) / by;
          if (std::isnan(wanted)) wanted = std::numeric_limits<T>::quiet_NaN();
          if (std::memcmp(&wanted, &rows[i * kKeys + f], sizeof(T)) != 0) ++wrong;
        }
      }
      CHECK(wrong == 0);
    }
  }
}

}  // namespace attn::kernels::test

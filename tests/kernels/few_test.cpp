// The kernels for few queries give the numbers of the tile kernels, and read nothing beyond their rows.
#include "kernels/kernel_support.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace attn::kernels::test {

namespace {

struct Shape {
  std::size_t lanes;
  std::size_t keys;
  std::size_t dim;
  std::size_t gap;  ///< elements between the rows
};

std::string text(const Shape& shape) {
  return std::to_string(shape.lanes) + " lanes, " + std::to_string(shape.keys) + " keys, " + std::to_string(shape.dim) +
         " features, gap " + std::to_string(shape.gap);
}

/// Every count of keys with a few widths, every width with a few counts, and every number of lanes with each.
std::vector<Shape> shapes() {
  std::vector<Shape> all;
  for (std::size_t lanes = 1; lanes <= kFewLanes; ++lanes) {
    for (std::size_t keys = 1; keys <= kKeys; ++keys)
      for (const std::size_t dim : {5U, 16U, 40U}) all.push_back({lanes, keys, dim, keys % 3});
    for (const std::size_t dim : {1U, 2U, 3U, 4U, 7U, 8U, 15U, 17U, 31U, 33U, 63U, 64U, 80U, 96U, 112U, 128U})
      for (const std::size_t keys : {1U, 3U, 15U, 16U, 17U, 31U, 33U, 95U, 96U}) all.push_back({lanes, keys, dim, dim % 4});
    for (const std::size_t dim : {256U, 511U, 512U, 513U, 521U, 600U, 1024U})
      for (const std::size_t keys : {7U, 18U}) all.push_back({lanes, keys, dim, dim % 4});
  }
  return all;
}

/// Rows of random numbers without the gap after the last one. `wild`: with a NaN, infinities and zeros of both signs.
template <class T>
std::vector<T> rows_of(Random& random, const Shape& shape, bool wild) {
  std::vector<T> rows((shape.keys - 1) * (shape.dim + shape.gap) + shape.dim);
  for (T& x : rows) x = static_cast<T>(random.uniform() - 0.5);
  if (!wild) return rows;
  rows[random.below(rows.size())] = std::numeric_limits<T>::quiet_NaN();
  rows[random.below(rows.size())] = kInf<T>;
  rows[random.below(rows.size())] = -kInf<T>;
  for (std::size_t i = 0; i < rows.size(); i += 1 + random.below(5)) rows[i] = random.below(2) == 0 ? T(0) : -T(0);
  return rows;
}

template <class T>
bool same_rows(const Lanes<T>& a, const Lanes<T>& b, std::size_t rows, std::size_t lanes) {
  for (std::size_t j = 0; j < rows; ++j)
    if (!same_numbers(a.get() + j * kLanes, b.get() + j * kLanes, lanes)) return false;
  return true;
}

template <class T>
void check_scores(const KernelTable<T>& table, const Shape& shape, bool wild) {
  Random random(shape.keys * 10000 + shape.dim * 10 + shape.lanes);
  const Fenced<T> keys(rows_of<T>(random, shape, wild));
  const std::size_t stride = shape.dim + shape.gap;
  const auto queries = random_values<T>(random, shape.lanes * stride);
  const Fenced<T> query_rows(std::vector<T>(shape.lanes * shape.dim));
  table.scale_rows(queries.data(), stride, shape.lanes, shape.dim, T(0.3), query_rows.get());
  Lanes<T> transposed(shape.dim);
  table.load_queries(queries.data(), stride, shape.lanes, shape.dim, T(0.3), transposed.get());
  Lanes<T> wanted(shape.keys);
  Lanes<T> wanted_top(1, -kInf<T>);
  wanted_top.at(0, shape.lanes - 1) = wild ? std::numeric_limits<T>::quiet_NaN() : T(0.5);
  Lanes<T> top(wanted_top);
  table.score_product(keys.get(), stride, shape.keys, shape.dim, transposed.get(), shape.lanes, wanted.get(), wanted_top.get(),
                      {});
  Lanes<T> tile(shape.keys);
  const Ahead<T> ahead{keys.get(), stride, shape.keys, shape.dim};
  table.few_score_product(keys.get(), stride, shape.keys, shape.dim, query_rows.get(), shape.lanes, tile.get(), top.get(), ahead);
  REQUIRE_MESSAGE(same_rows(tile, wanted, shape.keys, shape.lanes), table.isa, ": ", text(shape));
  REQUIRE_MESSAGE(same_numbers(top.get(), wanted_top.get(), shape.lanes), table.isa, ": ", text(shape));
  Lanes<T> again(shape.keys);
  table.few_score_product(keys.get(), stride, shape.keys, shape.dim, query_rows.get(), shape.lanes, again.get(), nullptr, {});
  REQUIRE_MESSAGE(same_rows(again, wanted, shape.keys, shape.lanes), table.isa, ": ", text(shape));
}

template <class T>
void check_values(const KernelTable<T>& table, const Shape& shape, bool wild) {
  Random random(shape.keys * 10000 + shape.dim * 10 + shape.lanes + 5);
  const Fenced<T> values(rows_of<T>(random, shape, wild));
  Lanes<T> weights(shape.keys);
  Lanes<T> rescale(1);
  Lanes<T> wanted(shape.dim);
  const Fenced<T> rows(random_values<T>(random, shape.lanes * shape.dim));
  for (std::size_t i = 0; i < shape.lanes; ++i) {
    rescale.at(0, i) = static_cast<T>(random.uniform());
    for (std::size_t j = 0; j < shape.keys; ++j) weights.at(j, i) = static_cast<T>(random.uniform());
  }
  const std::size_t stride = shape.dim + shape.gap;
  table.load_queries(rows.get(), shape.dim, shape.lanes, shape.dim, T(1), wanted.get());
  table.value_product(weights.get(), values.get(), stride, shape.keys, shape.dim, shape.lanes, rescale.get(), wanted.get(), {});
  const Ahead<T> ahead{values.get(), stride, shape.keys, shape.dim};
  table.few_value_product(weights.get(), values.get(), stride, shape.keys, shape.dim, shape.lanes, rescale.get(), rows.get(),
                          ahead);
  Lanes<T> output(shape.dim);
  table.load_queries(rows.get(), shape.dim, shape.lanes, shape.dim, T(1), output.get());
  REQUIRE_MESSAGE(same_rows(output, wanted, shape.dim, shape.lanes), table.isa, ": ", text(shape));
}

}  // namespace

TEST_CASE_TEMPLATE("few queries: the scores of the tile kernels, read inside the rows only", T, float, double) {
  for (const auto* table : available<T>()) {
    for (const Shape& shape : shapes()) {
      check_scores(*table, shape, false);
      check_scores(*table, shape, true);
    }
  }
}

TEST_CASE_TEMPLATE("few queries: the values of the tile kernels, read inside the rows only", T, float, double) {
  for (const auto* table : available<T>()) {
    for (const Shape& shape : shapes()) {
      check_values(*table, shape, false);
      check_values(*table, shape, true);
    }
  }
}

TEST_CASE_TEMPLATE("few queries: the softmax of the tile kernels", T, float, double) {
  for (const auto* table : available<T>()) {
    for (std::size_t keys = 1; keys <= kKeys; ++keys) {
      for (const std::size_t lanes : {1U, 2U, 3U, 8U}) {
        Random random(keys * 10 + lanes);
        Lanes<T> tile(keys);
        SoftmaxRows<T> rows = {};
        for (std::size_t i = 0; i < lanes; ++i) {
          for (std::size_t j = 0; j < keys; ++j)
            tile.at(j, i) = random.below(9) == 0 ? -kInf<T> : static_cast<T>(random.normal());
          if (keys % 7 == 3) tile.at(random.below(keys), i) = kInf<T>;
          if (keys % 7 == 5) tile.at(random.below(keys), i) = std::numeric_limits<T>::quiet_NaN();
          rows.maximum[i] = keys % 3 == 0 ? -kInf<T> : T(1);
          rows.next[i] = keys % 7 == 3 ? kInf<T> : T(keys % 2);
          rows.sum[i] = static_cast<T>(random.uniform());
          if (keys % 7 == 6) rows.maximum[i] = rows.next[i] = -kInf<T>;
        }
        for (const bool natural : {false, true}) {
          Lanes<T> wanted(tile);
          SoftmaxRows<T> wanted_rows = rows;
          table->softmax_step(wanted.get(), keys, lanes, natural, wanted_rows);
          Lanes<T> few(tile);
          SoftmaxRows<T> few_rows = rows;
          table->few_softmax_step(few.get(), keys, lanes, natural, few_rows);
          CHECK(same_rows(few, wanted, keys, lanes));
          CHECK(same_numbers(few_rows.sum, wanted_rows.sum, lanes));
          CHECK(same_numbers(few_rows.maximum, wanted_rows.maximum, lanes));
          CHECK(same_numbers(few_rows.rescale, wanted_rows.rescale, lanes));
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("few queries: which zero is the largest", T, float, double) {
  for (const auto* table : available<T>()) {
    for (std::size_t first = 0; first < 40; ++first) {
      // All scores are negative or a zero; the first zero that the walk meets is the maximum.
      std::vector<T> keys(40, T(-1));
      keys[first] = -T(0);
      keys[(first * 7 + 3) % 40] = T(0);
      const T query = 1;
      Lanes<T> transposed(1);
      table->load_queries(&query, 1, 1, 1, T(1), transposed.get());
      Lanes<T> tile(40);
      Lanes<T> wanted(1, -kInf<T>);
      Lanes<T> top(wanted);
      table->score_product(keys.data(), 1, 40, 1, transposed.get(), 1, tile.get(), wanted.get(), {});
      table->few_score_product(keys.data(), 1, 40, 1, &query, 1, tile.get(), top.get(), {});
      CHECK(same_bits(top, wanted, 1, 1));
    }
  }
}

TEST_CASE_TEMPLATE("queries become lanes, read inside the rows only, and lanes without a query are 0", T, float, double) {
  for (const auto* table : available<T>()) {
    for (const std::size_t dim : {1U, 2U, 3U, 4U, 5U, 7U, 8U, 17U, 40U, 63U}) {
      for (const std::size_t queries : {1U, 2U, 3U, 7U, 8U, 9U, 15U, 16U, 17U, 31U, 33U, 47U, 63U, 64U}) {
        Random random(dim * 100 + queries);
        const std::size_t stride = dim + dim % 3;
        const Fenced<T> rows(random_values<T>(random, (queries - 1) * stride + dim));
        Lanes<T> lanes(dim, T(7));
        table->load_queries(rows.get(), stride, queries, dim, T(0.3), lanes.get());
        bool right = true;
        for (std::size_t f = 0; f < dim; ++f)
          for (std::size_t i = 0; i < kLanes; ++i)
            right = right && lanes.at(f, i) == (i < queries ? rows.get()[i * stride + f] * T(0.3) : T(0));
        CHECK_MESSAGE(right, table->isa, ": ", queries, " queries of ", dim, " features");
      }
    }
  }
}

TEST_CASE_TEMPLATE("rows to lanes and back keep every bit", T, float, double) {
  const std::vector<T> rows{T(0), -T(0), kInf<T>, -kInf<T>, std::numeric_limits<T>::denorm_min(), std::numeric_limits<T>::max()};
  for (const auto* table : available<T>()) {
    Lanes<T> lanes(3);
    table->load_queries(rows.data(), 3, 2, 3, T(1), lanes.get());
    for (std::size_t i = 0; i < 2; ++i)
      for (std::size_t f = 0; f < 3; ++f) CHECK(std::memcmp(&lanes.at(f, i), &rows[i * 3 + f], sizeof(T)) == 0);
  }
}

}  // namespace attn::kernels::test

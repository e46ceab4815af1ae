// Cells of pictures against means and maxima of the dense matrix, from tiles of every form that walks hand out.
#include "analysis/pooled_weights.hpp"

#include "analysis/weights_file.hpp"
#include "kernels/kernels.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include <doctest/doctest.h>

namespace attn::analysis {

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct Dense {
  engine::Plan plan;
  std::vector<double> weights;  ///< [batch, heads, q_len, kv_len]
};

Dense dense_of(const Shape& shape, unsigned seed, bool is_negative) {
  Dense dense{plan_of_weights(shape, 0), std::vector<double>(element_count(shape))};
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> number(is_negative ? -1 : 0, is_negative ? -0.1 : 1);
  // Numbers that float holds exactly.
  for (double& w : dense.weights) w = static_cast<double>(static_cast<float>(number(random)));
  return dense;
}

/// Hands out blocks of 64 queries against tiles of 96 keys, [key][query] with a stride of 64, as the tiled engine does: final
/// weights, or what they are once they are divided.
template <class T>
void hand_out_tiles(const Dense& dense, PooledWeights<T>& cells, bool is_undivided = false) {
  const engine::Dims& d = dense.plan.dims;
  constexpr std::size_t keys = kernels::kKeys;
  constexpr std::size_t lanes = kernels::kLanes;
  alignas(64) T tile[keys * lanes];
  T divisor[lanes];
  for (std::size_t i = 0; i < lanes; ++i)
    divisor[i] = is_undivided ? static_cast<T>(std::ldexp(1.0, static_cast<int>(i % 7))) : T(1);
  for (std::size_t head = 0; head < d.batch * d.heads; ++head)
    for (std::size_t key = 0; key < d.kv_len; key += keys)
      for (std::size_t query = 0; query < d.q_len; query += lanes) {
        const std::size_t own_keys = std::min(keys, d.kv_len - key);
        const std::size_t queries = std::min(lanes, d.q_len - query);
        std::ranges::fill(tile, static_cast<T>(kNan));
        for (std::size_t j = 0; j < own_keys; ++j)
          for (std::size_t i = 0; i < queries; ++i)
            tile[j * lanes + i] = divisor[i] * static_cast<T>(dense.weights[(head * d.q_len + query + i) * d.kv_len + key + j]);
        cells.columns(
            {head / d.heads, head % d.heads, query, queries, key, own_keys, tile, 1, lanes, is_undivided ? divisor : nullptr});
      }
}

std::vector<double> expected_cells(const Dense& dense, std::size_t head, const PoolGrid& grid, Pool pool) {
  const engine::Dims& d = dense.plan.dims;
  std::vector<double> cells;
  for (std::size_t r = 0; r < grid.rows; ++r)
    for (std::size_t c = 0; c < grid.columns; ++c) {
      double sum = 0;
      double largest = -std::numeric_limits<double>::infinity();
      std::size_t count = 0;
      bool is_nan = false;
      for (std::size_t i = r * d.q_len / grid.rows; i < (r + 1) * d.q_len / grid.rows; ++i)
        for (std::size_t j = c * d.kv_len / grid.columns; j < (c + 1) * d.kv_len / grid.columns; ++j) {
          const double w = dense.weights[(head * d.q_len + i) * d.kv_len + j];
          sum += w;
          largest = std::max(largest, w);
          is_nan = is_nan || std::isnan(w);
          ++count;
        }
      cells.push_back(is_nan ? kNan : pool == Pool::mean ? sum / static_cast<double>(count) : largest);
    }
  return cells;
}

void check_near(const std::vector<double>& got, const std::vector<double>& expected, double tolerance) {
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    INFO("cell ", i, ": ", got[i], ", expected ", expected[i]);
    CHECK((std::isnan(expected[i]) ? std::isnan(got[i]) : std::abs(got[i] - expected[i]) <= tolerance));
  }
}

std::vector<std::size_t> sizes_up_to(std::size_t length) {
  std::vector<std::size_t> sizes;
  for (const std::size_t size : {std::size_t{1}, std::size_t{2}, std::size_t{7}, length / 3, length - 1, length})
    if (size >= 1 && size <= length) sizes.push_back(size);
  return sizes;
}

}  // namespace

TEST_CASE("cells are the means and maxima of their pairs, however tiles come") {
  constexpr unsigned seed = 11;
  INFO("seed ", seed);
  for (const Shape& shape :
       {Shape{1, 1, 1, 1}, Shape{1, 1, 1, 100}, Shape{2, 2, 65, 97}, Shape{1, 1, 130, 31}, Shape{1, 1, 63, 1000}})
    for (const bool is_negative : {false, true}) {
      const Dense dense = dense_of(shape, seed, is_negative);
      const Array array = Array::of<double>(shape, dense.weights);
      for (const Pool pool : {Pool::mean, Pool::max})
        for (const std::size_t rows : sizes_up_to(shape[2]))
          for (const std::size_t columns : sizes_up_to(shape[3])) {
            PoolGrid grid{rows, columns, {}};
            for (std::size_t head = 0; head < shape[0] * shape[1]; ++head)
              if (head != 1) grid.heads.push_back(head);
            INFO(shape[2], " x ", shape[3], " to ", rows, " x ", columns);
            PooledWeights<float> tiles(dense.plan, pool, grid);
            hand_out_tiles(dense, tiles);
            PooledWeights<float> undivided(dense.plan, pool, grid);
            hand_out_tiles(dense, undivided, true);
            PooledWeights<double> lines(dense.plan, pool, grid);
            engine::Observer<double>* const observers[] = {&lines};
            static_cast<void>(
                walk_weights(dense.plan, array, observers, {.threads = 3, .isa = {}, .cancelled = nullptr, .progress = {}}));
            CHECK(pieces_of(grid, shape[3]) >= columns);
            for (std::size_t n = 0; n < grid.heads.size(); ++n) {
              const std::vector<double> expected = expected_cells(dense, grid.heads[n], grid, pool);
              check_near(tiles.cells(n), expected, 1e-6);
              // Divisors are powers of 2 here: nothing is rounded but sums, and those alike.
              CHECK(undivided.cells(n) == tiles.cells(n));
              check_near(lines.cells(n), expected, 1e-13);
            }
          }
    }
}

TEST_CASE("a query whose weights add up to nothing weighs 0, and the largest weight is that of weights divided one by one") {
  const Dense dense = dense_of({1, 1, 64, 10}, 5, false);
  alignas(64) float tile[10 * 64];
  float divisor[64];
  for (std::size_t i = 0; i < 64; ++i) divisor[i] = i % 5 == 0 ? 0.0F : 3.0F + static_cast<float>(i);
  std::vector<double> expected;
  for (std::size_t i = 0; i < 64; ++i) {
    float top = 0;
    for (std::size_t j = 0; j < 10; ++j) {
      const auto w = static_cast<float>(dense.weights[i * 10 + j]);
      tile[j * 64 + i] = w;
      if (i % 5 != 0) top = std::max(top, w / divisor[i]);
    }
    expected.push_back(static_cast<double>(top));
  }
  PooledWeights<float> cells(dense.plan, Pool::max, {64, 1, {0}});
  cells.columns({0, 0, 0, 64, 0, 10, tile, 1, 64, divisor});
  CHECK(cells.cells(0) == expected);
}

TEST_CASE("a NaN is seen in its cell and nowhere else") {
  Dense dense = dense_of({1, 1, 70, 200}, 5, false);
  for (const std::size_t at :
       {std::size_t{0}, std::size_t{69 * 200 + 199}, std::size_t{33 * 200 + 95}, std::size_t{33 * 200 + 96}})
    dense.weights[at] = kNan;
  for (const Pool pool : {Pool::mean, Pool::max}) {
    const PoolGrid grid{11, 13, {0}};
    PooledWeights<float> cells(dense.plan, pool, grid);
    hand_out_tiles(dense, cells);
    check_near(cells.cells(0), expected_cells(dense, 0, grid, pool), 1e-6);
  }
}

TEST_CASE("tiles that nobody sees count as zeros, above negative numbers, too") {
  const Dense dense = dense_of({1, 1, 4, 200}, 5, true);
  const PoolGrid grid{2, 2, {0}};
  PooledWeights<float> cells(dense.plan, Pool::max, grid);
  // Keys 96 to 199 are never handed out.
  std::vector<float> tile(96 * 64, -1.0F);
  cells.columns({0, 0, 0, 4, 0, 96, tile.data(), 1, 64});
  check_near(cells.cells(0), {0, 0, 0, 0}, 0);
  PooledWeights<float> all(dense.plan, Pool::max, grid);
  for (const std::size_t key : {0U, 96U}) all.columns({0, 0, 0, 4, key, 96, tile.data(), 1, 64});
  all.columns({0, 0, 0, 4, 192, 8, tile.data(), 1, 64});
  check_near(all.cells(0), {-1, -1, -1, -1}, 0);
}

TEST_CASE("rows that are NaN as they are empty make their cells NaN") {
  Dense dense = dense_of({1, 1, 6, 3}, 5, false);
  dense.plan.options.empty_rows = Policy::nan;
  PooledWeights<float> cells(dense.plan, Pool::mean, {3, 1, {0}});
  hand_out_tiles(dense, cells);
  const std::uint8_t is_empty[] = {0, 0, 0, 1, 0, 0};
  engine::RowBlock<float> block;
  block.queries = 6;
  block.is_empty = is_empty;
  cells.rows(block);
  std::vector<double> expected = expected_cells(dense, 0, {3, 1, {0}}, Pool::mean);
  expected[1] = kNan;
  check_near(cells.cells(0), expected, 1e-6);
}

}  // namespace attn::analysis

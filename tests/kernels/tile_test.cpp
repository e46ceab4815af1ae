// Scores to logits to weights: masks, special values, and the same bits on every vector target.
#include "kernels/kernel_support.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include <doctest/doctest.h>

namespace attn::kernels::test {

namespace {

/// A tile of normal numbers, one in 16 masked, and with `wild` some infinities and NaN.
template <class T>
Lanes<T> random_tile(Random& random, std::size_t keys, bool wild) {
  Lanes<T> tile(keys);
  for (std::size_t j = 0; j < keys; ++j) {
    for (std::size_t i = 0; i < kLanes; ++i) {
      const std::size_t kind = random.below(wild ? 64 : 16);
      tile.at(j, i) = static_cast<T>(random.normal() * 3);
      if (kind == 0) tile.at(j, i) = -kInf<T>;
      if (kind == 20) tile.at(j, i) = kInf<T>;
      if (kind == 21) tile.at(j, i) = std::numeric_limits<T>::quiet_NaN();
    }
  }
  return tile;
}

template <class T>
void start(SoftmaxRows<T>& rows) {
  for (std::size_t i = 0; i < kLanes; ++i) {
    rows.maximum[i] = rows.next[i] = -kInf<T>;
    rows.sum[i] = rows.rescale[i] = 0;
  }
}

/// True when the sums of a running softmax that leaves the tile alone are those of the one that makes weights of it.
template <class T>
bool sums_agree(const KernelTable<T>& table, const Lanes<T>& tile, std::size_t keys, std::size_t lanes, bool natural,
                const SoftmaxRows<T>& before, const SoftmaxRows<T>& after) {
  const Lanes<T> read(tile);
  SoftmaxRows<T> rows = before;
  table.softmax_sums(read.get(), keys, lanes, natural, rows);
  const auto same = [lanes](const T* a, const T* b) { return std::memcmp(a, b, lanes * sizeof(T)) == 0; };
  return same(rows.sum, after.sum) && same(rows.maximum, after.maximum) && same(rows.rescale, after.rescale) &&
         same_bits(read, tile, keys, kLanes);
}

/// Everything the kernels make of one tile, in one pile for comparison.
template <class T>
std::vector<Lanes<T>> all_of(const KernelTable<T>& table, const Lanes<T>& raw, const LogitStage<T>& stage, std::size_t keys,
                             std::size_t lanes, bool natural) {
  std::vector<Lanes<T>> made;
  Lanes<T> tile(raw);
  Lanes<T> seen(1, T(0));
  SoftmaxRows<T> rows;
  start(rows);
  table.logits(stage, keys, lanes, tile.get(), rows.next, seen.get());
  made.push_back(seen);
  Lanes<T> weights(tile);
  const SoftmaxRows<T> before = rows;
  table.softmax_step(weights.get(), keys, lanes, natural, rows);
  CHECK(sums_agree(table, tile, keys, lanes, natural, before, rows));
  Lanes<T> sum(1);
  std::copy_n(rows.sum, kLanes, sum.get());
  Lanes<T> maximum(1);
  std::copy_n(rows.maximum, kLanes, maximum.get());
  Lanes<T> second(tile);
  Lanes<T> second_sum(1, T(0));
  table.double_step(second.get(), keys, lanes, natural, rows, second_sum.get());
  Lanes<T> sigmoid(tile);
  table.sigmoid(sigmoid.get(), keys, lanes);
  Lanes<T> plain(tile);
  table.zero_masked(plain.get(), keys, lanes);
  Lanes<T> visible(keys);
  table.visibility(tile.get(), keys, lanes, visible.get());
  for (Lanes<T>* one : {&tile, &weights, &second, &sigmoid, &plain}) table.finish_tile(one->get(), keys, lanes, nullptr);
  table.finish_tile(weights.get(), keys, lanes, sum.get());
  for (Lanes<T>* one : {&sum, &maximum, &second_sum}) table.finish_tile(one->get(), 1, lanes, nullptr);
  for (const Lanes<T>* one : {&tile, &weights, &second, &sigmoid, &plain, &visible}) made.push_back(*one);
  for (const Lanes<T>* one : {&sum, &maximum, &second_sum}) made.push_back(*one);
  return made;
}

}  // namespace

TEST_CASE_TEMPLATE("every vector target makes the same bits of a tile", T, float, double) {
  for (const std::size_t keys : {std::size_t{1}, std::size_t{5}, std::size_t{95}, kKeys}) {
    for (const std::size_t lanes : {1U, 7U, 16U, 17U, 33U, 63U, 64U}) {
      for (unsigned option = 0; option < 128; ++option) {
        Random random(keys * 10000 + lanes * 100 + option);
        const Lanes<T> raw = random_tile<T>(random, keys, (option & 1U) != 0);
        const Lanes<T> bias = random_tile<T>(random, keys, false);
        Lanes<T> begin(1, T(0));
        Lanes<T> end(1, T(0));
        for (std::size_t i = 0; i < kLanes; ++i) {
          begin.at(0, i) = static_cast<T>(random.below(keys));
          end.at(0, i) = static_cast<T>(random.below(keys + 1));
        }
        LogitStage<T> stage;
        stage.clamp = (option & 2U) != 0;
        stage.factor = (option & 4U) != 0 ? T(0.7) : T(1);
        stage.cap = (option & 8U) != 0 ? T(5) : T(0);
        stage.bias = (option & 16U) != 0 ? bias.get() : nullptr;
        if ((option & 32U) != 0) {
          stage.begin = begin.get();
          stage.end = end.get();
        }
        std::vector<std::uint64_t> keep(keys);
        for (std::uint64_t& bits : keep)
          bits = random.below(1U << 31U) << 33U ^ random.below(1U << 31U) << 13U ^ random.below(1U << 31U);
        if ((option & 64U) != 0) stage.keep = keep.data();
        stage.negate = option % 3 == 0;
        const bool natural = option % 2 == 0;
        const auto wanted = all_of(*available<T>().back(), raw, stage, keys, lanes, natural);
        for (const auto* table : available<T>()) {
          const auto made = all_of(*table, raw, stage, keys, lanes, natural);
          for (std::size_t n = 0; n < made.size(); ++n) {
            const bool wide = n >= 1 && n <= 6;
            const bool same = same_bits(made[n], wanted[n], wide ? keys : 1, lanes);
            CHECK_MESSAGE(same, table->isa, " differs in result ", n, " of ", keys, " keys, ", lanes, " lanes, options ", option);
          }
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("logits: order of the stages, masks select", T, float, double) {
  for (const auto* table : available<T>()) {
    CAPTURE(table->isa);
    Lanes<T> tile(3, T(4));
    tile.at(1, 0) = std::numeric_limits<T>::quiet_NaN();
    tile.at(1, 1) = kInf<T>;
    Lanes<T> bias(3, T(1));
    bias.at(1, 0) = bias.at(1, 1) = bias.at(1, 2) = -kInf<T>;
    Lanes<T> begin(1, T(0));
    Lanes<T> end(1, T(3));
    begin.at(0, 3) = 1;
    end.at(0, 3) = 2;
    end.at(0, 4) = 0;
    Lanes<T> top(1, -kInf<T>);
    Lanes<T> seen(1, T(0));
    LogitStage<T> stage;
    stage.root = true;
    stage.factor = -3;
    stage.cap = 8;
    stage.bias = bias.get();
    stage.begin = begin.get();
    stage.end = end.get();
    const std::uint64_t keep[3] = {~std::uint64_t{1U << 5U}, ~std::uint64_t{0}, std::uint64_t{1} << 63U | 1U};
    stage.keep = keep;
    stage.negate = true;
    table->logits(stage, 3, kLanes, tile.get(), top.get(), seen.get());
    const double x = -(8 * std::tanh(2.0 * -3 / 8) + 1);
    CHECK(std::abs(static_cast<double>(tile.at(0, 0)) - x) < 1e-5);
    for (const std::size_t lane : {0U, 1U, 2U}) CHECK(tile.at(1, lane) == -kInf<T>);
    CHECK(tile.at(0, 3) == -kInf<T>);
    CHECK(std::isfinite(tile.at(1, 3)));
    CHECK(tile.at(2, 3) == -kInf<T>);
    CHECK(tile.at(0, 5) == -kInf<T>);
    CHECK(tile.at(1, 5) == tile.at(0, 0));
    CHECK(tile.at(2, 5) == -kInf<T>);
    CHECK(tile.at(2, 62) == -kInf<T>);
    CHECK(tile.at(2, 63) == tile.at(0, 0));
    CHECK(top.at(0, 0) == tile.at(0, 0));
    CHECK(top.at(0, 4) == -kInf<T>);
    CHECK(seen.at(0, 0) == 1);
    CHECK(seen.at(0, 4) == 0);
    CHECK(table->any_visible(tile.get(), kLanes, 3, kLanes));
    Lanes<T> hidden(2, -kInf<T>);
    CHECK_FALSE(table->any_visible(hidden.get(), kLanes, 2, kLanes));
    hidden.at(1, 20) = std::numeric_limits<T>::quiet_NaN();
    CHECK_FALSE(table->any_visible(hidden.get(), kLanes, 2, 20));
    CHECK(table->any_visible(hidden.get(), kLanes, 2, 21));
  }
}

TEST_CASE_TEMPLATE("the running softmax takes infinities to their limit and NaN through", T, float, double) {
  for (const auto* table : available<T>()) {
    CAPTURE(table->isa);
    Lanes<T> tile(3, T(0));
    for (std::size_t j = 0; j < 3; ++j) tile.at(j, 0) = -kInf<T>;  // no key
    tile.at(1, 1) = tile.at(2, 1) = kInf<T>;                       // two keys share the weight
    tile.at(1, 2) = std::numeric_limits<T>::quiet_NaN();           // not a number
    tile.at(1, 3) = -kInf<T>;                                      // one key masked
    SoftmaxRows<T> rows;
    start(rows);
    table->logits({}, 3, kLanes, tile.get(), rows.next, nullptr);
    table->softmax_step(tile.get(), 3, kLanes, true, rows);
    CHECK(rows.sum[0] == 0);
    CHECK(rows.sum[1] == 2);
    CHECK(tile.at(0, 1) == 0);
    CHECK(tile.at(1, 1) == 1);
    CHECK(std::isnan(rows.sum[2]));
    CHECK(rows.sum[3] == 2);
    CHECK(tile.at(1, 3) == 0);
    CHECK(rows.sum[4] == 3);
    // A second tile with a larger logit shrinks what came before; an empty row stays empty.
    Lanes<T> next(1, T(0));
    next.at(0, 0) = -kInf<T>;
    next.at(0, 4) = static_cast<T>(std::log(4.0));
    table->logits({}, 1, kLanes, next.get(), rows.next, nullptr);
    table->softmax_step(next.get(), 1, kLanes, true, rows);
    CHECK(rows.sum[0] == 0);
    CHECK(rows.sum[1] == 2);
    CHECK(std::abs(static_cast<double>(rows.sum[4]) - 1.75) < 1e-6);
    CHECK(std::abs(static_cast<double>(rows.rescale[4]) - 0.25) < 1e-6);
  }
}

}  // namespace attn::kernels::test

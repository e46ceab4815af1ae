// Two spans of keys joined: against the whole in float64, empty spans, infinities, and the same bits on every vector target.
#include "kernels/kernel_support.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include <doctest/doctest.h>

namespace attn::kernels::test {

namespace {

constexpr std::size_t kDim = 3;

/// A running softmax and its output.
template <class T>
struct Span {
  SoftmaxRows<T> rows;
  Lanes<T> output = Lanes<T>(kDim, T(0));
};

/// The softmax of logits[i][begin .. end) over the values; lanes take turns at special logits.
template <class T>
Span<T> span_of(const KernelTable<T>& table, const Lanes<T>& logits, const std::vector<T>& values, std::size_t begin,
                std::size_t end, bool natural) {
  Span<T> span;
  for (std::size_t i = 0; i < kLanes; ++i) {
    span.rows.maximum[i] = span.rows.next[i] = -kInf<T>;
    span.rows.sum[i] = span.rows.rescale[i] = 0;
  }
  Lanes<T> tile(kKeys);
  for (std::size_t j = begin; j < end; ++j)
    for (std::size_t i = 0; i < kLanes; ++i) tile.at(j - begin, i) = logits.get()[j * kLanes + i];
  table.logits({}, end - begin, kLanes, tile.get(), span.rows.next, nullptr);
  table.softmax_step(tile.get(), end - begin, kLanes, natural, span.rows);
  table.value_product(tile.get(), values.data() + begin * kDim, kDim, end - begin, kDim, kLanes, span.rows.rescale,
                      span.output.get(), {});
  return span;
}

template <class T>
Lanes<T> special_logits(Random& random, std::size_t keys) {
  Lanes<T> logits(keys);
  for (std::size_t j = 0; j < keys; ++j) {
    for (std::size_t i = 0; i < kLanes; ++i) {
      T x = static_cast<T>(random.normal() * 3);
      if (i % 8 == 1 && j < keys / 2) x = -kInf<T>;   // nothing in the first span
      if (i % 8 == 2 && j >= keys / 2) x = -kInf<T>;  // nothing in the second span
      if (i % 8 == 3) x = -kInf<T>;
      if (i % 8 == 4 && j == 1) x = kInf<T>;
      if (i % 8 == 5 && j >= keys - 2) x = kInf<T>;
      if (i % 8 == 6 && j % 8 == 1) x = kInf<T>;
      if (i % 16 == 7 && j == keys - 1) x = std::numeric_limits<T>::quiet_NaN();
      logits.at(j, i) = x;
    }
  }
  return logits;
}

}  // namespace

TEST_CASE_TEMPLATE("two running softmaxes make the softmax of both", T, float, double) {
  constexpr std::size_t keys = 40;
  const double tolerance = std::is_same_v<T, float> ? 2e-6 : 4e-15;
  for (const bool natural : {false, true}) {
    Random random(natural ? 1 : 2);
    const Lanes<T> logits = special_logits<T>(random, keys);
    const auto values = random_values<T>(random, keys * kDim);
    const auto& portable = *available<T>().back();
    Span<T> wanted = span_of(portable, logits, values, 0, keys / 2, natural);
    const Span<T> part = span_of(portable, logits, values, keys / 2, keys, natural);
    const Span<T> first = wanted;
    portable.join_spans(wanted.rows, wanted.output.get(), part.rows, part.output.get(), kDim, kLanes, natural);
    const Span<T> whole = span_of(portable, logits, values, 0, keys, natural);
    for (std::size_t i = 0; i < kLanes; ++i) {
      CAPTURE(i);
      CHECK(wanted.rows.maximum[i] == whole.rows.maximum[i]);
      CHECK(wanted.rows.next[i] == whole.rows.maximum[i]);
      CHECK(std::isnan(wanted.rows.sum[i]) == std::isnan(whole.rows.sum[i]));
      if (!std::isnan(whole.rows.sum[i])) {
        const auto sum = static_cast<double>(whole.rows.sum[i]);
        CHECK(std::abs(static_cast<double>(wanted.rows.sum[i]) - sum) <= tolerance * sum);
      }
      const Span<T>& unchanged = i % 8 == 1 ? part : first;
      if (i % 8 >= 1 && i % 8 <= 3) CHECK(std::memcmp(&wanted.rows.sum[i], &unchanged.rows.sum[i], sizeof(T)) == 0);
      for (std::size_t f = 0; f < kDim; ++f) {
        const T got = wanted.output.at(f, i);
        const auto exact = static_cast<double>(whole.output.get()[f * kLanes + i]);
        CHECK(std::isnan(got) == std::isnan(exact));
        if (!std::isnan(exact))
          CHECK(std::abs(static_cast<double>(got) - exact) <= tolerance * static_cast<double>(whole.rows.sum[i]) * 4);
        if (i % 8 >= 1 && i % 8 <= 3) CHECK(std::memcmp(&got, unchanged.output.get() + f * kLanes + i, sizeof(T)) == 0);
      }
    }
    for (const auto* table : available<T>()) {
      for (const std::size_t lanes : {1U, 15U, 17U, 64U}) {
        CAPTURE(table->isa);
        Span<T> total = first;
        table->join_spans(total.rows, total.output.get(), part.rows, part.output.get(), kDim, lanes, natural);
        CHECK(same_numbers(total.rows.sum, wanted.rows.sum, lanes));
        CHECK(same_numbers(total.rows.maximum, wanted.rows.maximum, lanes));
        for (std::size_t f = 0; f < kDim; ++f) CHECK(same_numbers(&total.output.at(f, 0), &wanted.output.at(f, 0), lanes));
      }
    }
  }
}

TEST_CASE_TEMPLATE("an empty span leaves even the sign of a zero, on either side", T, float, double) {
  for (const auto* table : available<T>()) {
    CAPTURE(table->isa);
    Span<T> full;
    Span<T> empty;
    for (std::size_t i = 0; i < kLanes; ++i) {
      full.rows.maximum[i] = full.rows.next[i] = T(-2);
      full.rows.sum[i] = T(1);
      empty.rows.maximum[i] = empty.rows.next[i] = -kInf<T>;
      empty.rows.sum[i] = 0;
      for (std::size_t f = 0; f < kDim; ++f) full.output.at(f, i) = -T(0);
    }
    Span<T> total = full;
    table->join_spans(total.rows, total.output.get(), empty.rows, empty.output.get(), kDim, kLanes, true);
    CHECK(same_bits(total.output, full.output, kDim, kLanes));
    Span<T> other = empty;
    table->join_spans(other.rows, other.output.get(), full.rows, full.output.get(), kDim, kLanes, true);
    CHECK(same_bits(other.output, full.output, kDim, kLanes));
    CHECK(other.rows.maximum[5] == -2);
    CHECK(other.rows.sum[5] == 1);
  }
}

TEST_CASE_TEMPLATE("plain sums are added where both have seen a key", T, float, double) {
  for (const auto* table : available<T>()) {
    CAPTURE(table->isa);
    Lanes<T> seen(1, T(0));
    Lanes<T> part_seen(1, T(0));
    Lanes<T> output(kDim, -T(0));
    Lanes<T> part(kDim, T(0));
    for (std::size_t i = 0; i < kLanes; ++i) {
      seen.at(0, i) = i % 2 == 0 ? T(1) : T(0);
      part_seen.at(0, i) = i % 4 < 2 ? T(1) : T(0);
      for (std::size_t f = 0; f < kDim; ++f) part.at(f, i) = i % 4 < 2 ? static_cast<T>(i + f + 1) : T(0);
    }
    output.at(1, 0) = std::numeric_limits<T>::quiet_NaN();
    table->add_spans(seen.get(), output.get(), part_seen.get(), part.get(), kDim, kLanes);
    for (std::size_t i = 0; i < kLanes; ++i) {
      CHECK(seen.at(0, i) == (i % 4 == 3 ? T(0) : T(1)));
      for (std::size_t f = 0; f < kDim; ++f) {
        if (i == 0 && f == 1) continue;
        CHECK(output.at(f, i) == part.at(f, i));
        CHECK(std::signbit(output.at(f, i)) == (i % 4 >= 2));
      }
    }
    CHECK(std::isnan(output.at(1, 0)));
  }
}

}  // namespace attn::kernels::test

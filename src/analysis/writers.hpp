// Observers that put what the walk hands out into output arrays: outputs, weights, scores, log-sum-exp, weighted rows.
#pragma once

#include "engine/observer.hpp"
#include "engine/operands.hpp"
#include "engine/plan.hpp"

#include <attn/options.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <utility>

namespace attn::analysis {

using engine::Needs;
using engine::Observer;
using engine::RowBlock;
using engine::Tile;

/// Where the rows of an output lie. Strides count elements.
struct RowStrides {
  std::size_t batch = 0;
  std::size_t head = 0;
  std::size_t query = 0;
};

/// Puts finished numbers to their place in an output array, from any thread.
template <class D>
using Put = std::function<void(D* to, std::span<const D> numbers)>;

/// Writes y (plus the query with --residual) as D. T is the type the engine computes in.
template <class T, class D>
class OutputWriter : public Observer<T> {
 public:
  /// `put` takes the rows instead of the memory at `output`, those that lie side by side at once.
  OutputWriter(const engine::Plan& plan, const engine::Operands<T>& operands, D* output, RowStrides strides, Put<D> put = {})
      : plan_(plan), operands_(operands), output_(output), strides_(strides), put_(std::move(put)) {}

  [[nodiscard]] Needs needs() const override { return {.output = true}; }
  void rows(const RowBlock<T>& block) override;

 private:
  /// The rows of the block, `step` apart.
  void write(const RowBlock<T>& block, D* first, std::size_t step) const;

  const engine::Plan& plan_;
  const engine::Operands<T>& operands_;
  D* output_;
  RowStrides strides_;
  Put<D> put_;
};

/// Writes one number for each pair as D: weights, or scores at a stage. The array [batch, heads, q_len, kv_len] must hold zeros.
template <class T, class D>
class PairWriter : public Observer<T> {
 public:
  enum class What { weights, raw_scores, capped_scores, masked_scores };
  /// `put` is told of numbers that can go to the array as they are; without it they are stored there.
  PairWriter(const engine::Plan& plan, What what, D* pairs, Put<D> put = {})
      : plan_(plan), what_(what), pairs_(pairs), put_(std::move(put)) {}

  [[nodiscard]] Needs needs() const override;
  void weights(const Tile<T>& tile) override { write(tile); }
  void raw_scores(const Tile<T>& tile) override { write(tile); }
  void capped_scores(const Tile<T>& tile) override { write(tile); }
  void masked_scores(const Tile<T>& tile) override { write(tile); }
  void rows(const RowBlock<T>& block) override;

 private:
  void write(const Tile<T>& tile);
  [[nodiscard]] D* row(std::size_t b, std::size_t h, std::size_t i) const noexcept {
    return pairs_ + ((b * plan_.dims.heads + h) * plan_.dims.q_len + i) * plan_.dims.kv_len;
  }

  const engine::Plan& plan_;
  What what_;
  D* pairs_;
  Put<D> put_;
};

/// Writes the log-sum-exp of each row as D, [batch, heads, q_len].
template <class T, class D>
class LseWriter : public Observer<T> {
 public:
  /// `put` takes the numbers instead of the memory at `values`.
  LseWriter(const engine::Plan& plan, D* values, Put<D> put = {}) : plan_(plan), values_(values), put_(std::move(put)) {}
  [[nodiscard]] Needs needs() const override { return {.log_sum_exp = true}; }
  void rows(const RowBlock<T>& block) override;

 private:
  const engine::Plan& plan_;
  D* values_;
  Put<D> put_;
};

/// Writes w_ij v_j as D, [batch, heads, q_len, kv_len, value_dim]; the array must hold zeros.
template <class T, class D>
class WeightedRowsWriter : public Observer<T> {
 public:
  WeightedRowsWriter(const engine::Plan& plan, const engine::Operands<T>& operands, D* products)
      : plan_(plan), operands_(operands), products_(products) {}
  [[nodiscard]] Needs needs() const override { return {.weights = true}; }
  void weights(const Tile<T>& tile) override;
  void rows(const RowBlock<T>& block) override;

 private:
  /// The product of the tile's weight (i, j) and its value.
  void weigh(const Tile<T>& tile, std::size_t i, std::size_t j, const T* value);

  const engine::Plan& plan_;
  const engine::Operands<T>& operands_;
  D* products_;
};

/// Counts queries without a visible key and finds the first.
template <class T>
class EmptyRows : public Observer<T> {
 public:
  explicit EmptyRows(const engine::Plan& plan) : plan_(plan) {}
  [[nodiscard]] Needs needs() const override { return {}; }
  void rows(const RowBlock<T>& block) override;

  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  /// Position of the first in [batch, heads, q_len], flattened.
  [[nodiscard]] std::uint64_t first() const noexcept { return first_; }

 private:
  const engine::Plan& plan_;
  std::atomic<std::uint64_t> count_ = 0;
  std::atomic<std::uint64_t> first_ = std::numeric_limits<std::uint64_t>::max();
};

/// Notices whether any NaN came out, in the outputs or, where none are computed, in the log-sum-exp.
template <class T>
class NanWatch : public Observer<T> {
 public:
  NanWatch(const engine::Plan& plan, bool watch_output) : plan_(plan), watch_output_(watch_output) {}
  [[nodiscard]] Needs needs() const override { return {.output = watch_output_, .log_sum_exp = !watch_output_}; }
  void rows(const RowBlock<T>& block) override;
  [[nodiscard]] bool seen() const noexcept { return seen_; }

 private:
  const engine::Plan& plan_;
  bool watch_output_;
  std::atomic<bool> seen_ = false;
};

}  // namespace attn::analysis

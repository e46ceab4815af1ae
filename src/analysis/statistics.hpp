// Statistics of attention: what rows, columns and heads of the weights say, taken from a walk that never holds them.
#pragma once

#include "analysis/shared_observer.hpp"
#include "engine/observer.hpp"
#include "engine/plan.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace attn::analysis {

using engine::KeyWeight;
using engine::Needs;
using engine::RowBlock;
using engine::RowFacts;
using engine::Tile;

/// Keeps the facts of every row, [batch, heads, q_len].
template <class T>
class RowStatistics : public engine::Observer<T> {
 public:
  explicit RowStatistics(const engine::Plan& plan) : plan_(plan), rows_(plan.dims.batch * plan.dims.heads * plan.dims.q_len) {}
  [[nodiscard]] Needs needs() const override { return {.facts = true}; }
  void rows(const RowBlock<T>& block) override;
  [[nodiscard]] const std::vector<RowFacts>& facts() const noexcept { return rows_; }

 private:
  const engine::Plan& plan_;
  std::vector<RowFacts> rows_;
};

/// What one column of weights says: what key j receives from all queries.
struct ColumnFacts {
  double received = 0;     ///< sum_i w_ij
  double maximum = 0;      ///< the largest weight
  std::size_t argmax = 0;  ///< its query, the lowest of equal ones
};

/// Sums up and keeps the facts of every column, [batch, heads, kv_len]. A sum is one chain over the queries in ascending order,
/// 16 neighbours side by side, so that it does not depend on threads or vectors.
template <class T>
class ColumnStatistics : public SharedObserver<T> {
 public:
  explicit ColumnStatistics(const engine::Plan& plan);
  [[nodiscard]] Needs needs() const override { return {.columns = true}; }
  void columns(const Tile<T>& tile) override;
  [[nodiscard]] std::string told(const Lines& lines) const override {
    return bytes_of(lines, columns_, plan_.dims.heads, plan_.dims.kv_len);
  }
  void learn(const Lines& lines, std::string_view bytes) override {
    take_bytes(lines, bytes, columns_, plan_.dims.heads, plan_.dims.kv_len);
  }
  [[nodiscard]] const std::vector<ColumnFacts>& facts() const noexcept { return columns_; }

 private:
  const engine::Plan& plan_;
  std::vector<ColumnFacts> columns_;
};

/// Means over the rows of one head.
struct HeadFacts {
  double entropy = 0;
  double support = 0;  ///< of exp(entropy) of each row
  double maximum = 0;
  double distance = 0;
};

/// [batch, heads] from the facts of rows; all 0 for heads without rows.
[[nodiscard]] std::vector<HeadFacts> head_facts(const engine::Dims& dims, const std::vector<RowFacts>& rows);

}  // namespace attn::analysis

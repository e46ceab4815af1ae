// Observers that judge what another program claims against the walk in float64, row by row and tile by tile.
#pragma once

#include "analysis/error_bound.hpp"
#include "analysis/verdict.hpp"
#include "analysis/writers.hpp"
#include "engine/observer.hpp"
#include "engine/operands.hpp"
#include "engine/plan.hpp"

#include <attn/array.hpp>

#include <memory>
#include <optional>
#include <vector>

namespace attn::analysis {

/// An array that is judged, and where the rows of queries lie in it.
struct ClaimedArray {
  Array array;
  RowStrides strides;  ///< elements

  [[nodiscard]] std::size_t first(std::size_t batch, std::size_t head, std::size_t query) const noexcept {
    return batch * strides.batch + head * strides.head + query * strides.query;
  }
  /// `count` elements from `first` on as doubles.
  void read(std::size_t first, std::size_t count, double* out) const;
};

/// Outputs of all heads with their bounds, [batch * q_len, heads * value_dim] of float64: what an output projection takes.
struct HeadsOutput {
  Array output;
  Array bounds;
  RowStrides strides;
};

/// Where the results of a walk over rows go. Null for what is not wanted; everything must outlive the walk.
struct RowClaims {
  const ClaimedArray* output = nullptr;
  Judgement* outputs = nullptr;
  const ClaimedArray* lse = nullptr;
  Judgement* log_sum_exps = nullptr;
  HeadsOutput* heads = nullptr;  ///< is filled
  bool keep_rows = false;        ///< for PairJudge
};

/// Judges outputs and log-sum-exps in a walk over ErrorBound::extended_values(), and keeps the bounds of rows for PairJudge.
class RowJudge : public engine::Observer<double> {
 public:
  RowJudge(const engine::Plan& plan, const engine::Operands<double>& operands, const ErrorBound& bound, const RowClaims& claims);

  [[nodiscard]] engine::Needs needs() const override {
    return {.output = true, .log_sum_exp = true, .weights = bound_.wants_logs()};
  }
  void weights(const engine::Tile<double>& tile) override;
  void rows(const engine::RowBlock<double>& block) override;

  [[nodiscard]] const RowBound& row(std::size_t b, std::size_t h, std::size_t i) const {
    return kept_[(b * plan_.dims.heads + h) * plan_.dims.q_len + i];
  }

 private:
  void judge_output(std::size_t b, std::size_t h, std::size_t i, const double* exact, std::span<const double> residual,
                    bool is_empty, const double* bounds, Tally& tally) const;
  void collect(std::size_t b, std::size_t h, std::size_t i, const double* exact, bool is_empty, const double* bounds) const;

  const engine::Plan& plan_;
  const engine::Operands<double>& operands_;
  const ErrorBound& bound_;
  RowClaims claims_;
  double* heads_output_ = nullptr;
  double* heads_bounds_ = nullptr;
  std::vector<RowBound> kept_;
  std::vector<LogWeights> logs_;  ///< [batch, heads, q_len], where the bound wants them
};

/// Judges claimed weights [.., q_len, kv_len], or weighted rows [.., q_len, kv_len, value_dim] when `values` are given: one
/// number or value_dim numbers for each pair. Pairs that the walk leaves out must be claimed as 0.
class PairJudge : public engine::Observer<double> {
 public:
  PairJudge(const engine::Plan& plan, const ErrorBound& bound, const RowJudge& rows, const ClaimedArray& claim,
            const engine::RowSource<double>* values, Judgement& judgement);

  [[nodiscard]] engine::Needs needs() const override { return {.weights = true}; }
  void weights(const engine::Tile<double>& tile) override;
  void rows(const engine::RowBlock<double>& block) override;

 private:
  struct Row;
  void judge(std::size_t b, std::size_t h, std::size_t i, std::size_t key, double weight, bool is_visible, const double* value,
             const double* claimed, Tally& tally) const;
  void judge_left_out(std::size_t b, std::size_t h, std::size_t i, std::size_t begin, std::size_t end, bool is_empty,
                      Tally& tally) const;

  const engine::Plan& plan_;
  const ErrorBound& bound_;
  const RowJudge& rows_;
  const ClaimedArray& claim_;
  const engine::RowSource<double>* values_;
  Judgement& judgement_;
  std::size_t width_;              ///< numbers of a pair
  std::vector<std::size_t> next_;  ///< [batch, heads, q_len]: the first key not judged yet
};

}  // namespace attn::analysis

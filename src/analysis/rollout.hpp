// Attention rollout: how much each row of a stack's output owes to each row of its input, through the weights of all layers.
#pragma once

#include "engine/engine.hpp"
#include "engine/observer.hpp"
#include "engine/plan.hpp"
#include "model/linear.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace attn::analysis {

/// The sum of an attention's weights over its heads, [batch, q_len, kv_len]. Heads come from several threads in any order, so the
/// sums are kept in fixed point (2^-50), where the order changes nothing. For weights between 0 and 1.
template <class T>
class HeadSum : public engine::Observer<T> {
 public:
  explicit HeadSum(const engine::Plan& plan);
  [[nodiscard]] engine::Needs needs() const override { return {.weights = true}; }
  void weights(const engine::Tile<T>& tile) override;

  [[nodiscard]] const engine::Dims& dims() const noexcept { return dims_; }
  /// The mean over the heads; NaN in all of a row in which some head had NaN.
  [[nodiscard]] double mean(std::size_t batch, std::size_t query, std::size_t key) const noexcept;

 private:
  engine::Dims dims_;
  std::vector<std::int64_t> sums_;
  std::vector<std::uint8_t> is_nan_;  ///< [batch, q_len]
};

/// Abnar and Zuidema 2020: each layer mixes rows by A = (mean over heads + 1) / 2, its rows scaled to sum 1; the rollout is the
/// product of these over the layers, the last one leftmost.
class Rollout {
 public:
  Rollout(std::size_t batch, std::size_t length) : batch_(batch), length_(length) {}

  /// Puts the next layer before those so far.
  template <class T>
  void add(const HeadSum<T>& weights, model::Arithmetic arithmetic, const engine::Execution& execution);

  /// [batch, length, length]; row i says where row i of the output comes from. Empty before the first layer.
  [[nodiscard]] const std::vector<double>& flow() const noexcept { return flow_; }

 private:
  std::size_t batch_;
  std::size_t length_;
  std::vector<double> flow_;
};

}  // namespace attn::analysis

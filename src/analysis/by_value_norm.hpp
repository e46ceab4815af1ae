// Weights by what they add to the output: hands observers |w_ij| * ||v_j|| in the place of w_ij.
#pragma once

#include "analysis/strongest.hpp"
#include "analysis/value_norms.hpp"
#include "engine/observer.hpp"
#include "engine/plan.hpp"
#include "kernels/kernels.hpp"

#include <cstddef>
#include <memory>
#include <vector>

namespace attn::analysis {

/// The strongest of the entries that it is given, in ascending order of their numbers, one after another.
class KeyQueue {
 public:
  /// Nothing that weighs no more than this is kept any longer.
  [[nodiscard]] double threshold() const noexcept { return threshold_; }
  /// Adds an entry above the threshold; `most` is the same in all calls.
  void add(engine::KeyWeight entry, std::size_t most);
  /// The `most` strongest, strongest first, ties to the lowest number. Leaves the queue without memory.
  [[nodiscard]] std::vector<engine::KeyWeight> take(std::size_t most);

 private:
  std::vector<engine::KeyWeight> entries_;
  double threshold_ = 0;
};

/// Stands between the walk and observers of weights: final weights become norms n_ij = ||w_ij v_j|| = |w_ij| ||v_j|| (Kobayashi
/// et al. 2020, "Attention is not only a weight", without its output projection), and rows get facts and strongest keys of these.
/// Largest norm and mass are those of the norms as they are; entropy and distance are of their shares, n_ij / sum_j n_ij, so that
/// the scale of values does not matter to them. A pair of weight 0 has norm 0, whatever its value holds.
///
/// Sums are made over pieces of 1,024 keys, 64 neighbours side by side in T, and over the pieces in double.
template <class T>
class ByValueNorm : public engine::Observer<T> {
 public:
  /// `plan` and `inner` must outlive this.
  ByValueNorm(const engine::Plan& plan, std::shared_ptr<const ValueNorms<T>> norms, std::vector<engine::Observer<T>*> inner);

  [[nodiscard]] engine::Needs needs() const override;
  void weights(const engine::Tile<T>& tile) override;
  void columns(const engine::Tile<T>& tile) override;
  void rows(const engine::RowBlock<T>& block) override;

 private:
  /// What the pieces of one row have added up to; gone once the row is handed on.
  struct RowNorms {
    double mass = 0;
    double information = 0;  ///< sum n ln n
    double distance = 0;     ///< sum n |p - j|
    double maximum = 0;
    std::size_t argmax = 0;
    KeyQueue top;
  };

  [[nodiscard]] std::size_t row_of(std::size_t b, std::size_t h, std::size_t i) const noexcept {
    return (b * plan_.dims.heads + h) * plan_.dims.q_len + i;
  }
  /// Takes norms of `count` neighbouring keys of one query, aligned, with zeros up to whole rows of kLanes; `first` is the first
  /// key, and `position` counts from it.
  void take_piece(RowNorms& row, const T* norms, std::size_t count, std::size_t first, T position) const;

  const engine::Plan& plan_;
  const std::shared_ptr<const ValueNorms<T>> norms_;
  const std::vector<engine::Observer<T>*> inner_;
  engine::Needs inner_needs_;  ///< all together, `top` at most as many as there are keys
  const kernels::KernelTable<T>& kernels_;
  std::vector<RowNorms> rows_;  ///< [batch, heads, q_len], written by several threads
};

}  // namespace attn::analysis

// A picture of weights, from the walk to its file.
#pragma once

#include "analysis/pooled_weights.hpp"
#include "request/plot_view.hpp"

#include <attn/io.hpp>

#include <memory>
#include <string>

namespace attn::request {

/// Declares the file, gathers the cells, draws. T is the type the walk hands out.
template <class T>
class PlotOutput {
 public:
  /// `settings`, `plan` and the names must live until finish().
  PlotOutput(const PlotSettings& settings, const engine::Plan& plan, const PlotNames& names, Outputs& files);

  [[nodiscard]] analysis::SharedObserver<T>* observer() noexcept { return &cells_; }
  /// After the walk: draws, and warns where there is no font to write with. Throws Error(data) for a negative weight on a
  /// logarithmic scale.
  void finish(Reporter& reporter);
  /// After finish(): some cell is NaN.
  [[nodiscard]] bool saw_nan() const noexcept { return saw_nan_; }

 private:
  const PlotSettings& settings_;
  const engine::Plan& plan_;
  PlotNames names_;
  PlotView view_;
  analysis::PooledWeights<T> cells_;
  std::shared_ptr<std::string> bytes_;  ///< of the file, shared with who writes it
  bool saw_nan_ = false;
};

}  // namespace attn::request

// The computation of a stack of layers: norms, attentions, feed-forward networks and the sums between them.
#pragma once

#include "analysis/rollout.hpp"
#include "engine/engine.hpp"
#include "model/linear.hpp"
#include "request/layer_frames.hpp"
#include "request/layer_inputs.hpp"
#include "request/run.hpp"

#include <attn/io.hpp>

#include <cstddef>
#include <functional>
#include <string>

namespace attn::request {

/// Runs the layers of `in` over its rows. T is the type computed in, D the type of the files of weights, scores and log-sum-exps.
template <class T, class D>
class LayerWalk {
 public:
  /// All of them must outlive the walk; `request` has its engine and threads resolved.
  LayerWalk(const LayerRequest& request, const LayerInputs& in, const RunContext& context, Workspace& workspace, Outputs& files);
  /// Follows the rows through all self-attentions; to be called before run().
  void follow(analysis::Rollout& rollout) noexcept { rollout_ = &rollout; }

  /// Computes all layers and returns the rows that come out: an array of T shaped as the rows that went in, which lives in the
  /// workspace.
  const Array& run();

 private:
  using Part = std::function<void(const Array& rows, T* out)>;
  void run_layer(const StackedLayer& layer);
  /// state = state + part(norm(state)) or norm(state + part(state)).
  void add_part(const StackedLayer& layer, const model::Norm& norm, const Part& part);
  void attend(const StackedLayer& layer, bool is_cross, const Array& rows, T* out);
  void project(const StackedLayer& layer, AttentionFrame& frame, bool is_cross, const Array& rows);
  void normalize_heads(const Array& weight, const StackedLayer& layer, std::size_t head_dim, Array& rows) const;
  void feed_forward(const StackedLayer& layer, const Array& rows, T* out);
  void announce(const StackedLayer& layer, const AttentionFrame& frame, std::uint64_t empty, std::uint64_t zero_vectors);
  [[nodiscard]] T* numbers(const std::string& name, std::size_t width);

  const LayerRequest& request_;
  const LayerInputs& in_;
  const RunContext& context_;
  Workspace& workspace_;
  Outputs& files_;
  engine::Execution execution_;
  model::Arithmetic arithmetic_;
  analysis::Rollout* rollout_ = nullptr;
  std::size_t rows_;
  std::size_t width_;
};

}  // namespace attn::request

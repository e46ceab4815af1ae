// The attentions of a stack of layers as runs: projected rows as query, key and value, with the options and files of each layer.
#pragma once

#include "engine/plan.hpp"
#include "request/estimate.hpp"
#include "request/layer_inputs.hpp"
#include "request/run_outputs.hpp"

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace attn::request {

/// Arrays of one type that are used again and again: the same memory for the same name and shape.
class Workspace {
 public:
  explicit Workspace(DType type) : type_(type) {}
  [[nodiscard]] Array& get(const std::string& name, const Shape& shape);
  [[nodiscard]] std::uint64_t bytes() const noexcept;
  [[nodiscard]] DType type() const noexcept { return type_; }

 private:
  DType type_;
  std::map<std::pair<std::string, Shape>, Array> arrays_;
};

/// One attention of one layer, ready to be computed once its arrays hold the projected rows.
struct AttentionFrame {
  const model::AttentionParameters* parameters = nullptr;
  RunInputs inputs;    ///< query, key and value are the three arrays below
  RunRequest request;  ///< the files of this layer; its output goes nowhere
  engine::Plan plan;
  std::vector<OutputPlan> outputs;
  Array* query = nullptr;  ///< of the workspace
  Array* key = nullptr;
  Array* value = nullptr;
};

/// `is_cross`: over the memory. Throws Error(usage) for several layers that would write one file, and what planning throws.
[[nodiscard]] AttentionFrame make_frame(const LayerRequest& request, const LayerInputs& in, const StackedLayer& layer,
                                        bool is_cross, Workspace& workspace);

/// `shape` with another last dimension.
[[nodiscard]] Shape with_width(Shape shape, std::size_t width);

/// What is needed and written before anything runs.
struct LayerPlan {
  engine::Dims dims;                ///< of the first self-attention
  std::vector<OutputPlan> outputs;  ///< the rows that come out first, when they are written
  Estimate estimate;
  std::uint64_t attention_bytes = 0;  ///< what the largest attention takes beside the workspace
  engine::Plan first;                 ///< the first self-attention
};

/// Throws Error(usage) and Error(data) for everything that is wrong with shapes, options and output files.
[[nodiscard]] LayerPlan plan_layers(const LayerRequest& request, const LayerInputs& in, Workspace& workspace);

}  // namespace attn::request

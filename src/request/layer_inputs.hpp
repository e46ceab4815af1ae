// Reading what a layer request names: rows, memory, the parameters of each layer, and what is computed with them.
#pragma once

#include "model/config.hpp"
#include "model/layer_parameters.hpp"
#include "request/layer_request.hpp"
#include "request/run_inputs.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace attn::request {

/// One layer of the stack, with everything decided that names, config.json and options leave open.
struct StackedLayer {
  std::size_t number = 0;  ///< as --layers has it
  model::LayerParameters parameters;
  model::HeadCounts heads;
  model::HeadCounts cross_heads;
  model::NormOrder order = model::NormOrder::post;
  model::Activation activation = model::Activation::gelu;
  AttentionOptions self;   ///< of the self-attention
  AttentionOptions cross;  ///< of the cross-attention: without positions

  /// One line on what was recognized and decided.
  [[nodiscard]] std::string summary() const;
};

struct LayerInputs {
  RunInputs x;  ///< the rows, as query, key and value, with masks, lengths and segments
  std::optional<RunInputs> memory;
  std::vector<StackedLayer> layers;
  bool is_stack = false;  ///< --layers was given
  std::optional<model::ModelConfig> config;
  std::string parameter_file;
  DType compute = DType::f32;
  ReadFiles files;  ///< rows, memory, parameters

  [[nodiscard]] const Array& rows() const noexcept { return x.inputs.query.array; }
  [[nodiscard]] std::size_t width() const { return layers.front().parameters.set.width; }
};

/// Reads all files of the request. Throws Error(usage) for arguments that contradict each other, Error(data) for parameters that
/// do not fit the rows, and what reading and recognizing throw.
[[nodiscard]] LayerInputs read_layer_inputs(const LayerRequest& request, Reporter& reporter, SharedInputs* shared = nullptr);

}  // namespace attn::request

// Attention on projected inputs: x becomes query, key and value before the engine sees it, and its output goes through W_o.
#pragma once

#include "engine/engine.hpp"
#include "engine/inputs.hpp"
#include "model/attention_parameters.hpp"
#include "request/run_request.hpp"
#include "request/shared_inputs.hpp"

#include <attn/io.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace attn::request {

/// What --params brings into a run.
class Projection {
 public:
  /// Reads the parameters of the layer that the request names and config.json beside them. Throws what recognizing throws.
  Projection(const RunRequest& request, Reporter& reporter);
  Projection(const Projection&) = delete;
  Projection& operator=(const Projection&) = delete;

  /// True when a parameter is float64, which decides the type computed in.
  [[nodiscard]] bool holds_double() const;
  [[nodiscard]] const model::AttentionParameters& parameters() const noexcept { return parameters_; }
  [[nodiscard]] const model::HeadCounts& heads() const noexcept { return heads_; }
  [[nodiscard]] const std::optional<model::ModelConfig>& config() const noexcept { return config_; }
  /// The tensors as inputs of the run: role and content.
  [[nodiscard]] ReadFiles files() const;
  /// One line on what was recognized.
  [[nodiscard]] std::string summary() const;

  /// Puts arrays of the projected shapes in the place of query, key and value: zeros of `computed_in` until project() is called.
  /// Throws Error(usage) for inputs that have heads already, Error(data) for widths that the parameters do not take.
  /// Rows that another run of `shared` projects from the same files are the same rows.
  void take_over(engine::Inputs& inputs, DType computed_in, const RunRequest& request, SharedInputs* shared = nullptr);
  /// Fills the arrays of take_over(). To be called once, before the engine prepares its operands.
  void project(const engine::Execution& execution, model::Arithmetic arithmetic);

  /// The output [rows, width] of D from the engine's heads side by side, [rows, heads * value_dim] of T: y = x W_o + b, and the
  /// query as it was read when `residual`. T is D or double.
  template <class T, class D>
  void project_output(const Array& heads_output, bool residual, D* output, const engine::Execution& execution,
                      model::Arithmetic arithmetic) const;

  /// The rows of query (0), key (1) and value (2) as they came in, after take_over().
  [[nodiscard]] const Array& input(std::size_t side) const { return sides_[side].rows.array; }
  [[nodiscard]] std::size_t output_width() const noexcept { return parameters_.set.output.out; }
  /// The first NaN among the parameters, as text; empty when there is none.
  [[nodiscard]] std::string first_nan() const;

  /// Memory and work for estimates; `threads` is what will run.
  [[nodiscard]] std::uint64_t working_bytes(std::size_t threads) const;
  [[nodiscard]] double flops() const;

 private:
  struct Side {
    const char* role = nullptr;
    const model::Linear* linear = nullptr;
    engine::NamedArray rows;  ///< as they came in
    Array projected;
    std::shared_ptr<SharedInputs::Rows> shared = nullptr;  ///< whose array `projected` is
  };
  [[nodiscard]] std::size_t output_rows() const;

  model::AttentionParameters parameters_;
  model::HeadCounts heads_;
  std::optional<model::ModelConfig> config_;
  std::string file_;
  std::vector<Side> sides_;  ///< query, key, value
};

/// The reference engine multiplies in plain loops, the tiled one with OpenBLAS.
[[nodiscard]] inline model::Arithmetic arithmetic_of(const RunRequest& request) noexcept {
  return request.engine == EngineChoice::reference ? model::Arithmetic::plain : model::Arithmetic::blas;
}

}  // namespace attn::request

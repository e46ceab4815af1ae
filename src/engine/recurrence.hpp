// Recurrent linear attention: a state of [head_dim, value_dim] numbers for each key/value head, which every token changes and
// reads.
#pragma once

#include "engine/engine.hpp"
#include "engine/inputs.hpp"

#include <attn/array.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>

namespace attn::engine {

/// How a token changes the state S, with key k, value v, decay g, rate beta: first S = diag(exp(g)) S where it is gated; then
/// S = S + k u^T, where u = v, or with the delta rule u = beta (v - S^T k). Katharopoulos et al. 2020 (linear); Yang et al. 2024,
/// "Gated Linear Attention" (gated); Schlag et al. 2021 (delta); Yang et al. 2025, "Gated Delta Networks"; as the operator
/// LinearAttention of ONNX has them.
enum class UpdateRule { linear, gated, delta, gated_delta };

[[nodiscard]] constexpr bool is_gated(UpdateRule r) noexcept { return r == UpdateRule::gated || r == UpdateRule::gated_delta; }
[[nodiscard]] constexpr bool is_delta(UpdateRule r) noexcept { return r == UpdateRule::delta || r == UpdateRule::gated_delta; }

/// Query, key and value as attn run takes them. `decay` holds logarithms, one for each feature of each key head, one for each
/// head or one for all: [batch, length, kv_heads * head_dim], [.., kv_heads] or [.., 1], or [batch, kv_heads, length, head_dim or
/// 1]; axes that are 1 or left out are repeated. `beta` likewise, without features. `past_state` is [batch, kv_heads, head_dim,
/// value_dim]; leading axes of 1 may be left out.
struct RecurrentInputs {
  NamedArray query;
  NamedArray key;
  NamedArray value;
  NamedArray decay;
  NamedArray beta;
  NamedArray past_state;
  std::size_t heads = 0;           ///< packed query heads; 0: not packed
  std::size_t kv_heads = 0;        ///< packed key and value heads; 0: as many as query heads
  std::optional<UpdateRule> rule;  ///< default: gated with a decay, delta with a beta
  double scale = 0;                ///< 0: 1 / sqrt(head_dim)
};

/// Where the number of (batch entry, head, token, feature) stands in an array whose axes may be repeated (stride 0).
struct RepeatedAxes {
  std::size_t batch = 0;
  std::size_t head = 0;
  std::size_t token = 0;
  std::size_t feature = 0;
  [[nodiscard]] std::size_t at(std::size_t b, std::size_t h, std::size_t t) const noexcept {
    return b * batch + h * head + t * token;
  }
};

struct RecurrentPlan {
  Dims dims;  ///< kv_len is q_len
  UpdateRule rule = UpdateRule::linear;
  double scale = 1;
  RepeatedAxes decay;
  RepeatedAxes beta;
  Shape output_shape;  ///< in the layout of the query
  HeadLayout output;
  Shape state_shape;

  /// Numbers of the decay for one token and head: head_dim, or 1.
  [[nodiscard]] std::size_t gate_width() const noexcept { return decay.feature == 0 ? 1 : dims.head_dim; }
  /// Additions and multiplications.
  [[nodiscard]] double flops() const noexcept;
};

/// Checks all shapes against each other. Throws Error(usage) when the rule lacks its decay or beta or has one too many, and
/// Error(data) for arrays that do not fit; messages name every shape.
[[nodiscard]] RecurrentPlan plan_recurrence(const RecurrentInputs& inputs);

/// Where results go; null drops one. D is the type written.
template <class D>
struct RecurrentResults {
  D* output = nullptr;  ///< as plan.output says
  D* state = nullptr;   ///< [batch, kv_heads, head_dim, value_dim]
};

/// Token by token in float64, each line of the formula by itself. Returns whether a NaN came out.
template <class D>
bool run_recurrence_reference(const RecurrentPlan& plan, const RecurrentInputs& inputs, const RecurrentResults<D>& results,
                              const Execution& execution);

/// The same in T, float or double, by vector kernels on blocks of columns of the states: columns do not depend on each other, so
/// the bits are the same for any number of threads and any vector target.
template <class T>
bool run_recurrence(const RecurrentPlan& plan, const RecurrentInputs& inputs, const RecurrentResults<T>& results,
                    const Execution& execution);

/// Bytes of memory that the walk needs besides inputs and results.
[[nodiscard]] std::uint64_t recurrence_bytes(const RecurrentPlan& plan, const RecurrentInputs& inputs, DType computed_in,
                                             bool is_reference, std::size_t threads);

}  // namespace attn::engine

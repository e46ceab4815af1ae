// LayerNorm and RMSNorm over rows.
#pragma once

#include "engine/engine.hpp"

#include <attn/array.hpp>

#include <cstddef>

namespace attn::model {

/// The normalization of rows. Weight and bias are arrays of one number for each feature, of any floating type.
struct Norm {
  Array weight;             ///< no dimensions: rows are not normalized at all
  Array bias;               ///< no dimensions: none
  double epsilon = 1e-5;    ///< added to the variance or the mean square, under the root
  bool keeps_mean = false;  ///< RMSNorm instead of LayerNorm

  [[nodiscard]] bool given() const noexcept { return !weight.shape().empty(); }
};

/// Rows of `width` numbers, [rows, width]. LayerNorm (Ba et al. 2016): (x - mean) / sqrt(variance + epsilon) * weight + bias,
/// where the variance divides by the width; RMSNorm (Zhang and Sennrich 2019): x / sqrt(mean of squares + epsilon) * weight.
/// Means are summed in double. `out` may be `x`. Rows do not mix, and the bits depend on neither threads nor the processor. T is
/// float or double.
template <class T>
void apply_norm(const Norm& norm, const T* x, T* out, std::size_t rows, std::size_t width, const engine::Execution& execution);

/// The same after x += y; a norm that is not given leaves it at that. What was the sum is in `x` afterwards, its norm in `out`.
template <class T>
void add_and_norm(const Norm& norm, const T* y, T* x, T* out, std::size_t rows, std::size_t width,
                  const engine::Execution& execution);

}  // namespace attn::model

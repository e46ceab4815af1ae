// y = x W + b: matrices as they lie in files of parameters, and their products with rows of input.
#pragma once

#include "engine/engine.hpp"
#include "model/names.hpp"

#include <attn/array.hpp>

#include <cstddef>
#include <string>

namespace attn::model {

/// A weight with `in` input and `out` output features inside a tensor of any floating type. Element (i, o) is
/// array[first + i * stride + o] for in_out and array[first + o * stride + i] for out_in.
struct Matrix {
  Array array;
  Orientation orientation = Orientation::out_in;
  std::size_t in = 0;
  std::size_t out = 0;
  std::size_t first = 0;
  std::size_t stride = 0;

  /// Element (i, o), widened.
  [[nodiscard]] double at(std::size_t i, std::size_t o) const {
    return array.at_flat(first + (orientation == Orientation::in_out ? i * stride + o : o * stride + i));
  }
};

/// A weight and its bias.
struct Linear {
  Matrix weight;
  Array bias;  ///< [out] of any floating type, or no dimensions: none
  [[nodiscard]] bool has_bias() const noexcept { return !bias.shape().empty(); }
};

enum class Arithmetic {
  blas,   ///< OpenBLAS in the type computed in; which of its kernels runs depends on the processor
  plain,  ///< loops that read like the formula, the same bits everywhere
};

/// out[i, :] = x[i, :] W + b for all rows. `x` is any array of numbers whose last axis has `linear.weight.in` entries; its rows
/// are all other axes together. `out` has rows * linear.weight.out elements. Types other than T are widened exactly, a block at
/// a time. Blocks depend on the shapes only, so neither threads nor what else is computed changes a bit; rows do not mix. T is
/// float or double. Throws Error(data) when the widths differ, Error(io) when OpenBLAS cannot be loaded, Error(interrupted).
template <class T>
void apply_linear(const Linear& linear, const Array& x, const std::string& x_name, T* out, Arithmetic arithmetic,
                  const engine::Execution& execution);

/// Bytes that the widened blocks of one call take for all threads, for estimates.
[[nodiscard]] std::size_t linear_working_bytes(const Linear& linear, const Array& x, DType computed_in, std::size_t threads);

}  // namespace attn::model

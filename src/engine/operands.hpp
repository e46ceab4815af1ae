// The arrays an engine reads: queries, keys and values as rows of the type computed in, ready for the inner loop.
#pragma once

#include "engine/plan.hpp"

#include <attn/array.hpp>

#include <cstddef>
#include <vector>

namespace attn::engine {

/// Rows of [batch, heads, length, dim] in any layout whose features are contiguous. Strides count elements.
template <class T>
struct Rows {
  const T* data = nullptr;
  std::size_t batch_stride = 0;
  std::size_t head_stride = 0;
  std::size_t row_stride = 0;

  [[nodiscard]] const T* row(std::size_t b, std::size_t h, std::size_t i) const noexcept {
    return data + b * batch_stride + h * head_stride + i * row_stride;
  }
};

/// Queries and keys are rotated (RoPE) and, for the cosine score, scaled to unit length; scores are plain products or distances
/// of these rows. Values and the residual's queries are as given. Nothing is copied that the input file already holds in this
/// form.
template <class T>
struct Operands {
  Rows<T> query;
  Rows<T> key;
  Rows<T> value;
  Rows<T> residual;           ///< the queries as they came in; only with --residual
  std::vector<Array> memory;  ///< keeps everything above alive
};

}  // namespace attn::engine

// How long values are: what a weight is multiplied with where a pair counts by what it adds to the output.
#pragma once

#include "engine/plan.hpp"
#include "engine/row_source.hpp"

#include <cstddef>
#include <vector>

namespace attn::analysis {

/// Euclidean lengths of all values, those of a cache and projected ones among them. T is float or double.
template <class T>
class ValueNorms {
 public:
  /// Reads `values`, [batch, kv_heads, kv_len, value_dim], a few at a time; they are not needed after that. The squares are added
  /// up in double, without overflow.
  ValueNorms(const engine::RowSource<T>& values, const engine::Dims& dims);
  /// [kv_len], of the keys that a query head sees.
  [[nodiscard]] const T* of(std::size_t batch, std::size_t head) const noexcept {
    return norms_.data() + (batch * dims_.kv_heads + dims_.kv_head(head)) * dims_.kv_len;
  }

 private:
  engine::Dims dims_;
  std::vector<T> norms_;  ///< [batch, kv_heads, kv_len]
};

}  // namespace attn::analysis

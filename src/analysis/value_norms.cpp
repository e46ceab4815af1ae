// How long values are.
#include "analysis/value_norms.hpp"

#include <algorithm>
#include <cmath>

namespace attn::analysis {

template <class T>
ValueNorms<T>::ValueNorms(const engine::RowSource<T>& values, const engine::Dims& dims)
    : dims_(dims), norms_(dims.batch * dims.kv_heads * dims.kv_len) {
  constexpr std::size_t step = 64;
  std::vector<T> buffer(step * dims.value_dim);
  for (std::size_t head = 0; head < dims.batch * dims.kv_heads; ++head) {
    for (std::size_t first = 0; first < dims.kv_len; first += step) {
      const std::size_t count = std::min(step, dims.kv_len - first);
      const engine::RowSpan<T> rows = values.rows(head / dims.kv_heads, head % dims.kv_heads, first, count, buffer.data());
      for (std::size_t j = 0; j < count; ++j) {
        double norm = 0;
        for (std::size_t f = 0; f < dims.value_dim; ++f)
          norm = std::hypot(norm, static_cast<double>(rows.data[j * rows.stride + f]));
        norms_[head * dims.kv_len + first + j] = static_cast<T>(norm);
      }
    }
  }
}

template class ValueNorms<float>;
template class ValueNorms<double>;

}  // namespace attn::analysis

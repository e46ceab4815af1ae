// Steps of recurrent linear attention on a block of columns of its state, for each vector target.
#pragma once

#include <cstddef>
#include <string_view>

namespace attn::kernels {

inline constexpr std::size_t kRecurrenceColumns = 16;  ///< the columns of a block are 1, 2 or 4 times as many

/// Consecutive tokens of one key/value head, and the columns of its state that they change. Each column is computed by itself, so
/// that its bits do not depend on how many stand side by side.
template <class T>
struct RecurrenceSteps {
  std::size_t count = 0;     ///< tokens
  std::size_t head_dim = 0;  ///< rows of the state
  std::size_t columns = 0;   ///< of the block: 16, 32 or 64
  std::size_t group = 1;     ///< query heads that read this state

  const T* const* query = nullptr;  ///< [group]: the first row of each query head
  std::size_t query_stride = 0;     ///< from one token's query to the next one's
  const T* key = nullptr;
  std::size_t key_stride = 0;
  const T* value = nullptr;    ///< [count, columns]
  const T* gate = nullptr;     ///< [count, gate_width]: what the rows of the state are multiplied by; null: they stay
  std::size_t gate_width = 1;  ///< head_dim, or 1 for all rows alike
  const T* rate = nullptr;     ///< [count]: the rates of the delta rule; null: values are added as they are
  T scale = 1;

  T* state = nullptr;  ///< [head_dim, columns]
  T* out = nullptr;    ///< [group, count, columns]
};

template <class T>
struct RecurrenceKernels {
  /// For each token: S = gate * S; u = value, or rate * (value - S^T key); S = S + key u^T; out = scale * S^T query. Sums over
  /// features are four chains of fused multiply-adds, joined in order: the same bits on every target.
  void (*advance)(const RecurrenceSteps<T>& steps) = nullptr;

  /// x = e^x within 2 units in the last place, infinity and 0 at the ends; the same bits on every target. NaN stays NaN.
  void (*exponential)(T* x, std::size_t count) = nullptr;
};

/// The kernels of the target that KernelTable<T>::isa calls `isa`, which must be one of those this processor runs. T is float
/// or double.
template <class T>
[[nodiscard]] const RecurrenceKernels<T>& recurrence_kernels(std::string_view isa) noexcept;

}  // namespace attn::kernels

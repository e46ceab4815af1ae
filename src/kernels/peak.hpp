// What a processor can do at most: kernels that only multiply and add, or only read, for each vector target.
#pragma once

#include <cstddef>
#include <string_view>

namespace attn::kernels {

inline constexpr std::size_t kPeakInputs = 2 + 16;  ///< vectors that `fused_chains` starts from: factor, addend, chains
inline constexpr std::size_t kPeakLanes = 16;       ///< the most lanes of a vector

template <class T>
struct PeakKernels {
  std::size_t flops_per_step = 0;  ///< of `fused_chains`: 2 * lanes * chains

  /// `steps` times x = x * factor + addend in each of several independent chains, all of them in registers: enough to keep
  /// every unit busy while results are under way. `inputs` holds kPeakInputs * kPeakLanes numbers; `sums` (kPeakLanes) gets the
  /// sum of the chains, so that none of them can be left out.
  void (*fused_chains)(const T* inputs, std::size_t steps, T* sums) = nullptr;

  /// The sum of `count` numbers, in no particular order: what it costs to read them once.
  T (*read)(const T* values, std::size_t count) = nullptr;
};

/// The kernels of the target that KernelTable<T>::isa calls `isa`, which must be one of those this processor runs. T is float
/// or double.
template <class T>
[[nodiscard]] const PeakKernels<T>& peak_kernels(std::string_view isa) noexcept;

}  // namespace attn::kernels

// The nonlinear functions of feed-forward networks over rows of numbers, for each vector target.
#pragma once

#include <cstddef>
#include <string_view>

namespace attn::kernels {

/// Each replaces x[i] by f(x[i]), and by f(x[i]) * factor[i] where `factor` is given. A number's result depends on nothing but
/// the number, and has the same bits on every target. NaN stays NaN.
template <class T>
struct ActivationKernels {
  void (*relu)(T* x, const T* factor, std::size_t count) = nullptr;  ///< max(x, 0)
  /// x Phi(x), Phi the normal distribution (Hendrycks and Gimpel 2016): within 4 units in the last place, also where Phi is
  /// small.
  void (*gelu)(T* x, const T* factor, std::size_t count) = nullptr;
  /// x / (1 + exp(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3): the same paper's approximation by tanh.
  void (*gelu_tanh)(T* x, const T* factor, std::size_t count) = nullptr;
  void (*silu)(T* x, const T* factor, std::size_t count) = nullptr;  ///< x / (1 + exp(-x))
};

/// The kernels of the target that KernelTable<T>::isa calls `isa`, which must be one of those this processor runs. T is float
/// or double.
template <class T>
[[nodiscard]] const ActivationKernels<T>& activation_kernels(std::string_view isa) noexcept;

}  // namespace attn::kernels

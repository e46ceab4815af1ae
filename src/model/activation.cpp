// The nonlinear function between the two matrices of a feed-forward network.
#include "model/activation.hpp"

#include "base/groups.hpp"
#include "kernels/activations.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

namespace attn::model {

namespace {

double plain(Activation activation, double x) {
  switch (activation) {
    case Activation::gelu:
      return x * (std::erfc(-x * std::numbers::sqrt2 / 2) / 2);
    case Activation::gelu_tanh:
      return x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x))) / 2;
    case Activation::relu:
      return x < 0 ? 0 : x;
    case Activation::silu:
      return x / (1 + std::exp(-x));
  }
  return x;
}

template <class T>
auto kernel_of(Activation activation, const kernels::ActivationKernels<T>& table) {
  switch (activation) {
    case Activation::gelu:
      return table.gelu;
    case Activation::gelu_tanh:
      return table.gelu_tanh;
    case Activation::relu:
      return table.relu;
    default:
      return table.silu;
  }
}

}  // namespace

std::optional<Activation> activation_called(std::string_view name) noexcept {
  constexpr std::pair<std::string_view, Activation> names[] = {
      {"gelu", Activation::gelu},           {"gelu_python", Activation::gelu},
      {"gelu_new", Activation::gelu_tanh},  {"gelu_pytorch_tanh", Activation::gelu_tanh},
      {"gelu_fast", Activation::gelu_tanh}, {"relu", Activation::relu},
      {"silu", Activation::silu},           {"swish", Activation::silu}};
  for (const auto& [known, activation] : names) {
    if (known == name) return activation;
  }
  return std::nullopt;
}

template <class T>
void activate(Activation activation, T* x, const T* factor, std::size_t count, Arithmetic arithmetic,
              const engine::Execution& execution) {
  constexpr std::size_t part = 1U << 15U;
  const auto kernel = kernel_of(activation, kernels::activation_kernels<T>(engine::selected_isa(execution.isa)));
  engine::for_each_task(groups_of(count, part), execution, [&](std::size_t task) {
    const std::size_t first = task * part;
    const std::size_t last = std::min(first + part, count);
    if (arithmetic == Arithmetic::blas) return kernel(x + first, factor == nullptr ? nullptr : factor + first, last - first);
    for (std::size_t i = first; i < last; ++i) {
      x[i] = static_cast<T>(plain(activation, static_cast<double>(x[i])));
      if (factor != nullptr) x[i] *= factor[i];
    }
  });
}

template void activate(Activation, float*, const float*, std::size_t, Arithmetic, const engine::Execution&);
template void activate(Activation, double*, const double*, std::size_t, Arithmetic, const engine::Execution&);

}  // namespace attn::model

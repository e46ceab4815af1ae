// The nonlinear function between the two matrices of a feed-forward network.
#pragma once

#include "engine/engine.hpp"
#include "model/layer_names.hpp"
#include "model/linear.hpp"

#include <cstddef>
#include <optional>
#include <string_view>

namespace attn::model {

/// What configurations of models call their functions: "gelu_new" is the approximation by tanh. nullopt for others.
[[nodiscard]] std::optional<Activation> activation_called(std::string_view name) noexcept;

/// x[i] = f(x[i]), times factor[i] where `factor` is given (gated networks, Shazeer 2020). Arithmetic::plain takes the functions
/// of the standard library, blas the vector kernels, which have the same bits on every processor. T is float or double.
template <class T>
void activate(Activation activation, T* x, const T* factor, std::size_t count, Arithmetic arithmetic,
              const engine::Execution& execution);

}  // namespace attn::model

// --approx: a method in the place of the engine.
#pragma once

#include "approx/method.hpp"
#include "request/run_request.hpp"

#include <optional>

namespace attn::request {

/// The method of --approx; none where it was not given. Throws Error(usage) for one that does not apply to the plan, that gives
/// less than `needs`, and beside an engine that it would take the place of.
[[nodiscard]] std::optional<approx::Choice> method_of(const RunRequest& request, const engine::Plan& plan,
                                                      const engine::Needs& needs);

/// Throws Error(usage) when something is needed that the method does not give.
void require_offered(const approx::Choice& choice, const engine::Needs& needs);

/// What a method's cost depends on.
[[nodiscard]] approx::Means means_of(const RunRequest& request, DType computed_in);

}  // namespace attn::request

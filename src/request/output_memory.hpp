// What outputs ask of the engine, and which of them gather in memory.
#pragma once

#include "engine/observer.hpp"
#include "engine/plan.hpp"
#include "request/run_outputs.hpp"
#include "request/run_request.hpp"

#include <cstdint>
#include <vector>

namespace attn::request {

/// What the engine will be asked for.
[[nodiscard]] engine::Needs needs_of(const std::vector<OutputPlan>& outputs, const RunRequest& request);

/// Bytes of the outputs that gather in memory or in mapped files. Pairs in long pieces go to their file at once.
[[nodiscard]] std::uint64_t bytes_in_memory(const std::vector<OutputPlan>& outputs, const engine::Plan& plan, DType computed_in,
                                            bool is_tiled);

}  // namespace attn::request

// What a user is told about the rows of a run: vectors without a direction, NaN and where it came from, queries without a key.
#pragma once

#include "engine/plan.hpp"
#include "engine/prepare.hpp"
#include "request/run_inputs.hpp"
#include "request/run_request.hpp"

#include <cstdint>

namespace attn::request {

/// Zero vectors that the cosine met.
void announce_zero_vectors(const engine::Findings& findings, const RunRequest& request, Reporter& reporter);

/// Looks for the input's NaN only when one came out: a NaN that no mask hides always does. `is_explained`: a NaN that was asked
/// for, as the cosine of a zero vector, has been announced.
/// Throws Error(data) for one under --nan error.
void announce_nan(bool nan_came_out, bool is_explained, const engine::Plan& plan, const RunInputs& inputs,
                  const RunRequest& request, Reporter& reporter);

/// `count` queries have no key left, the first of them at `first` in [batch, heads, q_len], flattened. Throws Error(data) under
/// --empty-rows error.
void announce_empty(std::uint64_t count, std::uint64_t first, const engine::Plan& plan, Reporter& reporter);

}  // namespace attn::request

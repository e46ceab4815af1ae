// Methods that compute in float32 only, on a job in float64: its rows are narrowed, its results widened.
#pragma once

#include "approx/method.hpp"

#include <functional>

namespace attn::approx {

/// Calls run(job) with the rows, additive masks and observers of `job` in float32, and hands on what its observers are handed.
/// Takes a float32 copy of all rows.
void in_single(const Job<double>& job, const std::function<void(const Job<float>&)>& run);

/// What in_single copies, in bytes.
[[nodiscard]] std::uint64_t single_bytes(const engine::Dims& dims) noexcept;

}  // namespace attn::approx

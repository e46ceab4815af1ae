// Approximations from files to a table: read, plan, compute exactly, compute each method, compare.
#pragma once

#include "request/approx_request.hpp"
#include "request/run.hpp"

namespace attn::request {

/// Measures, writes the output that was asked for, and returns the table; an empty one after --dry-run, which is printed. Throws
/// what reading and planning throw, and Error(usage) for a method that was asked for and does not apply.
[[nodiscard]] ApproxTable run_approx(const ApproxRequest& request, const RunContext& context);

}  // namespace attn::request

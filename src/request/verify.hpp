// Verification from files to a verdict: read, plan, attend in float64, judge.
#pragma once

#include "analysis/verdict.hpp"
#include "request/claim.hpp"
#include "request/run.hpp"

namespace attn::request {

[[nodiscard]] const Table<ClaimRequest>& verify_table();

/// Judges the claims of the request against attention computed in float64, element by element. Throws what reading and planning
/// throw, and Error(usage) without a claim.
[[nodiscard]] analysis::Verification verify(const ClaimRequest& request, const RunContext& context);

}  // namespace attn::request

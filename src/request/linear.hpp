// One recurrent linear attention from files to files: read, plan, compute, write, report.
#pragma once

#include "request/linear_request.hpp"
#include "request/run.hpp"

namespace attn::request {

/// Throws what reading, planning and writing throw; leaves complete files or none.
void run_linear(const LinearRequest& request, const RunContext& context);

}  // namespace attn::request

// One stack of transformer layers from files to files: read, plan, compute, write, report.
#pragma once

#include "request/layer_request.hpp"
#include "request/run.hpp"

namespace attn::request {

/// Throws what reading, planning and writing throw; leaves complete files or none.
void run_layers(const LayerRequest& request, const RunContext& context);

}  // namespace attn::request

// The record of a run of layers: options as resolved, files, seconds, memory.
#pragma once

#include "request/layer_frames.hpp"
#include "request/report.hpp"

#include <string>

namespace attn::request {

struct LayerRecord {
  LayerRequest request;  ///< with type, engine and threads resolved
  const LayerInputs* inputs = nullptr;
  LayerPlan plan;
  std::string isa;
  Seconds seconds;
};

/// The JSON of --report, ending in a newline.
[[nodiscard]] std::string layer_report_json(const LayerRecord& record);

/// The text of --dry-run.
[[nodiscard]] std::string layer_plan_text(const LayerRecord& record, double expected_seconds);

}  // namespace attn::request

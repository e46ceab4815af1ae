// The record of a run: options as resolved, files, seconds, memory.
#pragma once

#include "approx/method.hpp"
#include "request/estimate.hpp"
#include "request/run_inputs.hpp"
#include "request/run_outputs.hpp"
#include "request/run_request.hpp"

#include <attn/io.hpp>

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace attn::request {

/// What a run spent its time on.
struct Seconds {
  double read = 0;
  double attend = 0;
  double write = 0;
  double total = 0;
};

/// What was decided and done, for people and scripts.
struct RunRecord {
  RunRequest request;  ///< with defaults resolved: type, engine, threads, scale
  const RunInputs* inputs = nullptr;
  const engine::Plan* plan = nullptr;
  std::optional<approx::Choice> method = {};  ///< of --approx
  std::vector<OutputPlan> outputs;
  Estimate estimate;
  std::string isa;  ///< vector target of the tiled engine, "none" for the reference
  Seconds seconds;
};

/// The vector target that the request, with its engine resolved, runs on; "none" for the reference engine. Throws Error(usage)
/// when that was asked for a target, and for one that this processor lacks.
[[nodiscard]] std::string isa_of(const RunRequest& request);

/// The JSON of --report, ending in a newline.
[[nodiscard]] std::string report_json(const RunRecord& record);

/// --report: declares the file, which gets what `json` returns when the outputs are committed. Nothing where none is asked for.
void add_report(Outputs& outputs, const std::string& file, std::function<std::string()> json);

/// The text of --dry-run.
[[nodiscard]] std::string plan_text(const RunRecord& record, double expected_seconds);

}  // namespace attn::request

// Reading everything a run request names, and deciding the type it is computed in.
#pragma once

#include "engine/inputs.hpp"
#include "request/projection.hpp"
#include "request/run_request.hpp"
#include "request/shared_inputs.hpp"

#include <attn/io.hpp>

#include <memory>
#include <string>
#include <vector>

namespace attn::request {

/// What was read for one run.
struct RunInputs {
  engine::Inputs inputs;
  AttentionOptions options;  ///< with the query offset read; a residual that comes behind an output projection is not among them
  /// null without --params. Until its project() was called, query, key and value have the projected shapes and no values.
  std::shared_ptr<Projection> projection = nullptr;
  DType compute = DType::f32;
  std::vector<std::string> ids;
  std::vector<std::string> key_ids;
  ReadFiles files;
};

/// Throws Error(usage) where there is no input, where two name the query, where several are standard input (`more`: files that a
/// command has besides those of `request`), and for options that need another.
void check_arguments(const RunRequest& request, const std::vector<std::string>& more = {});

/// Reads all files of the request, each once however often it is named. Throws Error(usage) for arguments that contradict each
/// other and for masks whose meaning must be said, Error(data) and Error(io) as reading does. `shared` may be null.
[[nodiscard]] RunInputs read_inputs(const RunRequest& request, Reporter& reporter, SharedInputs* shared = nullptr);

/// Where a NaN that no mask hides stands among what was read, for messages; empty when there is none.
[[nodiscard]] std::string first_visible_nan(const RunInputs& inputs, const engine::Plan& plan);

}  // namespace attn::request

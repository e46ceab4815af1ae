// attn stats, attn topk and attn plot: a run that writes what its weights say, or the same from weights in a file.
#pragma once

#include "request/run.hpp"
#include "request/run_request.hpp"

#include <string>
#include <vector>

namespace attn::request {

/// A run of which the weights are looked at. `output` is where the table goes.
struct LookRequest : RunRequest {
  std::vector<std::string> from_weights;  ///< one file, or one for each layer
  bool detect = false;
  std::string html;  ///< of attn plot: where a page goes, in the place of `output`
};

[[nodiscard]] const Table<LookRequest>& stats_table();
[[nodiscard]] const Table<LookRequest>& topk_table();
[[nodiscard]] const Table<LookRequest>& plot_table();

/// Writes statistics. `for_people`: standard output is a terminal, and gets a summary instead of CSV. Throws what run() throws,
/// and Error(data) for weights that are none: of a wrong shape, or negative where an entropy is asked for.
void stats(const LookRequest& request, const RunContext& context, bool for_people);
/// Writes the strongest pairs.
void topk(const LookRequest& request, const RunContext& context);
/// Draws the weights.
void plot(const LookRequest& request, const RunContext& context);

}  // namespace attn::request

// A run that several processes share: ring attention from files to files.
#pragma once

#include "request/rank_outputs.hpp"
#include "request/ranks.hpp"
#include "request/report.hpp"
#include "request/run.hpp"

namespace attn::request {

/// Throws Error(usage) for what cannot be shared: it needs all keys or all queries in one place.
void check_for_ranks(const RunRequest& request);

/// The request without what the processes may find different around them: mpirun stands between them and a terminal.
[[nodiscard]] RunRequest without_surroundings(const RunRequest& request);

/// Of mapped files ranks copy rows of queries, keys and values when they need them, and let go of rows of masks that they have
/// read; they hold no pages.
void pass_inputs(RunInputs& inputs, engine::Plan& plan);

/// Within a part of the work: throws Error(data) on ranks that have planned another run than rank 0, since they see other files.
/// From then on the estimate is that of one rank.
void share_plan(Ranks& ranks, RunRecord& record);

/// Everything between the plan and the finished outputs, of which rank 0 has `files` to commit, and all have `shared` until then.
/// Every rank computes its queries.
void attend_over_ranks(Ranks& ranks, const RunRecord& record, const RunContext& context, Outputs& files, RankOutputs& shared,
                       const Outputs& report);

}  // namespace attn::request

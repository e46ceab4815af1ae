// attn stats and attn topk: what the weights of attention say, without ever holding them.
#include "cli/cluster.hpp"
#include "cli/commands.hpp"
#include "request/look.hpp"

namespace attn::cli {

namespace {

using request::LookRequest;

constexpr const char* kStatsDescription =
    "Computes attention as attn run does, with all of its options, and writes what the weights say as CSV: for each row its "
    "entropy in nats, its support (exp of the entropy: how many keys it is spread over), its largest weight and that one's key, "
    "and the mean distance of its keys; for each column what the key receives from all queries; for each head means over its "
    "rows. The q_len x kv_len matrix is never held. On a terminal a summary is shown.";

constexpr const char* kTopkDescription =
    "Computes attention as attn run does, with all of its options, and writes the strongest keys of each query, or with --by "
    "column the strongest queries of each key. Ranks count from 1; of equal weights the lowest number comes first; weights of 0 "
    "are "
    "not listed.";

}  // namespace

Command stats_command() {
  return make_command<LookRequest>(
      {.name = "stats",
       .group = "Attention",
       .summary = "entropy, strongest key and distance of each row; what each key receives",
       .usage = "attn stats [X] [options of attn run] | --from-weights F",
       .example = "attn stats -q q.npy -k k.npy --causal --per head",
       .description = kStatsDescription},
      request::stats_table, [](LookRequest& r, Console& console) {
        const bool for_people = console.output_is_terminal();
        tell_surroundings(console, r.watch.plot);
        return run_with_others(console, [&](const request::RunContext& context) { request::stats(r, context, for_people); });
      });
}

Command topk_command() {
  return make_command<LookRequest>({.name = "topk",
                                    .group = "Attention",
                                    .summary = "the strongest keys of each query, or the strongest queries of each key",
                                    .usage = "attn topk [X] -n N [options of attn run] | --from-weights F",
                                    .example = "attn topk x.csv:p0..p63 --ids x.csv:word -n 3 --no-self",
                                    .description = kTopkDescription},
                                   request::topk_table, [](LookRequest& r, Console& console) {
                                     return run_with_others(
                                         console, [&](const request::RunContext& context) { request::topk(r, context); });
                                   });
}

}  // namespace attn::cli

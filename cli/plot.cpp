// attn plot: pictures of weights that are never held as a matrix.
#include "cli/cluster.hpp"
#include "cli/commands.hpp"
#include "request/look.hpp"

namespace attn::cli {

namespace {

using request::LookRequest;

constexpr const char* kDescription =
    "Computes attention as attn run does, with all of its options, and draws the weights, a panel for each head: as PNG or SVG, "
    "as text on a terminal, or as a page for a browser. A matrix larger than the picture is pooled while it is computed, each "
    "cell the exact mean or largest of its pairs. The q_len x kv_len matrix is never held. --ids and --key-ids name rows and "
    "columns where they have room.";

}  // namespace

Command plot_command() {
  return make_command<LookRequest>({.name = "plot",
                                    .group = "Attention",
                                    .summary = "pictures of weights: PNG, SVG, on the terminal, or a page for a browser",
                                    .usage = "attn plot [X] [options of attn run] | --from-weights F",
                                    .example = "attn plot -q q.npy -k k.npy --causal -o weights.png",
                                    .description = kDescription},
                                   request::plot_table, [](LookRequest& r, Console& console) {
                                     tell_surroundings(console, r.watch.plot);
                                     return run_with_others(
                                         console, [&](const request::RunContext& context) { request::plot(r, context); });
                                   });
}

}  // namespace attn::cli

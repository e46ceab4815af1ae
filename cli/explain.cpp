// attn explain: the computation of a small case step by step, each stage with its formula and numbers.
#include "request/explain.hpp"

#include "cli/commands.hpp"
#include "cli/run_context.hpp"

namespace attn::cli {

namespace {

Status execute(const request::ExplainRequest& r, Console& console) {
  return run_in_context(
      console, [&](const request::RunContext& context) { request::write_explanation(r, request::explain(r, context), context); });
}

}  // namespace

Command explain_command() {
  return make_command<request::ExplainRequest>(
      {.name = "explain",
       .group = "Attention",
       .summary = "the computation of a small case step by step, with formulas and numbers",
       .usage = "attn explain [X] [options of attn run]",
       .example = "attn explain x.csv --causal --at 2,0",
       .description = "Follows a small case through all stages in float64: inputs and projections, scores, scale, softcap, bias, "
                      "masks with the "
                      "rule that hides each key, the normalizer with its maximum and sum, weights, output. With --at it takes "
                      "one weight apart "
                      "by features, shows the keys it competes with, and says which key's removal changes the output most."},
      request::explain_table, execute);
}

}  // namespace attn::cli

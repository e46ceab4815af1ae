// attn approx: cheaper attention, each method with its measured error and time.
#include "request/approx.hpp"

#include "cli/cluster.hpp"
#include "cli/commands.hpp"

namespace attn::cli {

namespace {

std::string shown(const request::ApproxTable& table, request::ApproxFormat format) {
  switch (format) {
    case request::ApproxFormat::json:
      return request::approx_json(table);
    case request::ApproxFormat::csv:
      return request::approx_csv(table);
    case request::ApproxFormat::text:
      break;
  }
  return request::approx_text(table);
}

}  // namespace

Command approx_command() {
  return make_command<request::ApproxRequest>(
      {.name = "approx",
       .group = "Attention",
       .summary = "cheaper attention: what each method saves on your matrices, and what it costs in accuracy",
       .usage = "attn approx [X] [--methods LIST] [options of attn run]",
       .example = "attn approx -q q.npy -k k.npy -v v.npy --methods window:512,window:2048",
       .description =
           "Computes the exact result, then each method, and prints a table: seconds, speed-up, working memory, the error of the "
           "output (relative Frobenius norm of the difference, its largest magnitude, the worst row relative to its own length) "
           "and of the weights (mean Kullback-Leibler divergence in nats of the method's weights from the exact ones, over at "
           "most 64 random queries), where weights have a meaning. docs/approximations.md has the formulas."},
      request::approx_table, [](const request::ApproxRequest& r, Console& console) {
        return run_alone("attn approx", console, [&](const request::RunContext& context) {
          const request::ApproxTable table = request::run_approx(r, context);
          if (!r.dry_run) console.print(shown(table, r.to));
        });
      });
}

}  // namespace attn::cli

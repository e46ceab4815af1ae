// attn verify: what another program computed, judged element by element against float64; status 1 when it fails.
#include "request/verify.hpp"

#include "cli/commands.hpp"
#include "cli/interrupt.hpp"
#include "cli/progress.hpp"

namespace attn::cli {

namespace {

Status execute(const request::ClaimRequest& r, Console& console) {
  const Interrupt interrupt;
  Progress progress(console);
  const request::RunContext context{.reporter = console,
                                    .print = [&](std::string_view text) { console.print(text); },
                                    .progress = [&](double fraction) { progress.show(fraction); },
                                    .cancelled = interrupt.flag(),
                                    .cores = usable_cores()};
  const analysis::Verification result = request::verify(r, context);
  if (r.dry_run) return Status::ok;
  const std::string json = analysis::verification_json(result);
  request::write_report(r, context, json);
  console.print(r.to == request::ReportFormat::json ? json : analysis::verification_text(result));
  return result.holds() ? Status::ok : Status::differs;
}

}  // namespace

Command verify_command() {
  return make_command<request::ClaimRequest>(
      {.name = "verify",
       .group = "Attention",
       .summary = "is what another program computed right? status 1 when it is not",
       .usage = "attn verify [X] [options of attn run] --claim F",
       .example = "attn verify -q q.npy -k k.npy -v v.npy --causal --claim theirs.npy --budget bf16",
       .description =
           "Computes attention in float64 and judges each element of the claim against a bound of its own: what a computation in "
           "the precision of the budget may be off with these numbers, derived from the lengths of queries and keys, the spread "
           "of values under the weights and the number of keys. NaN fails. Takes the options of attn run that make the numbers; "
           "docs/verify.md derives the bound."},
      request::verify_table, execute);
}

}  // namespace attn::cli

// attn identify: by which convention another program computed its output; status 1 when none is known.
#include "request/identify.hpp"

#include "cli/commands.hpp"
#include "cli/interrupt.hpp"

namespace attn::cli {

namespace {

Status execute(const request::ClaimRequest& r, Console& console) {
  const Interrupt interrupt;
  const request::RunContext context{.reporter = console,
                                    .print = [&](std::string_view text) { console.print(text); },
                                    .progress = {},
                                    .cancelled = interrupt.flag(),
                                    .cores = usable_cores()};
  const request::Identified result = request::identify(r, context);
  if (r.dry_run) return Status::ok;
  const std::string json = request::identified_json(result);
  request::write_report(r, context, json);
  console.print(r.to == request::ReportFormat::json ? json : request::identified_text(result));
  return result.found.best ? Status::ok : Status::differs;
}

}  // namespace

Command identify_command() {
  return make_command<request::ClaimRequest>(
      {.name = "identify",
       .group = "Attention",
       .summary = "by which convention was this output computed? status 1 when none fits",
       .usage = "attn identify [X] [options of attn run] --claim F",
       .example = "attn identify -q q.npy -k k.npy -v v.npy --mask keep.npy --claim theirs.npy",
       .description =
           "The options of attn run say what was meant. The search tries what people do differently when they write attention: "
           "the scale, the polarity, time and alignment of masks, the edges of windows, score, normalizer and the axis it runs "
           "over, the order and merging of heads, RoPE pairs, softcap, residual; and any two of these at once. It ranks them "
           "on a few rows, confirms on all, and says which conventions these inputs cannot tell apart and which inputs would."},
      request::identify_table, execute);
}

}  // namespace attn::cli

// attn bench: how fast attention runs here, and what share of the machine's peak that is.
#include "request/bench.hpp"

#include "cli/commands.hpp"
#include "cli/interrupt.hpp"
#include "cli/memory.hpp"
#include "cli/progress.hpp"

namespace attn::cli {

namespace {

using request::BenchFormat;
using request::BenchRequest;

Status bench(const BenchRequest& request, Console& console) {
  const Interrupt interrupt;
  std::vector<request::BenchResult> results;
  {
    Progress progress(console);
    results = request::bench(request, {.reporter = console,
                                       .progress = [&](double fraction) { progress.show(fraction); },
                                       .cancelled = interrupt.flag(),
                                       .cores = usable_cores(),
                                       .memory = usable_memory()});
  }
  switch (request.to) {
    case BenchFormat::text:
      console.print(request::bench_text(results));
      break;
    case BenchFormat::json:
      console.print(request::bench_json(results, request.shape.empty()));
      break;
    case BenchFormat::csv:
      console.print(request::bench_csv(results));
      break;
  }
  return Status::ok;
}

}  // namespace

Command bench_command() {
  return make_command<BenchRequest>(
      {.name = "bench",
       .group = "Measuring",
       .summary = "time attention in memory, as a share of the machine's peak",
       .usage = "attn bench [--shape B,H,q_len,kv_len,head_dim[,value_dim]] [options]",
       .example = "attn bench --shape 1,8,1024,1024,64 --causal --threads 1",
       .description =
           "Runs attention on random inputs, without files. Rates are those of the fastest run, flops are 2 * visible (query, "
           "key) pairs over all batch entries and heads * (head_dim + value_dim). The peak is measured in between, by as many "
           "threads: independent chains of fused multiply-adds in vector registers. Shapes that wait for memory are held "
           "against the time that merely reading their keys and values takes. Without --shape a table of standard shapes is "
           "timed, as far as memory allows."},
      request::bench_table, bench);
}

}  // namespace attn::cli

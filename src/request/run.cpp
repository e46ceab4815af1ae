// One run from files to files: read, plan, attend, write, report.
#include "request/run.hpp"

#include "analysis/writers.hpp"
#include "base/stopwatch.hpp"
#include "engine/engine.hpp"
#include "engine/prepare.hpp"
#include "request/announce.hpp"
#include "request/estimate.hpp"
#include "request/output_memory.hpp"
#include "request/report.hpp"
#include "request/ring_run.hpp"
#include "request/run_inputs.hpp"
#include "request/run_method.hpp"
#include "request/run_outputs.hpp"
#include "request/watch_outputs.hpp"
#include "request/watch_plan.hpp"

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>

#include <fmt/format.h>

namespace attn::request {

namespace {

/// The request with everything decided that "auto" left open.
RunRecord resolve(const RunRequest& request, const RunInputs& inputs, const engine::Plan& plan, const RunContext& context) {
  RunRecord record{.request = request, .inputs = &inputs, .plan = &plan, .outputs = {}, .estimate = {}, .isa = {}, .seconds = {}};
  RunRequest& r = record.request;
  r.dtype = inputs.compute == DType::f64 ? ComputeType::f64 : ComputeType::f32;
  if (r.engine == EngineChoice::automatic) r.engine = EngineChoice::tiled;
  if (r.threads == 0) r.threads = context.cores;
  r.watch = bounded_by(r.watch, r.max_memory);
  if (r.attention.rope != RopePairing::none) r.rope_base = plan.options.rope_base;
  if (inputs.projection) {
    r.heads = inputs.projection->heads().heads;
    r.kv_heads = inputs.projection->heads().kv_heads;
  }
  r.attention.scale = plan.factor * plan.options.temperature;
  if (r.query_offset.empty() && !plan.query_offset.empty()) r.query_offset = std::to_string(plan.query_offset.front());
  record.isa = isa_of(r);
  return record;
}

/// Everything between the plan and the finished output memory, for an engine that computes in T and outputs of type D.
template <class T, class D>
void attend(const RunRecord& record, const RunInputs& inputs, const RunContext& context, Outputs& files, const Outputs& report) {
  const engine::Plan& plan = *record.plan;
  engine::Findings findings;
  engine::Execution execution{
      .threads = record.request.threads, .isa = record.request.isa, .cancelled = context.cancelled, .progress = {}};
  if (inputs.projection) inputs.projection->project(execution, arithmetic_of(record.request));
  const engine::Operands<T> operands = engine::prepare<T>(plan, inputs.inputs, findings);
  announce_zero_vectors(findings, record.request, context.reporter);
  RunOutputs<T, D> outputs(record.request, inputs, plan, operands, record.outputs, files);
  const WatchText text{
      .dims = plan.dims, .ids = inputs.ids, .key_ids = inputs.key_ids, .source = {}, .is_single = inputs.compute == DType::f32};
  const WatchOutputs<T> watched(record.request.watch, plan, operands.value, text, files);
  files.require_distinct_from(report);
  analysis::EmptyRows<T> empty(plan);
  std::vector<engine::Observer<T>*> observers = outputs.observers();
  std::ranges::copy(watched.observers(), std::back_inserter(observers));
  observers.push_back(&empty);
  const auto writes = [&](const char* role) {
    return std::ranges::find(record.outputs, role, &OutputPlan::role) != record.outputs.end();
  };
  const bool sums_rows = plan.options.combine == Combine::sum;
  if (context.guest != nullptr) {
    if (engine::Observer<T>* guest = context.guest->watch(plan, T{})) observers.push_back(guest);
  }
  analysis::NanWatch<T> nan(plan, writes("output") && sums_rows);
  const std::optional<approx::Choice>& method = record.method;
  const bool may_watch = !method || method->method->offers.log_sum_exp || (writes("output") && sums_rows);
  if (!may_watch) {
    // Nothing that a NaN would show in is made.
  } else if (writes("output") || writes("weights") || writes("scores") || writes("lse"))
    observers.push_back(&nan);
  execution.progress = context.progress;
  if (method) {
    engine::Needs needs;
    for (const engine::Observer<T>* observer : observers) needs |= observer->needs();
    require_offered(*method, needs);
    method->method->run(approx::Job<T>{plan, operands, observers, execution, plan, operands}, method->setting);
  } else if (record.request.engine == EngineChoice::tiled) {
    if constexpr (std::is_same_v<T, D>) engine::run_tiled<T>(plan, operands, observers, execution);
  } else if constexpr (std::is_same_v<T, double>) {
    engine::run_reference(plan, operands, observers, execution);
  }
  execution.progress = {};
  outputs.finish(execution);
  watched.finish(context.reporter);
  const bool asked_for_nan = plan.options.zero_vectors == Policy::nan && findings.zero_queries + findings.zero_keys > 0;
  announce_nan(nan.seen() || watched.saw_nan(), asked_for_nan, plan, inputs, record.request, context.reporter);
  announce_empty(empty.count(), empty.first(), plan, context.reporter);
  if (context.guest != nullptr && outputs.output() != nullptr) {
    const auto planned = std::ranges::find(record.outputs, "output", &OutputPlan::role);
    context.guest->output(Array(dtype_of<D>, planned->shape, nullptr, reinterpret_cast<const std::byte*>(outputs.output())));
  }
}

void attend_as_decided(const RunRecord& record, const RunInputs& inputs, const RunContext& context, Outputs& files,
                       const Outputs& report) {
  const bool is_double = inputs.compute == DType::f64;
  if (record.request.engine == EngineChoice::tiled && !is_double) {
    attend<float, float>(record, inputs, context, files, report);
  } else if (is_double) {
    attend<double, double>(record, inputs, context, files, report);
  } else {
    attend<double, float>(record, inputs, context, files, report);
  }
}

}  // namespace

void verify_all_unchanged(const ReadFiles& inputs) {
  for (const auto& [role, loaded] : inputs) verify_unchanged(loaded);
}

void publish(const ReadFiles& inputs, const RunContext& context, Outputs& files) {
  verify_all_unchanged(inputs);
  if (context.cancelled != nullptr && context.cancelled->load()) throw Error(Status::interrupted, "interrupted");
  if (context.writing) context.writing();
  files.commit();
}

namespace {

/// A run before it computes anything.
struct Planned {
  RunInputs inputs;
  engine::Plan plan;
  RunRecord record;
};

std::unique_ptr<Planned> plan_run(const RunRequest& request, const RunContext& context) {
  Stopwatch watch;
  check_watch(request.watch);
  auto planned = std::make_unique<Planned>();
  planned->inputs = read_inputs(request, context.reporter, context.shared);
  const RunInputs& inputs = planned->inputs;
  const double read_seconds = watch.lap();
  const bool is_reference = request.engine == EngineChoice::reference;
  const DType computed_in = is_reference ? DType::f64 : inputs.compute;
  planned->plan = engine::make_plan(inputs.inputs, inputs.options, computed_in);
  const engine::Plan& plan = planned->plan;
  planned->record = resolve(request, inputs, plan, context);
  RunRecord& record = planned->record;
  record.seconds.read = read_seconds;
  record.outputs = plan_outputs(record.request, inputs, plan, inputs.compute);
  const std::uint64_t output_bytes = bytes_in_memory(record.outputs, plan, computed_in, !is_reference);
  const engine::Needs needs = needs_of(record.outputs, record.request);
  record.estimate = estimate(plan, inputs, computed_in, !is_reference, record.request.threads, output_bytes, needs);
  record.method = method_of(request, plan, needs);
  if (record.method) {
    const approx::Cost cost = record.method->method->cost(plan, record.method->setting, means_of(record.request, computed_in));
    record.estimate.working_bytes += cost.bytes;
    record.estimate.flops = cost.flops;
  }
  return planned;
}

/// Says what a dry run would do. Throws Error(memory) for more than is allowed.
void check_plan(const RunRecord& record, std::size_t ranks, const RunContext& context) {
  const RunRequest& request = record.request;
  if (request.dry_run) {
    const bool is_reference = request.engine == EngineChoice::reference;
    const DType computed_in = is_reference ? DType::f64 : record.inputs->compute;
    const double seconds = expected_seconds(*record.plan, record.estimate.flops, computed_in, !is_reference, request.threads) /
                           static_cast<double>(ranks);
    if (context.guest != nullptr)
      context.guest->planned(record.estimate.total_bytes(), seconds);
    else
      context.print(plan_text(record, seconds));
    if (ranks > 1) context.print(fmt::format("shared by {} ranks: these bytes are those of one\n", ranks));
  }
  require_memory(
      record.estimate, request.max_memory, ranks > 1 ? "each rank of this run needs" : "this run needs",
      "to need less: leave out --weights and --scores, attend from fewer queries at a time, or compute in --dtype f32");
}

}  // namespace

void run(const RunRequest& request, const RunContext& context) {
  Stopwatch total;
  const RunRequest own = context.transport != nullptr ? without_surroundings(request) : request;
  std::optional<Ranks> ranks;
  if (context.transport != nullptr) ranks.emplace(*context.transport, context.cancelled);
  const auto together = [&](const std::function<void()>& part) { ranks ? ranks->together(part) : part(); };
  const bool leads = !ranks || ranks->leads();
  std::unique_ptr<Planned> planned;
  together([&] {
    if (ranks) check_for_ranks(own);
    planned = plan_run(own, context);
    if (ranks) pass_inputs(planned->inputs, planned->plan);
  });
  RunRecord& record = planned->record;
  if (context.guest != nullptr) context.guest->resolved(values_of<RunRequest>(run_table(), record.request), record.isa);
  together([&] {
    if (ranks) share_plan(*ranks, record);
    if (leads) check_plan(record, ranks ? static_cast<std::size_t>(ranks->size()) : 1, context);
  });
  if (own.dry_run) return;
  Stopwatch watch;
  // Both are opened before the work starts, so that a missing folder is said now.
  Outputs files(context.temporary_folder);
  Outputs report;
  std::optional<RankOutputs> shared;
  if (ranks) shared.emplace(*ranks, files);
  together([&] {
    if (leads) add_report(report, own.report, [&record] { return report_json(record); });
  });
  if (ranks)
    attend_over_ranks(*ranks, record, context, files, *shared, report);
  else
    attend_as_decided(record, planned->inputs, context, files, report);
  record.seconds.attend = watch.lap();
  // No file changes its name before all ranks have found their inputs as they were.
  if (ranks) ranks->together([&] { verify_all_unchanged(planned->inputs.files); });
  together([&] {
    publish(planned->inputs.files, context, files);
    record.seconds.write = watch.lap();
    record.seconds.total = total.lap();
    report.commit();
  });
}

}  // namespace attn::request

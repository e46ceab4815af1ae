// One run from files to files: read, plan, attend, write, report.
#include "request/run.hpp"

#include "analysis/writers.hpp"
#include "engine/engine.hpp"
#include "engine/prepare.hpp"
#include "request/estimate.hpp"
#include "request/output_memory.hpp"
#include "request/report.hpp"
#include "request/run_inputs.hpp"
#include "request/run_method.hpp"
#include "request/run_outputs.hpp"
#include "request/stopwatch.hpp"
#include "request/watch_outputs.hpp"
#include "request/watch_plan.hpp"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

namespace attn::request {

namespace {

void announce_zero_vectors(const engine::Findings& findings, const RunRequest& request, Reporter& reporter) {
  if (findings.zero_queries + findings.zero_keys == 0) return;
  reporter.warn(fmt::format("zero vectors have no cosine: {} queries and {} keys count as {} (--zero-vectors)",
                            findings.zero_queries, findings.zero_keys,
                            request.attention.zero_vectors == Policy::nan ? "NaN" : "0"));
}

/// Looks for the input's NaN only when one came out: a NaN that no mask hides always does. `is_explained`: a NaN that was asked
/// for, as the cosine of a zero vector, has been announced.
void announce_nan(bool nan_came_out, bool is_explained, const engine::Plan& plan, const RunInputs& inputs,
                  const RunRequest& request, Reporter& reporter) {
  const bool looks_anyway = plan.options.combine == Combine::rows;  // they show a value's NaN nowhere the watch looks
  if (!nan_came_out && !looks_anyway) return;
  const std::string found = first_visible_nan(inputs, plan);
  if (!found.empty() && request.nan == NanPolicy::error)
    throw Error(Status::data, found + ": a NaN that no mask hides (--nan error)");
  if (!found.empty()) reporter.warn(found + ": a NaN that no mask hides; what it reaches is NaN");
  if (found.empty() && nan_came_out && !is_explained)
    reporter.warn("the result holds NaN, though no input does: infinities made it");
}

template <class T>
void announce_empty(const analysis::EmptyRows<T>& empty, const engine::Plan& plan, Reporter& reporter) {
  if (empty.count() == 0) return;
  const std::uint64_t first = empty.first();
  const std::uint64_t query = first % plan.dims.q_len;
  const std::uint64_t head = first / plan.dims.q_len % plan.dims.heads;
  const std::uint64_t batch = first / plan.dims.q_len / plan.dims.heads;
  const std::string message = fmt::format("{} of {} queries have no key left; the first is query {} of head {}, batch entry {}",
                                          empty.count(), plan.dims.batch * plan.dims.heads * plan.dims.q_len, query, head, batch);
  if (plan.options.empty_rows == Policy::error) throw Error(Status::data, message + " (--empty-rows error)");
  reporter.warn(
      fmt::format("{}: their output is {} (--empty-rows)", message, plan.options.empty_rows == Policy::nan ? "NaN" : "zero"));
}

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
  announce_empty(empty, plan, context.reporter);
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

void publish(const ReadFiles& inputs, const RunContext& context, Outputs& files) {
  for (const auto& [role, loaded] : inputs) verify_unchanged(loaded);
  if (context.cancelled != nullptr && context.cancelled->load()) throw Error(Status::interrupted, "interrupted");
  if (context.writing) context.writing();
  files.commit();
}

void run(const RunRequest& request, const RunContext& context) {
  Stopwatch total;
  Stopwatch watch;
  check_watch(request.watch);
  const RunInputs inputs = read_inputs(request, context.reporter, context.shared);
  const double read_seconds = watch.lap();
  const bool is_reference = request.engine == EngineChoice::reference;
  const engine::Plan plan = engine::make_plan(inputs.inputs, inputs.options, is_reference ? DType::f64 : inputs.compute);
  RunRecord record = resolve(request, inputs, plan, context);
  record.seconds.read = read_seconds;
  record.outputs = plan_outputs(record.request, inputs, plan, inputs.compute);
  const DType computed_in = is_reference ? DType::f64 : inputs.compute;
  const std::uint64_t output_bytes = bytes_in_memory(record.outputs, plan, computed_in, !is_reference);
  const engine::Needs needs = needs_of(record.outputs, record.request);
  record.estimate = estimate(plan, inputs, computed_in, !is_reference, record.request.threads, output_bytes, needs);
  record.method = method_of(request, plan, needs);
  if (record.method) {
    const approx::Cost cost = record.method->method->cost(plan, record.method->setting, means_of(record.request, computed_in));
    record.estimate.working_bytes += cost.bytes;
    record.estimate.flops = cost.flops;
  }
  if (request.dry_run) {
    const double seconds = expected_seconds(plan, record.estimate.flops, computed_in, !is_reference, record.request.threads);
    if (context.guest != nullptr)
      context.guest->planned(record.estimate.total_bytes(), seconds);
    else
      context.print(plan_text(record, seconds));
  }
  require_memory(
      record.estimate, request.max_memory, "this run needs",
      "to need less: leave out --weights and --scores, attend from fewer queries at a time, or compute in --dtype f32");
  if (request.dry_run) return;

  // Both are opened before the work starts, so that a missing folder is said now.
  Outputs files(context.temporary_folder);
  Outputs report;
  if (!request.report.empty())
    report.add_text(FileName::parse_output(request.report),
                    [&record](Outputs::TextSink& sink) { sink.write(report_json(record)); });
  attend_as_decided(record, inputs, context, files, report);
  record.seconds.attend = watch.lap();
  publish(inputs.files, context, files);
  record.seconds.write = watch.lap();
  record.seconds.total = total.lap();
  report.commit();
}

}  // namespace attn::request

// One recurrent linear attention from files to files: read, plan, compute, write, report.
#include "request/linear.hpp"

#include "base/stopwatch.hpp"
#include "request/estimate.hpp"
#include "request/input_files.hpp"
#include "request/report_parts.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace attn::request {

namespace {

/// What was read and decided.
struct LinearRecord {
  LinearRequest request;  ///< as resolved
  engine::RecurrentInputs inputs;
  engine::RecurrentPlan plan;
  ReadFiles files;
  std::vector<std::string> ids;
  std::vector<OutputPlan> outputs;
  Estimate estimate;
  DType compute = DType::f32;  ///< what is written; the reference engine computes in float64 always
  std::string isa;
  Seconds seconds;

  [[nodiscard]] bool is_reference() const noexcept { return request.run.engine == EngineChoice::reference; }
};

void read_linear(const LinearRequest& request, LinearRecord& record, Reporter& reporter) {
  const RunRequest& r = request.run;
  check_arguments(r, {request.decay, request.beta, request.past_state});
  const std::string query = r.input.empty() ? r.query : r.input;
  const std::string key = r.key.empty() ? query : r.key;
  InputFiles files(r, reporter, nullptr);
  files.want("query", query, true);
  files.want("key", key, true);
  files.want("value", r.value.empty() ? key : r.value, true);
  files.want("decay", request.decay, false);
  files.want("beta", request.beta, false);
  files.want("past state", request.past_state, false);
  record.compute = files.read_all();
  record.files = files.all();
  for (const auto& [role, loaded] : record.files) require_numbers(loaded, r.reading);
  notice_rows(*files.find("query"), reporter);
  record.inputs = {.query = files.named("query"),
                   .key = files.named("key"),
                   .value = files.named("value"),
                   .decay = files.named("decay"),
                   .beta = files.named("beta"),
                   .past_state = files.named("past state"),
                   .heads = r.heads,
                   .kv_heads = r.kv_heads,
                   .rule = request.rule,
                   .scale = r.attention.scale.value_or(0)};
  if (!r.ids.empty()) record.ids = read_names(FileName::parse(r.ids), r.reading.options(DType::f32), reporter);
}

/// Decides what was left open, and plans outputs and memory.
void resolve(LinearRecord& record, const RunContext& context) {
  record.plan = engine::plan_recurrence(record.inputs);
  check_ids(record.ids, record.plan.dims.q_len, "--ids", "queries");
  RunRequest& r = record.request.run;
  record.request.rule = record.plan.rule;
  r.attention.scale = record.plan.scale;
  r.dtype = record.compute == DType::f64 ? ComputeType::f64 : ComputeType::f32;
  if (r.engine == EngineChoice::automatic) r.engine = EngineChoice::tiled;
  if (r.threads == 0) r.threads = context.cores;
  record.isa = isa_of(r);
  const auto want = [&](const char* role, const std::string& file, const Shape& shape) {
    if (!file.empty() && file != "none")
      record.outputs.push_back({.role = role, .file = file, .shape = shape, .dtype = record.compute});
  };
  want("output", r.output, record.plan.output_shape);
  want("present-state", record.request.present_state, record.plan.state_shape);
  check_output_files(record.outputs, r.report, record.files);
  std::uint64_t output_bytes = 0;
  for (const OutputPlan& p : record.outputs) output_bytes += element_count(p.shape, item_size(p.dtype)) * item_size(p.dtype);
  const DType computed_in = record.is_reference() ? DType::f64 : record.compute;
  record.estimate = estimate_memory(
      record.files, engine::recurrence_bytes(record.plan, record.inputs, computed_in, record.is_reference(), r.threads),
      output_bytes, r.threads);
  record.estimate.flops = record.plan.flops();
}

template <class D>
bool walk(const LinearRecord& record, const engine::RecurrentPlan& plan, const engine::RecurrentInputs& inputs,
          const engine::RecurrentResults<D>& results, const engine::Execution& execution) {
  return record.is_reference() ? engine::run_recurrence_reference<D>(plan, inputs, results, execution)
                               : engine::run_recurrence<D>(plan, inputs, results, execution);
}

/// The flops over the rate of a few tokens of the same widths, timed now.
template <class D>
double recurrence_seconds(const LinearRecord& record) {
  const engine::Dims& d = record.plan.dims;
  constexpr std::size_t tokens = 32;
  const std::size_t heads = d.heads / d.kv_heads;
  const auto zeros = [](Shape shape) { return engine::NamedArray{Array(dtype_of<D>, std::move(shape)), ""}; };
  engine::RecurrentInputs inputs;
  inputs.query = zeros({1, heads, tokens, d.head_dim});
  inputs.key = zeros({1, 1, tokens, d.head_dim});
  inputs.value = zeros({1, 1, tokens, d.value_dim});
  if (is_gated(record.plan.rule)) inputs.decay = zeros({1, 1, tokens, record.plan.gate_width()});
  if (is_delta(record.plan.rule)) inputs.beta = zeros({1, 1, tokens, 1});
  const engine::RecurrentPlan sample = engine::plan_recurrence(inputs);
  Array output(dtype_of<D>, sample.output_shape);
  double best = 1e300;
  for (int repeat = 0; repeat < 3; ++repeat) {
    Stopwatch watch;
    (void)walk<D>(record, sample, inputs, {.output = output.mutable_values<D>().data(), .state = nullptr},
                  {.threads = 1, .isa = record.request.run.isa, .cancelled = nullptr, .progress = {}});
    best = std::min(best, watch.lap());
  }
  return record.plan.flops() / sample.flops() * best / static_cast<double>(record.request.run.threads);
}

/// Which input brought a NaN in; empty when none holds one.
std::string origin_of_nan(const ReadFiles& files) {
  for (const auto& [role, loaded] : files) {
    const std::size_t i = first_nan(loaded.array);
    if (i == loaded.array.size()) continue;
    const std::size_t width = loaded.array.shape().back();
    return fmt::format("{} {}: row {}, column {}", role, loaded.name.text(), i / width, i % width);
  }
  return {};
}

/// Looks for the input's NaN only when one came out.
void announce_nan(const LinearRecord& record, Reporter& reporter) {
  const std::string found = origin_of_nan(record.files);
  if (!found.empty() && record.request.run.nan == NanPolicy::error) throw Error(Status::data, found + " is NaN (--nan error)");
  reporter.warn(found.empty() ? "the result holds NaN, though no input does: infinities made it"
                              : found + " is NaN; what it reaches is NaN");
}

template <class D>
void compute(const LinearRecord& record, const RunContext& context, Outputs& files) {
  const RunRequest& r = record.request.run;
  engine::RecurrentResults<D> results;
  for (const OutputPlan& p : record.outputs) {
    const bool is_output = p.role == "output";
    const std::vector<std::string> names = is_output ? record.ids : std::vector<std::string>{};
    D* const memory = reinterpret_cast<D*>(add_rows(p, r.writing, names, numbered(p.shape.back()), files));
    (is_output ? results.output : results.state) = memory;
  }
  const bool has_nan =
      walk<D>(record, record.plan, record.inputs, results,
              {.threads = r.threads, .isa = r.isa, .cancelled = context.cancelled, .progress = context.progress});
  if (has_nan) announce_nan(record, context.reporter);
}

std::string plan_text(const LinearRecord& record) {
  const engine::Dims& d = record.plan.dims;
  const RunRequest& r = record.request.run;
  const double seconds = record.compute == DType::f64 ? recurrence_seconds<double>(record) : recurrence_seconds<float>(record);
  std::string text = fmt::format(
      "batch {}  heads {}  kv_heads {}  length {}  head_dim {}  value_dim {}\n"
      "rule {}  scale {}\n"
      "computed in {} by the {} engine ({}), {} threads\n",
      d.batch, d.heads, d.kv_heads, d.q_len, d.head_dim, d.value_dim, name_of(record.plan.rule), record.plan.scale,
      name_of(r.dtype), name_of(r.engine), record.isa, r.threads);
  text += inputs_text(record.files) + outputs_text(record.outputs) + bytes_text(record.estimate);
  text += fmt::format("flops: {:.4g}   expected seconds: {:.3g}\n", record.estimate.flops, seconds);
  return text;
}

std::string report_json(const LinearRecord& record) {
  return record_text({{"version", ATTN_VERSION},
                      {"options", options_json(linear_table(), record.request)},
                      {"inputs", inputs_json(record.files)},
                      {"outputs", outputs_json(record.outputs)},
                      {"shape", shape_json(record.plan.dims)},
                      {"seconds", seconds_json(record.seconds)},
                      {"flops", record.estimate.flops},
                      {"peak_bytes", peak_bytes()},
                      {"threads", record.request.run.threads},
                      {"isa", record.isa}});
}

}  // namespace

void run_linear(const LinearRequest& request, const RunContext& context) {
  Stopwatch total;
  Stopwatch watch;
  LinearRecord record;
  record.request = request;
  read_linear(request, record, context.reporter);
  record.seconds.read = watch.lap();
  resolve(record, context);
  if (request.run.dry_run) context.print(plan_text(record));
  require_memory(record.estimate, request.run.max_memory, "this recurrence needs",
                 "to need less: a part of the tokens at a time, with --present-state and --past-state, or --dtype f32");
  if (request.run.dry_run) return;

  // Both are opened before the work starts, so that a missing folder is said now.
  Outputs files(context.temporary_folder);
  Outputs report;
  add_report(report, request.run.report, [&record] { return report_json(record); });
  if (record.compute == DType::f64) {
    compute<double>(record, context, files);
  } else {
    compute<float>(record, context, files);
  }
  files.require_distinct_from(report);
  record.seconds.attend = watch.lap();
  publish(record.files, context, files);
  record.seconds.write = watch.lap();
  record.seconds.total = total.lap();
  report.commit();
}

}  // namespace attn::request

// One stack of transformer layers from files to files: read, plan, compute, write, report.
#include "request/layer.hpp"

#include "base/stopwatch.hpp"
#include "model/blas.hpp"
#include "request/layer_report.hpp"
#include "request/layer_walk.hpp"
#include "request/report.hpp"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace attn::request {

namespace {

/// True when element i of the rows belongs to a row that is not padding.
bool is_real(const LayerInputs& in, std::size_t i) {
  const auto& lengths = in.x.inputs.key_lengths;
  if (lengths.empty()) return true;
  const Shape& shape = in.rows().shape();
  const std::size_t length = shape[shape.size() - 2];
  const std::size_t row = i / std::max<std::size_t>(shape.back(), 1);
  const std::int64_t real = lengths[lengths.size() == 1 ? 0 : row / length];
  return static_cast<std::int64_t>(row % length) < real;
}

/// The first NaN of `rows`, shaped as the rows that go in, outside of padding; their size when there is none.
std::size_t first_real_nan(const Array& rows, const LayerInputs& in) {
  std::size_t i = first_nan(rows);
  while (i < rows.size() && !is_real(in, i)) i = first_nan(rows, i + 1);
  return i;
}

/// Which input brought a NaN in; empty when none holds one.
std::string origin_of_nan(const LayerInputs& in) {
  const auto place = [](const engine::NamedArray& rows, std::size_t i) {
    const std::size_t width = rows.array.shape().back();
    return fmt::format("{}: row {}, feature {}", rows.name, i / width, i % width);
  };
  const std::size_t at = first_real_nan(in.rows(), in);
  if (at < in.rows().size()) return place(in.x.inputs.query, at);
  for (const StackedLayer& layer : in.layers) {
    for (const Loaded& file : layer.parameters.files) {
      const std::size_t i = first_nan(file.array);
      if (i < file.array.size()) return fmt::format("{}: number {}", file.name.text(), i);
    }
  }
  if (!in.memory) return {};
  const engine::NamedArray& memory = in.memory->inputs.query;
  const std::size_t i = first_nan(memory.array);
  return i < memory.array.size() ? place(memory, i) : std::string();
}

/// Looks for the input's NaN only when one came out, in a row that is not padding.
void announce_nan(const Array& rows, const LayerInputs& in, const LayerRequest& request, Reporter& reporter) {
  if (first_real_nan(rows, in) == rows.size()) return;
  const std::string found = origin_of_nan(in);
  if (!found.empty() && request.run.nan == NanPolicy::error) throw Error(Status::data, found + " is NaN (--nan error)");
  reporter.warn(found.empty() ? "the result holds NaN, though no input does: infinities made it"
                              : found + " is NaN; what it reaches is NaN");
}

LayerRecord resolve(const LayerRequest& request, const LayerInputs& in, const RunContext& context) {
  LayerRecord record{.request = request, .inputs = &in, .plan = {}, .isa = {}, .seconds = {}};
  RunRequest& r = record.request.run;
  r.dtype = in.compute == DType::f64 ? ComputeType::f64 : ComputeType::f32;
  if (r.engine == EngineChoice::automatic) r.engine = EngineChoice::tiled;
  if (r.threads == 0) r.threads = context.cores;
  record.isa = isa_of(r);
  // What was decided for the first layer.
  const StackedLayer& layer = in.layers.front();
  r.heads = layer.heads.heads;
  r.kv_heads = layer.heads.kv_heads;
  r.attention = layer.self;
  if (layer.self.rope != RopePairing::none) {
    r.rope_base = layer.self.rope_base;
    if (layer.self.rope_scaling.kind != RopeScaling::Kind::none) r.rope_scaling = layer.self.rope_scaling;
  }
  record.request.norm = layer.order;
  record.request.norm_epsilon = layer.parameters.attention_norm.epsilon;
  record.request.activation = layer.activation;
  return record;
}

const OutputPlan* find_output(const LayerRecord& record, const char* role) {
  const auto at = std::ranges::find(record.plan.outputs, role, &OutputPlan::role);
  return at == record.plan.outputs.end() ? nullptr : &*at;
}

/// The memory of an output with one row for each row that goes in; null when it is not written.
template <class D>
D* add_rows_output(const LayerRecord& record, const char* role, std::vector<std::string> columns, Outputs& files) {
  const OutputPlan* p = find_output(record, role);
  if (p == nullptr) return nullptr;
  return reinterpret_cast<D*>(add_rows(*p, record.request.run.writing, record.inputs->x.ids, std::move(columns), files));
}

/// T computes, D is what goes out.
template <class T, class D>
void compute(const LayerRecord& record, const LayerInputs& in, const RunContext& context, Workspace& workspace, Outputs& files) {
  D* const output = add_rows_output<D>(record, "output", numbered(in.width()), files);
  D* const flow = add_rows_output<D>(record, "rollout", in.x.ids, files);
  LayerWalk<T, D> walk(record.request, in, context, workspace, files);
  analysis::Rollout rollout(record.plan.dims.batch, record.plan.dims.q_len);
  if (flow != nullptr) walk.follow(rollout);
  const Array& rows = walk.run();
  const auto to_output = [](auto number) { return static_cast<D>(number); };
  if (output != nullptr) std::ranges::transform(rows.values<T>(), output, to_output);
  if (flow != nullptr) std::ranges::transform(rollout.flow(), flow, to_output);
  announce_nan(rows, in, record.request, context.reporter);
  const OutputPlan* planned = find_output(record, "output");
  if (context.guest != nullptr && planned != nullptr)
    context.guest->output(Array(dtype_of<D>, planned->shape, nullptr, reinterpret_cast<const std::byte*>(output)));
}

void compute_as_decided(const LayerRecord& record, const LayerInputs& in, const RunContext& context, Workspace& workspace,
                        Outputs& files) {
  if (workspace.type() == DType::f32) {
    compute<float, float>(record, in, context, workspace, files);
  } else if (in.compute == DType::f64) {
    compute<double, double>(record, in, context, workspace, files);
  } else {
    compute<double, float>(record, in, context, workspace, files);
  }
}

}  // namespace

void run_layers(const LayerRequest& request, const RunContext& context) {
  Stopwatch total;
  Stopwatch watch;
  const LayerInputs in = read_layer_inputs(request, context.reporter, context.shared);
  LayerRecord record = resolve(request, in, context);
  const bool is_tiled = record.request.run.engine == EngineChoice::tiled;
  Workspace workspace(is_tiled ? in.compute : DType::f64);
  record.plan = plan_layers(record.request, in, workspace);
  if (context.guest != nullptr) context.guest->resolved(values_of<LayerRequest>(layer_table(), record.request), record.isa);
  if (request.run.dry_run) {
    const double seconds =
        expected_seconds(record.plan.first, record.plan.estimate.flops, workspace.type(), is_tiled, record.request.run.threads);
    if (context.guest != nullptr)
      context.guest->planned(record.plan.estimate.total_bytes(), seconds);
    else
      context.print(layer_plan_text(record, seconds));
  }
  require_memory(record.plan.estimate, request.run.max_memory, "these layers need",
                 "to need less: leave out --weights and --scores, or compute in --dtype f32");
  if (request.run.dry_run) return;

  // Both are opened before the work starts, so that a missing folder is said now.
  Outputs files(context.temporary_folder);
  Outputs report;
  add_report(report, request.run.report, [&record] { return layer_report_json(record); });
  if (is_tiled) (void)model::Blas::get();  // loading a library is no part of the work
  record.seconds.read = watch.lap();
  compute_as_decided(record, in, context, workspace, files);
  files.require_distinct_from(report);
  record.seconds.attend = watch.lap();
  publish(in.files, context, files);
  record.seconds.write = watch.lap();
  record.seconds.total = total.lap();
  report.commit();
}

}  // namespace attn::request

// The computation of a stack of layers.
#include "request/layer_walk.hpp"

#include "analysis/writers.hpp"
#include "engine/prepare.hpp"
#include "model/activation.hpp"
#include "model/normalization.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace attn::request {

template <class T, class D>
LayerWalk<T, D>::LayerWalk(const LayerRequest& request, const LayerInputs& in, const RunContext& context, Workspace& workspace,
                           Outputs& files)
    : request_(request),
      in_(in),
      context_(context),
      workspace_(workspace),
      files_(files),
      execution_{.threads = request.run.threads, .isa = request.run.isa, .cancelled = context.cancelled, .progress = {}},
      arithmetic_(arithmetic_of(request.run)),
      rows_(in.rows().size() / std::max<std::size_t>(in.width(), 1)),
      width_(in.width()) {}

template <class T, class D>
const Array& LayerWalk<T, D>::run() {
  Array& state = workspace_.get("state", in_.rows().shape());
  in_.rows().convert_to(dtype_of<T>, state.mutable_data());
  for (const StackedLayer& layer : in_.layers) run_layer(layer);
  return state;
}

template <class T, class D>
void LayerWalk<T, D>::run_layer(const StackedLayer& layer) {
  const model::LayerParameters& p = layer.parameters;
  add_part(layer, p.attention_norm, [&](const Array& rows, T* out) { attend(layer, false, rows, out); });
  if (p.cross) add_part(layer, p.cross_norm, [&](const Array& rows, T* out) { attend(layer, true, rows, out); });
  add_part(layer, p.feed_norm, [&](const Array& rows, T* out) { feed_forward(layer, rows, out); });
}

template <class T, class D>
T* LayerWalk<T, D>::numbers(const std::string& name, std::size_t width) {
  return workspace_.get(name, with_width(in_.rows().shape(), width)).template mutable_values<T>().data();
}

template <class T, class D>
void LayerWalk<T, D>::add_part(const StackedLayer& layer, const model::Norm& norm, const Part& part) {
  Array& state = workspace_.get("state", in_.rows().shape());
  T* const x = state.mutable_values<T>().data();
  T* const added = numbers("added", width_);
  if (layer.order == model::NormOrder::post) {
    part(state, added);
    model::add_and_norm(norm, added, x, x, rows_, width_, execution_);
    return;
  }
  Array& normalized = workspace_.get("normalized", in_.rows().shape());
  model::apply_norm(norm, x, normalized.mutable_values<T>().data(), rows_, width_, execution_);
  part(normalized, added);
  model::add_and_norm<T>({}, added, x, nullptr, rows_, width_, execution_);
}

template <class T, class D>
void LayerWalk<T, D>::normalize_heads(const Array& weight, const StackedLayer& layer, std::size_t head_dim, Array& rows) const {
  if (weight.shape().empty()) return;
  const model::Norm norm{.weight = weight, .bias = {}, .epsilon = layer.parameters.attention_norm.epsilon, .keeps_mean = true};
  // One norm for each head, or one for all heads of a row together.
  const std::size_t dim = weight.size();
  if (dim != head_dim && dim != rows.shape().back())
    throw Error(Status::data, {in_.parameter_file},
                fmt::format("a norm of {} features fits neither heads of {} nor rows of {}", dim, head_dim, rows.shape().back()));
  T* const x = rows.mutable_values<T>().data();
  model::apply_norm(norm, x, x, rows.size() / dim, dim, execution_);
}

template <class T, class D>
void LayerWalk<T, D>::project(const StackedLayer& layer, AttentionFrame& frame, bool is_cross, const Array& rows) {
  const model::AttentionParameters& p = *frame.parameters;
  const Array& others = is_cross ? in_.memory->inputs.query.array : rows;
  const auto apply = [&](const model::Linear& linear, const Array& x, Array& out) {
    model::apply_linear(linear, x, "rows", out.mutable_values<T>().data(), arithmetic_, execution_);
  };
  apply(p.query, rows, *frame.query);
  apply(p.key, others, *frame.key);
  apply(p.value, others, *frame.value);
  normalize_heads(p.query_norm, layer, frame.plan.dims.head_dim, *frame.query);
  normalize_heads(p.key_norm, layer, frame.plan.dims.head_dim, *frame.key);
}

template <class T, class D>
void LayerWalk<T, D>::attend(const StackedLayer& layer, bool is_cross, const Array& rows, T* out) {
  AttentionFrame frame = make_frame(request_, in_, layer, is_cross, workspace_);
  project(layer, frame, is_cross, rows);
  const engine::Dims& d = frame.plan.dims;
  engine::Findings findings;
  const engine::Operands<T> operands = engine::prepare<T>(frame.plan, frame.inputs.inputs, findings);
  RunOutputs<T, D> outputs(frame.request, frame.inputs, frame.plan, operands, frame.outputs, files_);
  const std::size_t heads_width = d.heads * d.value_dim;
  Array& heads = workspace_.get("heads", {rows_, heads_width});
  analysis::OutputWriter<T, T> writer(frame.plan, operands, heads.mutable_values<T>().data(),
                                      {.batch = d.q_len * heads_width, .head = d.value_dim, .query = heads_width});
  analysis::EmptyRows<T> empty(frame.plan);
  std::vector<engine::Observer<T>*> observers = outputs.observers();
  observers.push_back(&writer);
  observers.push_back(&empty);
  std::optional<analysis::HeadSum<T>> head_sum;
  if (rollout_ != nullptr && !is_cross) observers.push_back(&head_sum.emplace(frame.plan));
  engine::Execution execution = execution_;
  if (in_.layers.size() == 1 && !is_cross) execution.progress = context_.progress;
  if (request_.run.engine == EngineChoice::tiled) {
    if constexpr (std::is_same_v<T, D>) engine::run_tiled<T>(frame.plan, operands, observers, execution);
  } else if constexpr (std::is_same_v<T, double>) {
    engine::run_reference(frame.plan, operands, observers, execution);
  }
  if (head_sum) rollout_->add(*head_sum, arithmetic_, execution_);
  announce(layer, frame, empty.count(), findings.zero_queries + findings.zero_keys);
  model::apply_linear(frame.parameters->output, heads, "heads", out, arithmetic_, execution_);
}

template <class T, class D>
void LayerWalk<T, D>::announce(const StackedLayer& layer, const AttentionFrame& frame, std::uint64_t empty,
                               std::uint64_t zero_vectors) {
  const std::string where = in_.is_stack ? fmt::format("layer {}: ", layer.number) : "";
  if (zero_vectors > 0)
    context_.reporter.warn(fmt::format("{}{} zero vectors have no cosine (--zero-vectors)", where, zero_vectors));
  if (empty == 0) return;
  const engine::Dims& d = frame.plan.dims;
  const std::string message = fmt::format("{}{} of {} queries have no key left", where, empty, d.batch * d.heads * d.q_len);
  if (frame.plan.options.empty_rows == Policy::error) throw Error(Status::data, message + " (--empty-rows error)");
  context_.reporter.warn(fmt::format("{}: what they attend to is {} (--empty-rows)", message,
                                     frame.plan.options.empty_rows == Policy::nan ? "NaN" : "zero"));
}

template <class T, class D>
void LayerWalk<T, D>::feed_forward(const StackedLayer& layer, const Array& rows, T* out) {
  const model::LayerParameters& p = layer.parameters;
  const std::size_t count = rows_ * p.set.hidden;
  const Shape shape = with_width(rows.shape(), p.set.hidden);
  T* const up = numbers("up", p.set.hidden);
  model::apply_linear(p.up, rows, "rows", up, arithmetic_, execution_);
  if (p.is_gated()) {
    T* const gate = numbers("gate", p.set.hidden);
    model::apply_linear(p.gate, rows, "rows", gate, arithmetic_, execution_);
    model::activate<T>(layer.activation, gate, up, count, arithmetic_, execution_);
  } else {
    model::activate<T>(layer.activation, up, nullptr, count, arithmetic_, execution_);
  }
  model::apply_linear(p.down, workspace_.get(p.is_gated() ? "gate" : "up", shape), "the hidden rows", out, arithmetic_,
                      execution_);
}

template class LayerWalk<float, float>;
template class LayerWalk<double, float>;
template class LayerWalk<double, double>;

}  // namespace attn::request

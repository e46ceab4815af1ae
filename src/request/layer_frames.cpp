// The attentions of a stack of layers as runs.
#include "request/layer_frames.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace attn::request {

namespace {

/// The file of one layer: {} stands for its number; in a file of several arrays each layer has its own.
std::string file_of_layer(const std::string& file, const char* option, const LayerInputs& in, std::size_t number) {
  if (file.empty() || file == "none") return file;
  const std::string text = std::to_string(number);
  const std::size_t place = file.find("{}");
  if (place != std::string::npos) return file.substr(0, place) + text + file.substr(place + 2);
  if (in.layers.size() == 1) return file;
  const FileName name = FileName::parse_output(file);
  const std::optional<Format> format = format_of_path(name.path);
  if (format == Format::npz || format == Format::safetensors) return name.selector.empty() ? file + ":layer" + text : file + text;
  throw Error(Status::usage, fmt::format("{}: {} layers cannot all write '{}'", option, in.layers.size(), file),
              "an NPZ file holds an array for each layer, or {} in the name stands for the layer's number");
}

RunRequest request_of(const LayerRequest& request, const LayerInputs& in, const StackedLayer& layer, bool is_cross) {
  RunRequest r = request.run;
  r.output = "none";
  r.report.clear();
  if (is_cross) {
    r.weights = request.cross_weights;
    r.scores.clear();
    r.lse.clear();
  }
  r.weights = file_of_layer(r.weights, is_cross ? "--cross-weights" : "--weights", in, layer.number);
  r.scores = file_of_layer(r.scores, "--scores", in, layer.number);
  r.lse = file_of_layer(r.lse, "--lse", in, layer.number);
  return r;
}

double product_flops(double rows, const model::Matrix& weight) {
  return 2 * rows * static_cast<double>(weight.in) * static_cast<double>(weight.out);
}

std::size_t rows_of(const Array& array) { return array.size() / std::max<std::size_t>(array.shape().back(), 1); }

/// The larger of two needs of memory, the sum of two works.
void add_frame(const LayerRequest& request, const AttentionFrame& frame, const Workspace& workspace, LayerPlan& plan) {
  const bool is_tiled = request.run.engine != EngineChoice::reference;
  RunInputs bare = frame.inputs;
  bare.files.clear();
  const Estimate e = estimate(frame.plan, bare, workspace.type(), is_tiled, request.run.threads, 0);
  plan.attention_bytes = std::max(plan.attention_bytes, e.working_bytes);
  plan.estimate.visible_pairs += e.visible_pairs;
  plan.estimate.flops += e.flops;
  const auto rows = static_cast<double>(rows_of(*frame.query));
  const auto key_rows = static_cast<double>(rows_of(*frame.key));
  plan.estimate.flops +=
      product_flops(rows, frame.parameters->query.weight) + product_flops(rows, frame.parameters->output.weight) +
      product_flops(key_rows, frame.parameters->key.weight) + product_flops(key_rows, frame.parameters->value.weight);
  plan.outputs.insert(plan.outputs.end(), frame.outputs.begin(), frame.outputs.end());
}

}  // namespace

Array& Workspace::get(const std::string& name, const Shape& shape) {
  const auto key = std::pair(name, shape);
  const auto at = arrays_.find(key);
  return at == arrays_.end() ? arrays_.emplace(key, Array(type_, shape)).first->second : at->second;
}

std::uint64_t Workspace::bytes() const noexcept {
  std::uint64_t bytes = 0;
  for (const auto& entry : arrays_) bytes += entry.second.bytes();
  return bytes;
}

Shape with_width(Shape shape, std::size_t width) {
  shape.back() = width;
  return shape;
}

AttentionFrame make_frame(const LayerRequest& request, const LayerInputs& in, const StackedLayer& layer, bool is_cross,
                          Workspace& workspace) {
  AttentionFrame frame;
  frame.parameters = is_cross ? &*layer.parameters.cross : &layer.parameters.attention;
  const model::AttentionSet& set = frame.parameters->set;
  const model::HeadCounts& heads = is_cross ? layer.cross_heads : layer.heads;
  frame.inputs = is_cross ? *in.memory : in.x;
  frame.inputs.ids = in.x.ids;
  frame.inputs.files = in.files;
  frame.request = request_of(request, in, layer, is_cross);
  const std::string of = fmt::format("{}of the rows that go in", in.is_stack ? fmt::format("in layer {} ", layer.number) : "");
  const auto take = [&](const char* role, engine::NamedArray& input, const Shape& shape, std::size_t width) {
    Array& projected = workspace.get(std::string(role) + (is_cross ? " cross" : ""), with_width(shape, width));
    input = {projected, fmt::format("{} {}", role, of)};
    return &projected;
  };
  const Shape& own = in.rows().shape();
  const Shape other = is_cross ? in.memory->inputs.query.array.shape() : own;
  frame.query = take("query", frame.inputs.inputs.query, own, set.query.out);
  frame.key = take("key", frame.inputs.inputs.key, other, set.key.out);
  frame.value = take("value", frame.inputs.inputs.value, other, set.value.out);
  // One head that nobody asked for leaves no trace in the shapes.
  const bool is_plain = heads.source.empty();
  frame.inputs.inputs.heads = is_plain ? 0 : heads.heads;
  frame.inputs.inputs.kv_heads = is_plain ? 0 : heads.kv_heads;
  const QueryOffset offset = frame.inputs.options.query_offset;  // as read
  frame.inputs.options = is_cross ? layer.cross : layer.self;
  if (!is_cross) frame.inputs.options.query_offset = offset;
  frame.inputs.compute = in.compute;
  frame.plan = engine::make_plan(frame.inputs.inputs, frame.inputs.options, workspace.type());
  frame.outputs = plan_outputs(frame.request, frame.inputs, frame.plan, in.compute);
  return frame;
}

LayerPlan plan_layers(const LayerRequest& request, const LayerInputs& in, Workspace& workspace) {
  LayerPlan plan;
  if (!request.run.output.empty() && request.run.output != "none")
    plan.outputs.push_back({.role = "output", .file = request.run.output, .shape = in.rows().shape(), .dtype = in.compute});
  if (!request.rollout.empty() && request.rollout != "none") {
    const Shape& x = in.rows().shape();
    const Shape shape = with_width(x, x[x.size() - 2]);
    plan.outputs.push_back({.role = "rollout", .file = request.rollout, .shape = shape, .dtype = in.compute});
    // Sums over heads, this layer's mixing and the product so far.
    plan.estimate.working_bytes += 3 * element_count(shape) * sizeof(double);
  }
  const auto rows = static_cast<double>(rows_of(in.rows()));
  std::size_t widest = in.width();
  for (const StackedLayer& layer : in.layers) {
    const AttentionFrame self = make_frame(request, in, layer, false, workspace);
    if (&layer == &in.layers.front()) {
      plan.dims = self.plan.dims;
      plan.first = self.plan;
    }
    add_frame(request, self, workspace, plan);
    if (in.memory) add_frame(request, make_frame(request, in, layer, true, workspace), workspace, plan);
    const model::LayerParameters& p = layer.parameters;
    for (const model::Linear* linear : {&p.up, &p.gate, &p.down}) plan.estimate.flops += product_flops(rows, linear->weight);
    widest = std::max(widest, p.set.hidden * (p.is_gated() ? 2 : 1));
  }
  check_output_files(plan.outputs, request.run.report, in.files);
  for (const auto& file : in.files) plan.estimate.input_bytes += file.second.array.bytes();
  for (const OutputPlan& p : plan.outputs)
    plan.estimate.output_bytes += element_count(p.shape, item_size(p.dtype)) * item_size(p.dtype);
  // The rows, their norm, what a part adds, the heads side by side, and the feed-forward network.
  const std::uint64_t numbers = rows_of(in.rows()) * (4 * in.width() + widest);
  plan.estimate.working_bytes += plan.attention_bytes + workspace.bytes() + numbers * item_size(workspace.type());
  return plan;
}

}  // namespace attn::request

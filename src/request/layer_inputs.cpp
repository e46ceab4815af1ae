// Reading what a layer request names.
#include "request/layer_inputs.hpp"

#include "io/array_names.hpp"
#include "model/activation.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace attn::request {

namespace {

void check_layer_arguments(const LayerRequest& r) {
  if (r.run.input.empty())
    throw Error(Status::usage, "there is no input: give X, the rows that go into the layer",
                "attn layer x.npy --params model.safetensors --params-prefix encoder.layer.0 -o y.npy");
  if (r.run.params.empty()) throw Error(Status::usage, "attn layer needs --params: the file that holds the layer's parameters");
  if (r.bidirectional && r.run.attention.causal) throw Error(Status::usage, "--causal and --bidirectional contradict each other");
  const bool has_memory = !r.memory.empty();
  if (!has_memory && !r.memory_lengths.empty()) throw Error(Status::usage, "--memory-lengths goes with --memory");
  if (!has_memory && !r.cross_weights.empty())
    throw Error(Status::usage, "--cross-weights goes with --memory: a layer without one has no cross-attention");
  if (has_memory && FileName::parse(r.run.input).is_standard_stream() && FileName::parse(r.memory).is_standard_stream())
    throw Error(Status::usage, "only one input may be standard input");
  if (has_memory && !r.rollout.empty())
    throw Error(Status::usage, "--rollout follows self-attention from row to row: it has no meaning with --memory");
  if (!r.rollout.empty() && r.run.attention.normalize == Normalizer::none)
    throw Error(Status::usage, "--rollout needs weights that are shares of one: --normalize none has no such");
  if (r.norm_epsilon && !(*r.norm_epsilon >= 0 && std::isfinite(*r.norm_epsilon)))
    throw Error(Status::usage, "--norm-eps must be a number from 0");
}

/// The request for the rows alone: what a run without parameters reads.
RunRequest rows_request(const LayerRequest& request, DType compute) {
  RunRequest r = request.run;
  r.params.clear();
  r.params_prefix.clear();
  r.heads = 0;
  r.kv_heads = 0;
  if (compute == DType::f64) r.dtype = ComputeType::f64;
  return r;
}

RunRequest memory_request(const LayerRequest& request, DType compute) {
  RunRequest r = rows_request(request, compute);
  r.input = request.memory;
  r.key_lengths = request.memory_lengths;
  for (std::string* text : {&r.mask, &r.bias, &r.segments, &r.key_segments, &r.ids, &r.query_offset}) text->clear();
  r.mask_type = MaskType::automatic;
  return r;
}

/// Reads rows and memory in the type that all files together decide.
void read_rows(const LayerRequest& request, DType compute, LayerInputs& in, Reporter& reporter, SharedInputs* shared) {
  const bool decides = request.run.dtype == ComputeType::automatic;
  const auto is_stream = [](const std::string& file) { return FileName::parse(file).is_standard_stream(); };
  // A stream is read last, when the type of text numbers is known.
  const bool memory_first = !request.memory.empty() && is_stream(request.run.input);
  if (memory_first) {
    in.memory = read_inputs(memory_request(request, compute), reporter, shared);
    if (decides && in.memory->compute == DType::f64) compute = DType::f64;
  }
  in.x = read_inputs(rows_request(request, compute), reporter, shared);
  if (decides && in.x.compute == DType::f64) compute = DType::f64;
  if (!request.memory.empty() && !memory_first) {
    in.memory = read_inputs(memory_request(request, compute), reporter, shared);
    if (decides && in.memory->compute == DType::f64 && in.x.compute == DType::f32)
      in.x = read_inputs(rows_request(request, DType::f64), reporter, shared);
  }
  if (in.memory && decides && in.x.compute == DType::f64 && in.memory->compute == DType::f32)
    in.memory = read_inputs(memory_request(request, DType::f64), reporter, shared);
  in.compute = in.x.compute;
}

/// [length, width] or [batch, length, width] rows of `width` numbers.
void check_rows(engine::NamedArray& rows, std::size_t width, const char* what, const std::string& parameters) {
  const Shape& shape = rows.array.shape();
  if (shape.empty())
    throw Error(Status::data,
                fmt::format("{} is a single number: a layer takes [length, width] or [batch, length, width]", rows.name));
  if (shape.size() > 3)
    throw Error(Status::data, fmt::format("{} {} has heads already: a layer takes [length, width] or [batch, length, width]",
                                          rows.name, to_string(shape)));
  if (shape.size() == 1) rows.array = rows.array.reshaped({1, shape[0]});
  if (rows.array.shape().back() != width)
    throw Error(Status::data, fmt::format("{} {} is {} wide, and the layer takes {} of {} ({})", rows.name,
                                          to_string(rows.array.shape()), rows.array.shape().back(), what, width, parameters));
}

std::string prefix_of_layer(const std::string& prefix, std::size_t number) {
  const std::size_t place = prefix.find("{}");
  const std::string text = std::to_string(number);
  if (place != std::string::npos) return prefix.substr(0, place) + text + prefix.substr(place + 2);
  return prefix.empty() || prefix.ends_with('.') ? prefix + text + "." : prefix + "." + text + ".";
}

/// The options of the self-attention: what was asked for, then config.json, then what the names imply.
AttentionOptions self_options(const LayerRequest& request, const StackedLayer& layer,
                              const std::optional<model::ModelConfig>& config) {
  const model::LayerScheme& scheme = *layer.parameters.set.scheme;
  AttentionOptions o = request.run.attention_options();
  if (scheme.is_causal && !request.bidirectional) o.causal = true;
  if (scheme.rotates && !request.given.contains("rope")) o.rope = RopePairing::half;
  if (o.rope == RopePairing::none || !config) return o;
  if (!request.run.rope_base && config->rope_base) o.rope_base = *config->rope_base;
  if (!request.given.contains("rope-dim") && config->rope_fraction)
    o.rope_dim = static_cast<std::size_t>(*config->rope_fraction * static_cast<double>(layer.heads.head_dim));
  if (request.run.rope_scaling || !config->rope_scaling) return o;
  if (!config->rope_scaling->scaling)
    throw Error(Status::data, {config->path},
                fmt::format("rotary positions scaled as '{}' are not known (expected linear, ntk, dynamic or llama3)",
                            config->rope_scaling->type),
                "--rope-scaling says what to do instead; --rope-scaling none leaves them as they are");
  o.rope_scaling = model::usable_scaling(*config).value_or(RopeScaling{});
  return o;
}

AttentionOptions cross_options(AttentionOptions o) {
  o.causal = false;
  o.window = {};
  o.query_offset = {};
  o.alibi = false;
  o.rope = RopePairing::none;
  return o;
}

model::Activation activation_of(const LayerRequest& request, const model::LayerScheme& scheme,
                                const std::optional<model::ModelConfig>& config) {
  if (request.activation) return *request.activation;
  if (!config || !config->activation) return scheme.activation;
  const auto known = model::activation_called(*config->activation);
  if (!known)
    throw Error(Status::data, {config->path},
                fmt::format("the activation '{}' is not known (expected gelu, gelu_new, relu or silu)", *config->activation),
                "--activation says what to compute instead");
  return *known;
}

void decide(const LayerRequest& request, const LayerInputs& in, StackedLayer& layer) {
  model::LayerParameters& p = layer.parameters;
  const RunRequest& run = request.run;
  layer.heads = model::resolve_heads(p.set.attention, run.heads, run.kv_heads, in.config, in.parameter_file);
  if (p.set.cross) layer.cross_heads = model::resolve_heads(*p.set.cross, layer.heads.heads, 0, std::nullopt, in.parameter_file);
  layer.order = request.norm.value_or(p.set.scheme->order);
  layer.activation = activation_of(request, *p.set.scheme, in.config);
  const double configured = in.config && in.config->norm_epsilon ? *in.config->norm_epsilon : p.set.scheme->epsilon;
  for (model::Norm* norm : {&p.attention_norm, &p.cross_norm, &p.feed_norm})
    norm->epsilon = request.norm_epsilon.value_or(configured);
  layer.self = self_options(request, layer, in.config);
  layer.cross = cross_options(layer.self);
}

void read_parameters(const LayerRequest& request, LayerInputs& in, Reporter& reporter) {
  const model::ParameterFile file(request.run.params, reporter);
  in.parameter_file = file.path();
  in.config = model::read_config(file.path(), reporter);
  if (in.config && in.config->model_type.starts_with("gemma"))
    throw Error(Status::data, {in.config->path},
                fmt::format("the norms of {} add 1 to their weights, which attn layer does not", in.config->model_type));
  in.is_stack = !request.layers.empty();
  const std::vector<std::size_t> numbers = in.is_stack ? parse_layers(request.layers) : std::vector<std::size_t>{0};
  for (const std::size_t number : numbers) {
    const std::string& prefix = request.run.params_prefix;
    model::LayerSet set = model::recognize_layer(file, in.is_stack ? prefix_of_layer(prefix, number) : prefix);
    StackedLayer layer;
    layer.number = number;
    layer.parameters = model::load_layer(file, std::move(set), reporter);
    decide(request, in, layer);
    const model::LayerSet& first = in.layers.empty() ? layer.parameters.set : in.layers.front().parameters.set;
    if (layer.parameters.set.width != first.width)
      throw Error(Status::data, location_of(file.path(), layer.parameters.set.prefix),
                  fmt::format("a layer of width {} cannot follow one of width {}", layer.parameters.set.width, first.width));
    if (layer.heads.source.empty() && in.layers.empty())
      reporter.warn(fmt::format("nothing says how many heads {} has: taken as one (--heads)", shown_name(file.path())));
    reporter.note(fmt::format("{}: {}", in.parameter_file, layer.summary()));
    in.layers.push_back(std::move(layer));
  }
}

void check_memory_is_used(const LayerRequest& request, const LayerInputs& in) {
  for (const StackedLayer& layer : in.layers) {
    const model::LayerSet& set = layer.parameters.set;
    if (set.cross && request.memory.empty())
      throw Error(Status::usage, fmt::format("the layer under '{}' has a cross-attention ({}): --memory names what it looks at",
                                             shown_name(set.prefix), set.scheme->name));
    if (!set.cross && !request.memory.empty())
      throw Error(Status::data, location_of(in.parameter_file, set.prefix),
                  fmt::format("the layer has no cross-attention for --memory ({})", set.scheme->name));
  }
}

bool holds_double(const LayerInputs& in) {
  return std::ranges::any_of(in.layers, [](const StackedLayer& layer) {
    return std::ranges::any_of(layer.parameters.files, [](const Loaded& file) { return file.array.dtype() == DType::f64; });
  });
}

std::string norm_text(const model::Norm& norm) { return norm.keeps_mean ? "RMSNorm" : "LayerNorm"; }

std::string positions_text(const AttentionOptions& o) {
  std::string text = o.causal ? ", causal" : "";
  if (o.rope == RopePairing::none) return text;
  text += fmt::format(", RoPE {} base {}", name_of(o.rope), o.rope_base);
  if (o.rope_scaling.kind != RopeScaling::Kind::none) text += " " + to_text(show_value(o.rope_scaling));
  return text;
}

}  // namespace

std::string StackedLayer::summary() const {
  const model::LayerSet& set = parameters.set;
  const std::string kv = heads.kv_heads == heads.heads ? "" : fmt::format(" sharing {}", heads.kv_heads);
  return fmt::format("{} layer under '{}': {} heads{} ({}){}, width {}, {}{} {}, {}-norm ({}, epsilon {}){}", set.scheme->name,
                     shown_name(set.prefix), heads.heads, kv, heads.source.empty() ? "nothing says how many" : heads.source,
                     set.cross ? ", cross-attention" : "", set.width, parameters.is_gated() ? "gated " : "", name_of(activation),
                     set.hidden, name_of(order), norm_text(parameters.attention_norm), parameters.attention_norm.epsilon,
                     positions_text(self));
}

LayerInputs read_layer_inputs(const LayerRequest& request, Reporter& reporter, SharedInputs* shared) {
  check_layer_arguments(request);
  LayerInputs in;
  read_parameters(request, in, reporter);
  check_memory_is_used(request, in);
  const bool doubles = request.run.dtype == ComputeType::automatic && holds_double(in);
  read_rows(request, doubles ? DType::f64 : DType::f32, in, reporter, shared);
  in.x.inputs.query.name = "rows " + request.run.input;
  check_rows(in.x.inputs.query, in.width(), "rows", in.parameter_file);
  in.x.inputs.key = in.x.inputs.value = in.x.inputs.query;
  in.files = in.x.files;
  if (in.memory) {
    in.memory->inputs.query.name = "memory " + request.memory;
    for (const StackedLayer& layer : in.layers)
      check_rows(in.memory->inputs.query, layer.parameters.set.cross->key.in, "a memory", in.parameter_file);
    for (auto& [role, loaded] : in.memory->files) {
      if (role == "query") in.files.emplace_back("memory", loaded);
    }
  }
  // The rows were read as a query, key and value that are the same.
  std::erase_if(in.files, [](const auto& file) { return file.first == "key" || file.first == "value"; });
  for (auto& file : in.files) {
    if (file.first == "query") file.first = "rows";
  }
  for (const StackedLayer& layer : in.layers) {
    for (const Loaded& file : layer.parameters.files) in.files.emplace_back("parameters", file);
  }
  return in;
}

}  // namespace attn::request

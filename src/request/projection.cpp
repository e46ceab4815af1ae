// Attention on projected inputs.
#include "request/projection.hpp"

#include "io/array_names.hpp"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace attn::request {

namespace {

void refuse_norms(const model::AttentionParameters& parameters, const std::string& file) {
  for (const model::NamedRole& tensor : parameters.set.tensors) {
    if (tensor.role == model::Role::query_norm || tensor.role == model::Role::key_norm)
      throw Error(Status::data, location_of(file, tensor.name),
                  "attn run has no norm of queries and keys, which this layer needs");
  }
}

/// What the model does beyond its matrices and the request does not ask for.
void compare_with_config(const RunRequest& request, const model::ModelConfig& config, Reporter& reporter) {
  if (config.rope_base && request.attention.rope == RopePairing::none)
    reporter.warn(fmt::format("{} gives a RoPE base, but no --rope is asked for: queries and keys are not rotated", config.path));
  const bool rotates = request.attention.rope != RopePairing::none;
  if (rotates && !request.rope_scaling && config.rope_scaling && !config.rope_scaling->scaling)
    reporter.warn(
        fmt::format("{} scales its rotary positions ({}), which is not applied", config.path, config.rope_scaling->type));
}

/// out += x, where x is widened a row at a time.
template <class T>
void add_rows(const Array& x, T* out) {
  const std::size_t width = x.shape().back();
  std::vector<T> row(width);
  for (std::size_t first = 0; first < x.size(); first += width, out += width) {
    const Array source(x.dtype(), {width}, nullptr, x.data() + first * item_size(x.dtype()));
    source.convert_to(dtype_of<T>, reinterpret_cast<std::byte*>(row.data()));
    for (std::size_t c = 0; c < width; ++c) out[c] += row[c];
  }
}

}  // namespace

Projection::Projection(const RunRequest& request, Reporter& reporter) : file_(FileName::parse(request.params).path) {
  const model::ParameterFile file(request.params, reporter);
  config_ = model::read_config(file.path(), reporter);
  model::AttentionSet set = model::recognize_attention(file, request.params_prefix);
  heads_ = model::resolve_heads(set, request.heads, request.kv_heads, config_, file.path());
  const bool is_checkpoint = set.scheme != model::attention_schemes().data();
  parameters_ = model::load_attention(file, std::move(set), reporter);
  refuse_norms(parameters_, file.path());
  if (heads_.source.empty() && is_checkpoint)
    reporter.warn(fmt::format("nothing says how many heads {} has: taken as one (--heads)", shown_name(file.path())));
  if (config_) compare_with_config(request, *config_, reporter);
  if (request.attention.combine == Combine::rows)
    throw Error(Status::usage, "--combine rows keeps the weighted values of each head apart, and --params projects their sum");
  if (request.attention.residual && output_width() != parameters_.set.query.in)
    throw Error(Status::data, {file.path()},
                fmt::format("--residual adds the query ({} wide) to the projected output ({} wide): they must be equally wide",
                            parameters_.set.query.in, output_width()));
  reporter.note(summary());
}

bool Projection::holds_double() const {
  return std::ranges::any_of(parameters_.files, [](const Loaded& tensor) { return tensor.array.dtype() == DType::f64; });
}

ReadFiles Projection::files() const {
  ReadFiles files;
  for (const Loaded& tensor : parameters_.files) files.emplace_back("parameters", tensor);
  return files;
}

std::string Projection::summary() const {
  const model::AttentionSet& set = parameters_.set;
  const std::string kv = heads_.kv_heads == heads_.heads ? "" : fmt::format(" sharing {}", heads_.kv_heads);
  return fmt::format(
      "{}: {} parameters under '{}': {} heads{} ({}), query {} to {}, key {} to {}, value {} to {}, output {} to {}, {}", file_,
      set.scheme->name, shown_name(set.prefix), heads_.heads, kv, heads_.source.empty() ? "nothing says how many" : heads_.source,
      set.query.in, set.query.out, set.key.in, set.key.out, set.value.in, set.value.out, set.output.in, set.output.out,
      set.has_bias() ? "with biases" : "without biases");
}

void Projection::take_over(engine::Inputs& inputs, DType computed_in, const RunRequest& request, SharedInputs* shared) {
  // A name and how it is read stand for the rows: what is shared does not change while runs share it.
  const auto key = [&](const char* role, const engine::NamedArray& input, const Shape& shape) {
    return fmt::format("{}\n{}\n{}\n{}\n{}\n{}\n{}", role, input.name, to_string(shape), file_, parameters_.set.prefix,
                       dtype_name(computed_in), static_cast<int>(arithmetic_of(request))) +
           reading_key({}, request.reading.options(computed_in));
  };
  const auto take = [&](const char* role, engine::NamedArray& input, const model::Linear& linear) {
    const Shape& shape = input.array.shape();
    if (shape.size() > 3)
      throw Error(Status::usage,
                  fmt::format("{} {} has heads already: --params projects [length, width] or [batch, length, width]", input.name,
                              to_string(shape)));
    const std::size_t width = shape.empty() ? 0 : shape.back();
    if (width != linear.weight.in)
      throw Error(Status::data, fmt::format("{} {} is {} wide, and the parameters take a {} of {} ({})", input.name,
                                            to_string(shape), width, role, linear.weight.in, file_));
    Shape projected = shape;
    projected.back() = linear.weight.out;
    sides_.push_back({.role = role, .linear = &linear, .rows = input, .projected = {}});
    Side& side = sides_.back();
    if (shared != nullptr) side.shared = shared->rows(key(role, input, projected), computed_in, projected);
    side.projected = side.shared ? side.shared->array() : Array(computed_in, projected);
    input = {sides_.back().projected, "projected " + input.name};
  };
  take("query", inputs.query, parameters_.query);
  take("key", inputs.key, parameters_.key);
  take("value", inputs.value, parameters_.value);
  // One head that nobody asked for leaves no trace in the shapes.
  const bool is_plain = heads_.source.empty();
  inputs.heads = is_plain ? 0 : heads_.heads;
  inputs.kv_heads = is_plain ? 0 : heads_.kv_heads;
}

void Projection::project(const engine::Execution& execution, model::Arithmetic arithmetic) {
  for (Side& side : sides_) {
    const auto fill = [&](Array& to) {
      if (to.dtype() == DType::f64)
        model::apply_linear(*side.linear, side.rows.array, side.rows.name, to.mutable_values<double>().data(), arithmetic,
                            execution);
      else
        model::apply_linear(*side.linear, side.rows.array, side.rows.name, to.mutable_values<float>().data(), arithmetic,
                            execution);
    };
    if (side.shared)
      side.shared->fill(fill);
    else
      fill(side.projected);
  }
}

template <class T, class D>
void Projection::project_output(const Array& heads_output, bool residual, D* output, const engine::Execution& execution,
                                model::Arithmetic arithmetic) const {
  const std::size_t count = output_rows() * output_width();
  Array space(dtype_of<T>, {std::is_same_v<T, D> ? 0 : count});
  T* projected = nullptr;
  if constexpr (std::is_same_v<T, D>)
    projected = output;
  else
    projected = space.template mutable_values<T>().data();
  model::apply_linear(parameters_.output, heads_output, "the output of the heads", projected, arithmetic, execution);
  if (residual) add_rows(sides_.front().rows.array, projected);
  if constexpr (!std::is_same_v<T, D>) {
    for (std::size_t i = 0; i < count; ++i) output[i] = static_cast<D>(projected[i]);
  }
}

std::string Projection::first_nan() const {
  for (const Loaded& tensor : parameters_.files) {
    const std::size_t i = request::first_nan(tensor.array);
    if (i < tensor.array.size()) return fmt::format("{}: number {} is NaN", tensor.name.text(), i);
  }
  return {};
}

std::size_t Projection::output_rows() const {
  const Array& query = sides_.front().projected;
  return query.size() / std::max<std::size_t>(query.shape().back(), 1);
}

std::uint64_t Projection::working_bytes(std::size_t threads) const {
  std::uint64_t bytes = 0;
  for (const Side& side : sides_) {
    bytes += side.projected.bytes();
    bytes += model::linear_working_bytes(*side.linear, side.rows.array, side.projected.dtype(), threads);
  }
  // The heads side by side, and the output before it is rounded.
  const std::uint64_t item = item_size(sides_.front().projected.dtype());
  return bytes + output_rows() * (parameters_.set.output.in + output_width()) * item;
}

double Projection::flops() const {
  const auto product = [](double rows, const model::Matrix& weight) {
    return 2 * rows * static_cast<double>(weight.in) * static_cast<double>(weight.out);
  };
  double flops = product(static_cast<double>(output_rows()), parameters_.output.weight);
  for (const Side& side : sides_) {
    const std::size_t rows = side.rows.array.size() / side.linear->weight.in;
    flops += product(static_cast<double>(rows), side.linear->weight);
  }
  return flops;
}

template void Projection::project_output<float, float>(const Array&, bool, float*, const engine::Execution&,
                                                       model::Arithmetic) const;
template void Projection::project_output<double, float>(const Array&, bool, float*, const engine::Execution&,
                                                        model::Arithmetic) const;
template void Projection::project_output<double, double>(const Array&, bool, double*, const engine::Execution&,
                                                         model::Arithmetic) const;

}  // namespace attn::request

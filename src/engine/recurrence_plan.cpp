// From the inputs of recurrent linear attention to a plan: sizes that fit each other, and how decays and rates are repeated.
#include "engine/recurrence.hpp"

#include <attn/error.hpp>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace attn::engine {

namespace {

std::string all_shapes(const RecurrentInputs& inputs) {
  std::string text;
  for (const NamedArray* array : {&inputs.query, &inputs.key, &inputs.value, &inputs.decay, &inputs.beta, &inputs.past_state}) {
    if (array->given()) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", array->name, to_string(array->array.shape()));
  }
  return text;
}

[[noreturn]] void misfit(const RecurrentInputs& inputs, const std::string& what, const std::string& hint = {}) {
  throw Error(Status::data, fmt::format("{}: {}", what, all_shapes(inputs)), hint);
}

UpdateRule rule_of(const RecurrentInputs& inputs) {
  const bool decays = inputs.decay.given();
  const bool corrects = inputs.beta.given();
  if (!inputs.rule) {
    if (decays) return corrects ? UpdateRule::gated_delta : UpdateRule::gated;
    return corrects ? UpdateRule::delta : UpdateRule::linear;
  }
  const auto check = [](bool needs, bool has, const char* option, const char* what, const char* rules) {
    if (needs && !has) throw Error(Status::usage, fmt::format("this --rule needs {}: {}", option, what));
    if (!needs && has) throw Error(Status::usage, fmt::format("{} has no meaning with this --rule", option), rules);
  };
  check(is_gated(*inputs.rule), decays, "--decay", "the logarithm of what the state is multiplied by at each token",
        "rules with a decay are gated and gated-delta");
  check(is_delta(*inputs.rule), corrects, "--beta", "the rate of each token's correction",
        "rules with rates are delta and gated-delta");
  return *inputs.rule;
}

Dims dims_of(const RecurrentInputs& inputs) {
  const std::size_t packed = inputs.kv_heads != 0 ? inputs.kv_heads : inputs.heads;
  const HeadLayout query = head_layout(inputs.query, inputs.heads);
  const HeadLayout key = head_layout(inputs.key, packed);
  const HeadLayout value = head_layout(inputs.value, packed);
  if (query.batch != key.batch || key.batch != value.batch) misfit(inputs, "query, key and value differ in batch size");
  if (query.length != key.length || key.length != value.length)
    misfit(inputs, "query, key and value differ in length: each token has one row of each");
  if (key.heads != value.heads) misfit(inputs, "key and value differ in the number of heads");
  if (key.heads == 0 || query.heads % key.heads != 0)
    misfit(inputs, fmt::format("{} query heads cannot share {} key and value heads: the first must be a multiple of the second",
                               query.heads, key.heads));
  if (query.dim != key.dim) {
    const bool divides = inputs.heads != 0 && query.dim != 0 && (key.dim * key.heads) % query.dim == 0;
    misfit(inputs, fmt::format("queries are {} wide and keys {}: their products need the same width", query.dim, key.dim),
           divides ? fmt::format("if keys have fewer heads: --kv-heads {}", key.dim * key.heads / query.dim) : "");
  }
  if (query.dim == 0 || value.dim == 0) misfit(inputs, "rows without any number have no attention (0 columns)");
  return {.batch = query.batch,
          .heads = query.heads,
          .kv_heads = key.heads,
          .q_len = query.length,
          .kv_len = query.length,
          .head_dim = query.dim,
          .value_dim = value.dim};
}

/// The axes of a decay (`width` is head_dim) or of rates (`width` is 1).
RepeatedAxes axes_of(const RecurrentInputs& inputs, const NamedArray& input, const Dims& d, std::size_t width) {
  const Shape& shape = input.array.shape();
  const std::size_t rank = shape.size();
  const auto fits = [](std::size_t size, std::size_t wanted) { return size == wanted || size == 1; };
  const auto stride = [](std::size_t size, std::size_t step) { return size == 1 ? 0 : step; };
  RepeatedAxes axes;
  if (rank == 4 && fits(shape[0], d.batch) && fits(shape[1], d.kv_heads) && fits(shape[2], d.q_len) && fits(shape[3], width)) {
    axes.feature = stride(shape[3], 1);
    axes.token = stride(shape[2], shape[3]);
    axes.head = stride(shape[1], shape[2] * shape[3]);
    axes.batch = stride(shape[0], shape[1] * shape[2] * shape[3]);
    return axes;
  }
  const std::size_t packed = rank == 0 ? 0 : shape[rank - 1];
  const std::size_t tokens = rank < 2 ? 1 : shape[rank - 2];
  const std::size_t batch = rank < 3 ? 1 : shape[0];
  const bool is_for_features = packed == d.kv_heads * width;
  if (rank >= 1 && rank <= 3 && fits(batch, d.batch) && fits(tokens, d.q_len) && (is_for_features || fits(packed, d.kv_heads))) {
    axes.feature = is_for_features && width > 1 ? 1 : 0;
    axes.head = stride(packed, is_for_features ? width : 1);
    axes.token = stride(tokens, packed);
    axes.batch = stride(batch, tokens * packed);
    return axes;
  }
  const std::string widths =
      width == 1 ? fmt::format("W = {} (one for each head) or 1", d.kv_heads)
                 : fmt::format("W = {} (one for each feature), {} (one for each head) or 1", d.kv_heads * width, d.kv_heads);
  misfit(inputs, fmt::format("{} does not fit (expected [batch {}, length {}, W], {}, or [{}, {}, {}, {}]; 1 repeats an axis)",
                             input.name, d.batch, d.q_len, widths, d.batch, d.kv_heads, d.q_len,
                             width == 1 ? "1" : fmt::format("{} or 1", width)));
}

void check_state(const RecurrentInputs& inputs, const Shape& expected) {
  if (!inputs.past_state.given()) return;
  const Shape& given = inputs.past_state.array.shape();
  Shape shape(expected.size() - std::min(expected.size(), given.size()), 1);
  for (const std::size_t size : given) shape.push_back(size);
  if (shape != expected)
    misfit(inputs, fmt::format("the past state does not fit (expected [batch, kv_heads, head_dim, value_dim] = {})",
                               to_string(expected)));
}

}  // namespace

double RecurrentPlan::flops() const noexcept {
  const auto square = static_cast<double>(dims.head_dim * dims.value_dim);
  const double of_state = square * (2.0 + (is_gated(rule) ? 1.0 : 0.0) + (is_delta(rule) ? 2.0 : 0.0));
  const auto tokens = static_cast<double>(dims.batch) * static_cast<double>(dims.q_len);
  return tokens * (static_cast<double>(dims.kv_heads) * of_state + 2.0 * static_cast<double>(dims.heads) * square);
}

RecurrentPlan plan_recurrence(const RecurrentInputs& inputs) {
  RecurrentPlan plan;
  plan.rule = rule_of(inputs);
  const Dims d = dims_of(inputs);
  plan.dims = d;
  if (!std::isfinite(inputs.scale)) throw Error(Status::usage, "--scale must be a finite number");
  plan.scale = inputs.scale != 0 ? inputs.scale : 1 / std::sqrt(static_cast<double>(d.head_dim));
  if (is_gated(plan.rule)) plan.decay = axes_of(inputs, inputs.decay, d, d.head_dim);
  if (is_delta(plan.rule)) plan.beta = axes_of(inputs, inputs.beta, d, 1);
  plan.state_shape = {d.batch, d.kv_heads, d.head_dim, d.value_dim};
  check_state(inputs, plan.state_shape);
  const std::size_t rank = inputs.query.array.rank();
  const std::size_t width = d.heads * d.value_dim;
  plan.output_shape = rank == 4   ? Shape{d.batch, d.heads, d.q_len, d.value_dim}
                      : rank == 3 ? Shape{d.batch, d.q_len, width}
                                  : Shape{d.q_len, width};
  plan.output = {.batch = d.batch,
                 .heads = d.heads,
                 .length = d.q_len,
                 .dim = d.value_dim,
                 .batch_stride = d.q_len * width,
                 .head_stride = rank == 4 ? d.q_len * d.value_dim : d.value_dim,
                 .row_stride = rank == 4 ? d.value_dim : width};
  return plan;
}

}  // namespace attn::engine

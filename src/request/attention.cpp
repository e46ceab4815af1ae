// Attention from C++: the public interface on top of plan, engines and writers.
#include "analysis/writers.hpp"
#include "base/counted.hpp"
#include "engine/engine.hpp"
#include "engine/inputs.hpp"
#include "engine/prepare.hpp"

#include <attn/attention.hpp>

#include <memory>

#include <fmt/format.h>

namespace attn {

namespace {

/// The caller's memory as an Array; the caller keeps it alive during the call.
template <class T, class Tensor>
Array view(const Tensor& tensor) {
  const void* data = tensor.data();
  return {dtype_of<T>, Shape(tensor.shape().begin(), tensor.shape().end()), nullptr, static_cast<const std::byte*>(data)};
}

template <class T>
engine::Inputs inputs_of(const xt::xtensor<T, 4>& query, const xt::xtensor<T, 4>& key, const xt::xtensor<T, 4>& value,
                         const AttentionExtras<T>& extras) {
  engine::Inputs inputs;
  inputs.query = {view<T>(query), "query"};
  inputs.key = {view<T>(key), "key"};
  inputs.value = {view<T>(value), "value"};
  inputs.key_lengths = extras.key_lengths;
  if (extras.keep) inputs.masks.push_back({{view<bool>(*extras.keep), "keep"}, engine::MaskKind::keep});
  if (extras.bias) inputs.masks.push_back({{view<T>(*extras.bias), "bias"}, engine::MaskKind::add});
  return inputs;
}

/// C computes, T is what goes out.
template <class C, class T>
AttentionResult<T> attend(const engine::Plan& plan, const engine::Inputs& inputs, const AttentionExtras<T>& extras) {
  const engine::Dims& d = plan.dims;
  engine::Findings findings;
  const engine::Operands<C> operands = engine::prepare<C>(plan, inputs, findings);
  AttentionResult<T> result;
  result.output = xt::zeros<T>({d.batch, d.heads, d.q_len, d.value_dim});
  const analysis::RowStrides strides{
      .batch = d.heads * d.q_len * d.value_dim, .head = d.q_len * d.value_dim, .query = d.value_dim};
  analysis::OutputWriter<C, T> output(plan, operands, result.output.data(), strides);
  analysis::EmptyRows<C> empty(plan);
  std::vector<engine::Observer<C>*> observers{&output, &empty};
  using Pairs = analysis::PairWriter<C, T>;
  std::unique_ptr<Pairs> weights;
  if (extras.want_weights) {
    result.weights = xt::zeros<T>({d.batch, d.heads, d.q_len, d.kv_len});
    weights = std::make_unique<Pairs>(plan, Pairs::What::weights, result.weights.data());
    observers.push_back(weights.get());
  }
  std::unique_ptr<analysis::LseWriter<C, T>> lse;
  if (extras.want_log_sum_exp) {
    result.log_sum_exp = xt::zeros<T>({d.batch, d.heads, d.q_len});
    lse = std::make_unique<analysis::LseWriter<C, T>>(plan, result.log_sum_exp.data());
    observers.push_back(lse.get());
  }
  const engine::Execution execution{.threads = extras.threads, .isa = {}, .cancelled = nullptr, .progress = {}};
  if (extras.engine == Engine::tiled) {
    engine::run_tiled<C>(plan, operands, observers, execution);
  } else if constexpr (std::is_same_v<C, double>) {
    engine::run_reference(plan, operands, observers, execution);
  }
  if (empty.count() > 0 && plan.options.empty_rows == Policy::error)
    throw Error(Status::data, counted(empty.count(), "query has", "queries have") + " no key left");
  return result;
}

}  // namespace

template <class T>
AttentionResult<T> attention(const xt::xtensor<T, 4>& query, const xt::xtensor<T, 4>& key, const xt::xtensor<T, 4>& value,
                             const AttentionOptions& options, const AttentionExtras<T>& extras) {
  if (options.combine == Combine::rows) throw Error(Status::usage, "Combine::rows is not offered by attn::attention");
  const engine::Inputs inputs = inputs_of(query, key, value, extras);
  if (extras.engine == Engine::reference) {
    const engine::Plan plan = engine::make_plan(inputs, options, DType::f64);
    return attend<double, T>(plan, inputs, extras);
  }
  const engine::Plan plan = engine::make_plan(inputs, options, dtype_of<T>);
  return attend<T, T>(plan, inputs, extras);
}

template AttentionResult<float> attention(const xt::xtensor<float, 4>&, const xt::xtensor<float, 4>&,
                                          const xt::xtensor<float, 4>&, const AttentionOptions&, const AttentionExtras<float>&);
template AttentionResult<double> attention(const xt::xtensor<double, 4>&, const xt::xtensor<double, 4>&,
                                           const xt::xtensor<double, 4>&, const AttentionOptions&,
                                           const AttentionExtras<double>&);

}  // namespace attn

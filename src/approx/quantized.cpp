// Narrow arithmetic: the tiled engine with products of numbers of fewer bits.
#include "approx/method.hpp"
#include "approx/narrow.hpp"
#include "engine/bf16.hpp"
#include "engine/int8.hpp"

#include <cstdint>

namespace attn::approx {

namespace {

/// Bytes besides those of the products themselves.
std::uint64_t around_products(const engine::Plan& plan, const Means& means) {
  return tiled_bytes(plan, {.type = DType::f32, .threads = means.threads, .copied = {}}) +
         (means.type == DType::f64 ? single_bytes(plan.dims) : 0);
}

Cost int8_cost(const engine::Plan& plan, const Setting& /*setting*/, const Means& means) {
  return {.flops = exact_flops(plan), .bytes = around_products(plan, means) + engine::int8_bytes(plan.dims)};
}

void run_int8(const Job<float>& job, const Setting& /*setting*/) {
  const engine::Int8Products products(job.plan, job.operands, job.execution);
  engine::run_tiled<float>(job.plan, job.operands, job.observers, job.execution, &products);
}

template <engine::Bf16Parts kParts>
void run_bf16(const Job<float>& job, const Setting& /*setting*/) {
  const auto products = engine::make_bf16_products(job.plan, job.operands, job.execution, kParts);
  engine::run_tiled<float>(job.plan, job.operands, job.observers, job.execution, products.get());
}

template <engine::Bf16Parts kParts>
Cost bf16_cost(const engine::Plan& plan, const Setting& /*setting*/, const Means& means) {
  return {.flops = exact_flops(plan), .bytes = around_products(plan, means) + engine::bf16_bytes(plan.dims, kParts)};
}

std::vector<Setting> only(const engine::Plan& /*plan*/, const Setting& given) { return {given}; }

/// A method of the tiled engine without a setting. Weights are those of the rounded scores.
Method narrow_method(std::string_view name, std::string_view summary) {
  Method method{};
  method.name = name;
  method.summary = summary;
  method.offers = kOffersOfTiles;
  method.settings = only;
  return method;
}

template <engine::Bf16Parts kParts>
Method bf16_method_of(std::string_view name, std::string_view summary) {
  Method method = narrow_method(name, summary);
  method.refusal = [](const engine::Plan& plan, const Setting&) { return engine::products_refusal(plan); };
  method.cost = bf16_cost<kParts>;
  method.run_f32 = run_bf16<kParts>;
  method.run_f64 = [](const Job<double>& job, const Setting& setting) {
    in_single(job, [&](const Job<float>& single) { run_bf16<kParts>(single, setting); });
  };
  return method;
}

}  // namespace

const Method& int8_method() {
  static const Method method = [] {
    Method m = narrow_method("int8", "queries, keys, values and weights as 8-bit integers");
    m.refusal = [](const engine::Plan& plan, const Setting&) { return engine::int8_refusal(plan); };
    m.cost = int8_cost;
    m.run_f32 = run_int8;
    m.run_f64 = [](const Job<double>& job, const Setting& setting) {
      in_single(job, [&](const Job<float>& single) { run_int8(single, setting); });
    };
    return m;
  }();
  return method;
}

const Method& bf16_method() {
  static const Method method =
      bf16_method_of<engine::Bf16Parts::one>("bf16", "queries, keys, values and weights rounded to bfloat16");
  return method;
}

const Method& split_method() {
  static const Method method =
      bf16_method_of<engine::Bf16Parts::two>("split", "queries, keys, values and weights as sums of two bfloat16 numbers");
  return method;
}

}  // namespace attn::approx

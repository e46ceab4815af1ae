// Narrow arithmetic: the tiled engine with products of numbers of fewer bits.
#include "approx/method.hpp"
#include "approx/narrow.hpp"
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

}  // namespace

const Method& int8_method() {
  static const Method method{
      .name = "int8",
      .summary = "queries, keys, values and weights as 8-bit integers",
      .parameters = {},
      .offers = kOffersOfTiles,  // weights are those of the rounded scores
      .refusal = [](const engine::Plan& plan, const Setting&) { return engine::int8_refusal(plan); },
      .cost = int8_cost,
      .settings = [](const engine::Plan&, const Setting& given) { return std::vector<Setting>{given}; },
      .run_f32 = run_int8,
      .run_f64 = [](const Job<double>& job,
                    const Setting& setting) { in_single(job, [&](const Job<float>& single) { run_int8(single, setting); }); }};
  return method;
}

}  // namespace attn::approx

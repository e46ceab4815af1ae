// What a run will need before it starts.
#include "request/estimate.hpp"

#include "engine/engine.hpp"
#include "engine/prepare.hpp"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

namespace attn::request {

namespace {

/// An observer that asks for the output and drops it.
template <class T>
class Discard : public engine::Observer<T> {
 public:
  [[nodiscard]] engine::Needs needs() const override { return {.output = true}; }
};

std::uint64_t product(const engine::Dims& d, std::size_t heads, std::size_t length, std::size_t dim) {
  return static_cast<std::uint64_t>(d.batch) * heads * length * dim;
}

/// Smallest of three timings of attention over 96 queries and 192 keys of the plan's widths, and its flops.
template <class T>
double sample_rate(const engine::Plan& plan, bool is_tiled) {
  const std::size_t q_len = is_tiled ? 96 : 16;
  const std::size_t kv_len = 192;
  Array query(dtype_of<T>, {q_len, plan.dims.head_dim});
  Array key(dtype_of<T>, {kv_len, plan.dims.head_dim});
  Array value(dtype_of<T>, {kv_len, plan.dims.value_dim});
  engine::Inputs inputs;
  inputs.query = {query, "query"};
  inputs.key = {key, "key"};
  inputs.value = {value, "value"};
  AttentionOptions options = plan.options;
  options.causal = false;
  options.window = {};
  options.alibi = false;
  options.query_offset = {};
  const engine::Plan sample = engine::make_plan(inputs, options, dtype_of<T>);
  engine::Findings findings;
  const auto operands = engine::prepare<T>(sample, inputs, findings);
  Discard<T> discard;
  engine::Observer<T>* const observers[] = {&discard};
  double best = 1e300;
  for (int repeat = 0; repeat < 3; ++repeat) {
    const auto start = std::chrono::steady_clock::now();
    if (is_tiled) {
      engine::run_tiled<T>(sample, operands, observers, {});
    } else if constexpr (std::is_same_v<T, double>) {
      engine::run_reference(sample, operands, observers, {});
    }
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  const double flops = 2.0 * static_cast<double>(q_len * kv_len * (plan.dims.head_dim + plan.dims.value_dim));
  return flops / std::max(best, 1e-9);
}

}  // namespace

Estimate estimate(const engine::Plan& plan, const RunInputs& inputs, DType computed_in, bool is_tiled, std::size_t threads,
                  std::uint64_t output_bytes) {
  const engine::Dims& d = plan.dims;
  const std::uint64_t item = item_size(computed_in);
  Estimate e;
  for (const auto& file : inputs.files) e.input_bytes += file.second.array.bytes();
  const bool copies_rows = plan.options.rope != RopePairing::none || plan.options.score == Score::cosine;
  const bool has_past = inputs.inputs.past_key.given();
  const auto copied = [&](const engine::NamedArray& input, bool also) { return input.array.dtype() != computed_in || also; };
  if (copied(inputs.inputs.query, copies_rows)) e.working_bytes += item * product(d, d.heads, d.q_len, d.head_dim);
  if (copied(inputs.inputs.key, copies_rows || has_past)) e.working_bytes += item * product(d, d.kv_heads, d.kv_len, d.head_dim);
  if (copied(inputs.inputs.value, has_past)) e.working_bytes += item * product(d, d.kv_heads, d.kv_len, d.value_dim);
  for (const engine::MaskPart& part : plan.masks) e.working_bytes += part.array.bytes();
  // The tile of scores and the transposed blocks of the tiled engine; whole rows of the reference.
  const std::uint64_t block = is_tiled ? 3 * 96 * 64 + 3 * 64 * (d.head_dim + d.value_dim) : 4 * d.kv_len + d.value_dim;
  e.working_bytes += threads * item * block;
  if (inputs.projection) e.working_bytes += inputs.projection->working_bytes(threads);
  e.output_bytes = output_bytes;
  e.visible_pairs = plan.visible_pairs();
  e.flops = 2.0 * e.visible_pairs * static_cast<double>(d.head_dim + d.value_dim);
  if (inputs.projection) e.flops += inputs.projection->flops();
  return e;
}

double expected_seconds(const engine::Plan& plan, double flops, DType computed_in, bool is_tiled, std::size_t threads) {
  const double rate = computed_in == DType::f32 ? sample_rate<float>(plan, is_tiled) : sample_rate<double>(plan, is_tiled);
  return flops / (rate * static_cast<double>(threads));
}

std::string byte_text(std::uint64_t bytes) {
  const char* const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024) return fmt::format("{} bytes", bytes);
  double amount = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (amount >= 1024 && unit + 1 < std::size(units)) {
    amount /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", amount, units[unit]);
}

}  // namespace attn::request

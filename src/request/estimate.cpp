// What a run will need before it starts.
#include "request/estimate.hpp"

#include "base/counted.hpp"
#include "base/stopwatch.hpp"
#include "engine/engine.hpp"
#include "engine/prepare.hpp"
#include "engine/tiled_memory.hpp"
#include "io/input.hpp"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <set>
#include <span>
#include <system_error>

#include <fmt/format.h>

namespace attn::request {

namespace {

/// An observer that asks for the output and drops it.
template <class T>
class Discard : public engine::Observer<T> {
 public:
  [[nodiscard]] engine::Needs needs() const override { return {.output = true}; }
};

/// What the program and its libraries take before they do anything, and each thread besides what it works in.
constexpr std::uint64_t program_bytes = std::uint64_t{8} << 20U;
constexpr std::uint64_t thread_bytes = std::uint64_t{1} << 19U;

/// Counts the bytes of arrays, those in one and the same place once.
class DistinctArrays {
 public:
  /// What this array adds.
  std::uint64_t add(const Array& array) { return seen_.insert(array.data()).second ? array.bytes() : 0; }

 private:
  std::set<const std::byte*> seen_;
};

/// What a file takes beside its array: text, or what is mapped and was converted to another form.
std::uint64_t bytes_while_reading(const Loaded& loaded) {
  if (is_text(loaded.format)) {
    std::error_code unknown;
    const std::uintmax_t size = std::filesystem::file_size(loaded.name.path, unknown);
    return unknown ? 0 : size;
  }
  if (loaded.mapped == nullptr) return 0;
  const std::span<const std::byte> file = loaded.mapped->bytes();
  const std::less<> before;
  const std::byte* data = loaded.array.data();
  const bool is_there = !before(data, file.data()) && before(data, file.data() + file.size());
  return is_there ? 0 : std::min<std::uint64_t>(file.size(), loaded.array.bytes());
}

std::uint64_t rope_bytes(const engine::Plan& plan) {
  if (plan.options.rope == RopePairing::none) return 0;
  // A sine and a cosine in double for each pair of features and 64 positions, and for 64 places.
  const std::uint64_t of_position = plan.dims.head_dim * sizeof(double);
  const std::set<std::int64_t> offsets(plan.query_offset.begin(), plan.query_offset.end());
  const auto table = [&](std::uint64_t length) { return (length / 64 + 2 + 64) * of_position; };
  return table(plan.dims.kv_len) + offsets.size() * table(plan.dims.q_len);
}

bool is_turned(const engine::Plan& plan) { return plan.options.rope != RopePairing::none || plan.options.score == Score::cosine; }

std::uint64_t tiled_bytes(const engine::Plan& plan, const engine::Inputs& in, DType computed_in, const engine::Needs& needs,
                          std::size_t threads) {
  const auto is_copied = [&](const engine::NamedArray& past, const engine::NamedArray& input) {
    const engine::HeadLayout layout = engine::head_layout(input, in.packed_kv_heads());
    return past.given() || input.array.dtype() != computed_in || layout.row_stride != layout.dim;
  };
  const engine::CopiedRows copied{.keys = is_turned(plan) || is_copied(in.past_key, in.key),
                                  .values = is_copied(in.past_value, in.value)};
  return computed_in == DType::f64 ? engine::tiled_bytes<double>(plan, copied, needs, threads)
                                   : engine::tiled_bytes<float>(plan, copied, needs, threads);
}

/// The reference engine makes all rows at once that are not there as it needs them, and keeps whole rows of pairs.
std::uint64_t reference_bytes(const engine::Plan& plan, const engine::Inputs& in, std::size_t threads) {
  const engine::Dims& d = plan.dims;
  const bool turned = is_turned(plan);
  const auto made = [](bool is_made, std::uint64_t rows, std::uint64_t dim) { return is_made ? rows * dim * sizeof(double) : 0; };
  const auto differs = [](const engine::NamedArray& array) { return array.array.dtype() != DType::f64; };
  const std::uint64_t queries = std::uint64_t{d.batch} * d.heads * d.q_len;
  const std::uint64_t keys = std::uint64_t{d.batch} * d.kv_heads * d.kv_len;
  return made(turned || differs(in.query), queries, d.head_dim) +
         made(turned || differs(in.key) || in.past_key.given(), keys, d.head_dim) +
         made(differs(in.value) || in.past_value.given(), keys, d.value_dim) +
         threads * sizeof(double) * (6 * d.kv_len + d.value_dim);
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
    Stopwatch watch;
    if (is_tiled) {
      engine::run_tiled<T>(sample, operands, observers, {});
    } else if constexpr (std::is_same_v<T, double>) {
      engine::run_reference(sample, operands, observers, {});
    }
    best = std::min(best, watch.lap());
  }
  const double flops = 2.0 * static_cast<double>(q_len * kv_len * (plan.dims.head_dim + plan.dims.value_dim));
  return flops / std::max(best, 1e-9);
}

}  // namespace

Estimate estimate_memory(const ReadFiles& files, std::uint64_t working, std::uint64_t output_bytes, std::size_t threads) {
  Estimate e;
  DistinctArrays arrays;
  std::uint64_t reading = 0;
  for (const auto& [role, loaded] : files) {
    e.input_bytes += arrays.add(loaded.array);
    reading = std::max(reading, bytes_while_reading(loaded));
  }
  e.output_bytes = output_bytes;
  // Text is given back before the work starts.
  const std::uint64_t later = working + output_bytes;
  e.working_bytes = program_bytes + threads * thread_bytes + working + (reading > later ? reading - later : 0);
  return e;
}

Estimate estimate(const engine::Plan& plan, const RunInputs& inputs, DType computed_in, bool is_tiled, std::size_t threads,
                  std::uint64_t output_bytes, const engine::Needs& needs) {
  const engine::Dims& d = plan.dims;
  DistinctArrays arrays;
  for (const auto& [role, loaded] : inputs.files) (void)arrays.add(loaded.array);
  std::uint64_t working = 0;
  for (const engine::NamedMask& mask : inputs.inputs.masks) working += arrays.add(mask.input.array);
  for (const engine::MaskPart& part : plan.masks) working += arrays.add(part.array);
  working += sizeof(std::int64_t) * (plan.segments.query.size() + plan.segments.key.size());
  working += rope_bytes(plan);
  working +=
      is_tiled ? tiled_bytes(plan, inputs.inputs, computed_in, needs, threads) : reference_bytes(plan, inputs.inputs, threads);
  if (inputs.projection) working += inputs.projection->working_bytes(threads);
  Estimate e = estimate_memory(inputs.files, working, output_bytes, threads);
  e.visible_pairs = plan.visible_pairs();
  e.flops = 2.0 * e.visible_pairs * static_cast<double>(d.head_dim + d.value_dim);
  if (inputs.projection) e.flops += inputs.projection->flops();
  return e;
}

void require_memory(const Estimate& e, const std::optional<ByteSize>& allowed, std::string_view what, const std::string& hint) {
  if (!allowed || e.total_bytes() <= allowed->bytes) return;
  throw Error(
      Status::memory,
      fmt::format("{} {} ({} inputs, {} working, {} outputs) and --max-memory allows {}", what, byte_text(e.total_bytes()),
                  byte_text(e.input_bytes), byte_text(e.working_bytes), byte_text(e.output_bytes), byte_text(allowed->bytes)),
      hint);
}

double expected_seconds(const engine::Plan& plan, double flops, DType computed_in, bool is_tiled, std::size_t threads) {
  const double rate = computed_in == DType::f32 ? sample_rate<float>(plan, is_tiled) : sample_rate<double>(plan, is_tiled);
  return flops / (rate * static_cast<double>(threads));
}

std::string byte_text(std::uint64_t bytes) {
  const char* const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024) return counted(bytes, "byte", "bytes");
  double amount = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (amount >= 1024 && unit + 1 < std::size(units)) {
    amount /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", amount, units[unit]);
}

}  // namespace attn::request

// Times what masks cost the tiled engine: mask_speed LENGTH HEAD_DIM THREADS LEFT:RIGHT runs self-attention of one head without a
// mask, with a window, and with masks in memory that say the same or hide pairs at random. It prints the shortest of many runs in
// milliseconds, by the clock and in processor time, all kinds in turn so that other programs disturb all alike.
#include "engine/block_map.hpp"
#include "engine/engine.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace {

using attn::Array;
using attn::DType;
using attn::engine::MaskKind;
using attn::engine::Plan;

class Sink : public attn::engine::Observer<float> {
 public:
  [[nodiscard]] attn::engine::Needs needs() const override { return {.output = true}; }
};

std::vector<float> random_values(std::size_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(generator);
  return values;
}

Plan plain_plan(std::size_t length, std::size_t head_dim) {
  Plan plan;
  plan.dims = {
      .batch = 1, .heads = 1, .kv_heads = 1, .q_len = length, .kv_len = length, .head_dim = head_dim, .value_dim = head_dim};
  plan.factor = 1 / std::sqrt(static_cast<double>(head_dim));
  plan.query_offset = {0};
  plan.key_length = {length};
  return plan;
}

/// A plan with one mask of a file's form: [length, length], kept or 0 where `keeps` holds.
Plan masked_plan(Plan plan, MaskKind kind, const std::function<bool(std::size_t, std::size_t)>& keeps) {
  const std::size_t length = plan.dims.q_len;
  attn::engine::MaskPart part;
  part.kind = kind;
  part.key_count = length;
  part.stride[2] = length;
  part.stride[3] = 1;
  part.array = Array(kind == MaskKind::add ? DType::f32 : DType::boolean, {length, length});
  for (std::size_t i = 0; i < length; ++i) {
    for (std::size_t j = 0; j < length; ++j) {
      if (kind == MaskKind::add)
        part.array.mutable_values<float>()[i * length + j] = keeps(i, j) ? 0 : -std::numeric_limits<float>::infinity();
      else
        part.array.mutable_values<bool>()[i * length + j] = keeps(i, j);
    }
  }
  plan.masks.push_back(part);
  return plan;
}

struct Times {
  double clock = 1e300;
  double processor = 1e300;
};

/// Shortens `times` where `body` is faster.
void time(Times& times, const std::function<void()>& body) {
  const auto before = std::chrono::steady_clock::now();
  const std::clock_t busy = std::clock();
  body();
  const double processor = static_cast<double>(std::clock() - busy) / CLOCKS_PER_SEC;
  const double clock = std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count();
  times.clock = std::min(times.clock, clock);
  times.processor = std::min(times.processor, processor);
}

/// What reading memory costs by itself.
std::uint64_t sum_of_words(const bool* bytes, std::size_t count) {
  std::uint64_t sum = 0;
  for (std::size_t at = 0; at + sizeof(sum) <= count; at += sizeof(sum)) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes + at, sizeof(word));
    sum += word;
  }
  return sum;
}

void print(const char* what, const Times& times) {
  std::printf("%-32s %9.3f ms, processor %9.3f\n", what, times.clock * 1e3, times.processor * 1e3);
}

/// The same operands under every plan, and the maps of the masks by themselves.
void measure(const std::vector<std::pair<const char*, Plan>>& plans, const attn::engine::Execution& execution) {
  const attn::engine::Dims& d = plans.front().second.dims;
  const auto q = random_values(d.q_len * d.head_dim, 1);
  const auto k = random_values(d.q_len * d.head_dim, 2);
  const auto v = random_values(d.q_len * d.head_dim, 3);
  attn::engine::Operands<float> operands;
  operands.query = {attn::engine::Rows<float>{q.data(), 0, 0, d.head_dim}, d.head_dim};
  operands.key = {attn::engine::Rows<float>{k.data(), 0, 0, d.head_dim}, d.head_dim};
  operands.value = {attn::engine::Rows<float>{v.data(), 0, 0, d.head_dim}, d.head_dim};
  Sink sink;
  attn::engine::Observer<float>* const observers[] = {&sink};
  std::vector<Times> runs(plans.size());
  std::vector<Times> maps(plans.size());
  Times sum;
  const auto start = std::chrono::steady_clock::now();
  for (int round = 0; round < 5 || std::chrono::steady_clock::now() - start < std::chrono::seconds(5); ++round) {
    for (std::size_t n = 0; n < plans.size(); ++n) {
      const Plan& plan = plans[n].second;
      time(runs[n], [&] { attn::engine::run_tiled<float>(plan, operands, observers, execution); });
      if (plan.may_hide()) time(maps[n], [&] { const attn::engine::BlockMap map(plan, execution); });
    }
    const auto bytes = plans[2].second.masks[0].array.values<bool>();
    volatile std::uint64_t total = 0;
    time(sum, [&] { total = total + sum_of_words(bytes.data(), bytes.size()); });
  }
  for (std::size_t n = 0; n < plans.size(); ++n) print(plans[n].first, runs[n]);
  for (std::size_t n = 0; n < plans.size(); ++n)
    if (plans[n].second.may_hide()) print((std::string("map of ") + plans[n].first).c_str(), maps[n]);
  print("sum of a boolean mask, 1 thread", sum);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5 || std::string(argv[4]).find(':') == std::string::npos) {
    std::fputs("usage: mask_speed LENGTH HEAD_DIM THREADS LEFT:RIGHT\n", stderr);
    return 2;
  }
  const auto length = static_cast<std::size_t>(std::atoll(argv[1]));
  const auto head_dim = static_cast<std::size_t>(std::atoll(argv[2]));
  const std::string sides = argv[4];
  const auto left = static_cast<std::size_t>(std::atoll(sides.c_str()));
  const auto right = static_cast<std::size_t>(std::atoll(sides.c_str() + sides.find(':') + 1));
  attn::engine::Execution execution;
  execution.threads = static_cast<std::size_t>(std::atoll(argv[3]));
  const Plan plain = plain_plan(length, head_dim);
  Plan window = plain;
  window.options.window.left = static_cast<std::int64_t>(left);
  window.options.window.right = static_cast<std::int64_t>(right);
  const auto in_window = [&](std::size_t i, std::size_t j) { return j + left >= i && j <= i + right; };
  std::mt19937 generator(7);
  const auto at_random = [&](std::size_t, std::size_t) { return generator() % 8 != 0; };
  measure({{"no mask", plain},
           {"window", window},
           {"window as boolean mask", masked_plan(plain, MaskKind::keep, in_window)},
           {"window as additive mask", masked_plan(plain, MaskKind::add, in_window)},
           {"all-open boolean mask", masked_plan(plain, MaskKind::keep, [](auto, auto) { return true; })},
           {"random boolean mask", masked_plan(plain, MaskKind::keep, at_random)},
           {"random additive mask", masked_plan(plain, MaskKind::add, at_random)}},
          execution);
}

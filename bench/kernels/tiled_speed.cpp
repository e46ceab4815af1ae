// Times the tiled engine on random operands in memory: tiled_speed B,H,q_len,kv_len,head_dim[,value_dim] threads [full|causal]
// [apart|packed] [isa] prints the shortest of many runs in seconds, and in seconds of
// processor time, which other programs disturb less. Packed heads lie side by side in a row.
#include "engine/engine.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using attn::engine::Dims;

/// Takes the output and does nothing with it.
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

std::vector<std::size_t> numbers(std::string_view text) {
  std::vector<std::size_t> result;
  const char* at = text.data();
  const char* end = at + text.size();
  while (at < end) {
    std::size_t value = 0;
    at = std::from_chars(at, end, value).ptr;
    result.push_back(value);
    ++at;
  }
  return result;
}

attn::engine::Plan plan_for(const std::vector<std::size_t>& shape, bool causal) {
  attn::engine::Plan plan;
  plan.dims = {.batch = shape[0],
               .heads = shape[1],
               .kv_heads = shape[1],
               .q_len = shape[2],
               .kv_len = shape[3],
               .head_dim = shape[4],
               .value_dim = shape.size() > 5 ? shape[5] : shape[4]};
  plan.options.causal = causal;
  plan.factor = 1 / std::sqrt(static_cast<double>(shape[4]));
  plan.query_offset.assign(shape[0], 0);
  plan.key_length.assign(shape[0], shape[3]);
  return plan;
}

attn::engine::Rows<float> rows_of(const std::vector<float>& values, std::size_t heads, std::size_t length, std::size_t dim,
                                  bool packed) {
  if (packed) return {values.data(), heads * length * dim, dim, heads * dim};
  return {values.data(), heads * length * dim, length * dim, dim};
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::size_t> shape = numbers(argc > 1 ? argv[1] : "");
  if (shape.size() < 5 || argc < 3) {
    std::fputs("usage: tiled_speed B,H,q_len,kv_len,head_dim[,value_dim] threads [full|causal] [apart|packed] [isa]\n", stderr);
    return 2;
  }
  const attn::engine::Plan plan = plan_for(shape, argc > 3 && std::string_view(argv[3]) == "causal");
  const Dims& d = plan.dims;
  const auto q = random_values(d.batch * d.heads * d.q_len * d.head_dim, 1);
  const auto k = random_values(d.batch * d.heads * d.kv_len * d.head_dim, 2);
  const auto v = random_values(d.batch * d.heads * d.kv_len * d.value_dim, 3);
  attn::engine::Operands<float> operands;
  const bool packed = argc > 4 && std::string_view(argv[4]) == "packed";
  operands.query = rows_of(q, d.heads, d.q_len, d.head_dim, packed);
  operands.key = rows_of(k, d.heads, d.kv_len, d.head_dim, packed);
  operands.value = rows_of(v, d.heads, d.kv_len, d.value_dim, packed);
  Sink sink;
  attn::engine::Observer<float>* const observers[] = {&sink};
  attn::engine::Execution execution;
  execution.threads = numbers(argv[2])[0];
  if (argc > 5) execution.isa = argv[5];

  using Clock = std::chrono::steady_clock;
  double best = 1e300;
  double processor = 1e300;
  const auto start = Clock::now();
  for (int run = 0; run < 3 || Clock::now() - start < std::chrono::seconds(1); ++run) {
    const auto before = Clock::now();
    const std::clock_t busy = std::clock();
    attn::engine::run_tiled<float>(plan, operands, observers, execution);
    best = std::min(best, std::chrono::duration<double>(Clock::now() - before).count());
    processor = std::min(processor, static_cast<double>(std::clock() - busy) / CLOCKS_PER_SEC);
  }
  const double flops = 2 * plan.visible_pairs() * static_cast<double>(d.head_dim + d.value_dim);
  std::printf("%.6f seconds %.1f GFLOP/s, processor %.6f %.1f\n", best, flops / best * 1e-9, processor, flops / processor * 1e-9);
}

// Times single kernels on every vector target of the processor: FLOP/s of the products, bytes/s of what reads memory, numbers/s
// of the rest. The data are those of a tile, so what is slow here is the kernel and not the memory, but for `walk` and `decode`.
#include "kernels/kernels.hpp"
#include "kernels/peak.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <random>
#include <string>

#include <benchmark/benchmark.h>

namespace {

using attn::kernels::Ahead;
using attn::kernels::kKeys;
using attn::kernels::kLanes;
using Table = attn::kernels::KernelTable<float>;
using Softmax = attn::kernels::SoftmaxRows<float>;

/// Random numbers in [-1/2, 1/2), aligned to a page.
class Numbers {
 public:
  explicit Numbers(std::size_t size) : data_(static_cast<float*>(::operator new(size * sizeof(float), std::align_val_t(kPage)))) {
    std::minstd_rand generator(1);
    for (std::size_t i = 0; i < size; ++i) data_.get()[i] = static_cast<float>(generator()) * 0x1p-31F - 0.5F;
  }
  [[nodiscard]] float* get() const { return data_.get(); }

 private:
  static constexpr std::size_t kPage = 4096;
  struct Free {
    void operator()(float* p) const { ::operator delete(p, std::align_val_t(kPage)); }
  };
  std::unique_ptr<float, Free> data_;
};

/// The running softmax before the first key.
Softmax no_rows() {
  Softmax rows = {};
  std::fill_n(rows.next, kLanes, -std::numeric_limits<float>::infinity());
  std::fill_n(rows.maximum, kLanes, -std::numeric_limits<float>::infinity());
  return rows;
}

std::size_t argument(const benchmark::State& state, std::size_t i) { return static_cast<std::size_t>(state.range(i)); }

void count_flops(benchmark::State& state, std::size_t each) {
  state.counters["FLOP/s"] = benchmark::Counter(static_cast<double>(each), benchmark::Counter::kIsIterationInvariantRate);
}

void count_numbers(benchmark::State& state, std::size_t each) {
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(each));
}

void count_bytes(benchmark::State& state, std::size_t floats) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(floats * sizeof(float)));
}

void score_product(benchmark::State& state, const Table* table) {
  const std::size_t dim = argument(state, 0);
  const std::size_t lanes = argument(state, 1);
  const Numbers keys(kKeys * dim), query(dim * kLanes), tile(kKeys * kLanes), maximum(kLanes);
  for (auto _ : state) table->score_product(keys.get(), dim, kKeys, dim, query.get(), lanes, tile.get(), maximum.get(), {});
  count_flops(state, 2 * kKeys * dim * lanes);
}

void value_product(benchmark::State& state, const Table* table) {
  const std::size_t dim = argument(state, 0);
  const std::size_t lanes = argument(state, 1);
  const Numbers values(kKeys * dim), output(dim * kLanes), tile(kKeys * kLanes), rescale(kLanes);
  for (auto _ : state) table->value_product(tile.get(), values.get(), dim, kKeys, dim, lanes, rescale.get(), output.get(), {});
  count_flops(state, 2 * kKeys * dim * lanes);
}

void softmax_step(benchmark::State& state, const Table* table) {
  const std::size_t lanes = argument(state, 0);
  const Numbers tile(kKeys * kLanes);
  Softmax rows = {};
  std::fill_n(rows.next, kLanes, 2.0F);  // above all logits, and above the weights that are logits the next time
  for (auto _ : state) table->softmax_step(tile.get(), kKeys, lanes, false, rows);
  count_numbers(state, kKeys * lanes);
}

void load_queries(benchmark::State& state, const Table* table) {
  const std::size_t dim = argument(state, 0);
  const Numbers rows(kLanes * dim), out(dim * kLanes);
  for (auto _ : state) table->load_queries(rows.get(), dim, kLanes, dim, 0.5F, out.get());
  count_numbers(state, kLanes * dim);
}

void store_rows(benchmark::State& state, const Table* table) {
  const std::size_t dim = argument(state, 0);
  const Numbers output(kLanes * dim), rows(dim * kLanes), divisor(kLanes);
  for (auto _ : state) table->store_rows(output.get(), divisor.get(), kLanes, dim, rows.get(), dim);
  count_numbers(state, kLanes * dim);
}

/// All that 64 queries do with 1,024 keys, as the engine does it: what the products reach together, with the softmax between.
void walk(benchmark::State& state, const Table* table) {
  constexpr std::size_t kv_len = 1024;
  const std::size_t dim = argument(state, 0);
  const Numbers keys(kv_len * dim), values(kv_len * dim), query(dim * kLanes), tile(kKeys * kLanes), output(dim * kLanes);
  for (auto _ : state) {
    Softmax rows = no_rows();
    for (std::size_t j = 0; j < kv_len; j += kKeys) {
      const std::size_t count = std::min(kKeys, kv_len - j);
      const float* key = keys.get() + j * dim;
      const float* value = values.get() + j * dim;
      const std::size_t rest = std::min(kKeys, kv_len - j - count);
      const Ahead<float> next{rest == 0 ? nullptr : key + count * dim, dim, rest, dim};
      table->score_product(key, dim, count, dim, query.get(), kLanes, tile.get(), rows.next, {value, dim, count, dim});
      table->softmax_step(tile.get(), count, kLanes, false, rows);
      table->value_product(tile.get(), value, dim, count, dim, kLanes, rows.rescale, output.get(), next);
    }
  }
  count_flops(state, 4 * kv_len * dim * kLanes);
}

/// A step of decoding: `lanes` queries against each of 32 heads of 16,384 keys, with all that a walk over the tiles needs.
void decode(benchmark::State& state, const Table* table) {
  constexpr std::size_t heads = 32;
  constexpr std::size_t kv_len = 16384;
  const std::size_t dim = argument(state, 0);
  const std::size_t lanes = argument(state, 1);
  const Numbers keys(heads * kv_len * dim), values(heads * kv_len * dim), query(lanes * dim), tile(kKeys * kLanes),
      output(lanes * dim);
  for (auto _ : state) {
    for (std::size_t head = 0; head < heads; ++head) {
      Softmax rows = no_rows();
      for (std::size_t j = 0; j < kv_len; j += kKeys) {
        const std::size_t count = std::min(kKeys, kv_len - j);
        const float* key = keys.get() + (head * kv_len + j) * dim;
        const float* value = values.get() + (head * kv_len + j) * dim;
        const std::size_t rest = std::min(kKeys, kv_len - j - count);
        const Ahead<float> next{rest == 0 ? nullptr : key + count * dim, dim, rest, dim};
        table->few_score_product(key, dim, count, dim, query.get(), lanes, tile.get(), rows.next, {value, dim, count, dim});
        table->few_softmax_step(tile.get(), count, lanes, false, rows);
        table->few_value_product(tile.get(), value, dim, count, dim, lanes, rows.rescale, output.get(), next);
      }
    }
  }
  count_bytes(state, 2 * heads * kv_len * dim);
}

/// The measure of the products: multiply-adds that wait for nothing.
void fused_chains(benchmark::State& state, const Table* table) {
  const auto& peak = attn::kernels::peak_kernels<float>(table->isa);
  constexpr std::size_t steps = 4096;
  const Numbers inputs(attn::kernels::kPeakInputs * attn::kernels::kPeakLanes), sums(attn::kernels::kPeakLanes);
  for (auto _ : state) peak.fused_chains(inputs.get(), steps, sums.get());
  count_flops(state, steps * peak.flops_per_step);
}

/// The measure of `decode`: a sum of numbers that no cache holds.
void read(benchmark::State& state, const Table* table) {
  const auto& peak = attn::kernels::peak_kernels<float>(table->isa);
  constexpr std::size_t count = std::size_t{1} << 27U;
  const Numbers numbers(count);
  for (auto _ : state) benchmark::DoNotOptimize(peak.read(numbers.get(), count));
  count_bytes(state, count);
}

void add_all(const Table* table) {
  const auto add = [&](const char* name, void (*function)(benchmark::State&, const Table*)) {
    return benchmark::RegisterBenchmark((std::string(name) + "/" + std::string(table->isa)).c_str(), function, table);
  };
  add("score_product", score_product)->ArgNames({"dim", "lanes"})->ArgsProduct({{64, 128}, {64, 16}});
  add("value_product", value_product)->ArgNames({"dim", "lanes"})->ArgsProduct({{64, 128}, {64, 16}});
  add("softmax_step", softmax_step)->ArgName("lanes")->Arg(64)->Arg(16);
  add("load_queries", load_queries)->ArgName("dim")->Arg(64)->Arg(128);
  add("store_rows", store_rows)->ArgName("dim")->Arg(64)->Arg(128);
  add("walk", walk)->ArgName("dim")->Arg(40)->Arg(64)->Arg(80)->Arg(128)->Arg(256);
  add("fused_chains", fused_chains);
  add("decode", decode)->ArgNames({"dim", "lanes"})->ArgsProduct({{64, 128}, {1, 4, 8}});
  add("read", read);
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  for (const Table* table : attn::kernels::available<float>()) add_all(table);
  benchmark::RunSpecifiedBenchmarks();
}

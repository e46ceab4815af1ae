// The fast engine: blocks of queries against spans of keys, with a running normalizer.
#include "base/groups.hpp"
#include "engine/engine.hpp"
#include "engine/tile_choice.hpp"
#include "engine/tiled_columns.hpp"
#include "engine/tiled_split.hpp"
#include "engine/tiled_strip.hpp"

#include <algorithm>

namespace attn::engine {

template <class T>
const kernels::KernelTable<T>& kernels_for(const std::string& isa) {
  const std::string name = selected_isa(isa);
  const auto tables = kernels::available<T>();
  return **std::find_if(tables.begin(), tables.end(), [&](const auto* table) { return table->isa == name; });
}

namespace {

template <class T>
void run_strips(const TiledJob<T>& job, const Blocks& blocks, TiledPool<T>& pool, const Execution& execution) {
  const Dims& d = job.plan.dims;
  const std::uint64_t block_bytes = BlockMemory<T>::bytes(d.head_dim, d.value_dim) + notes_bytes<T>(d, job.needs);
  const std::size_t length = job.keeps_logits() ? 1 : strip_length(blocks.count(), execution.threads, block_bytes);
  const std::size_t in_head = groups_of(blocks.in_kv_head(), length);
  const std::function<void()> between = [&execution] { stop_if_cancelled(execution); };
  const std::size_t tasks = d.batch * d.kv_heads * in_head;
  // The last queries come first: under a causal mask they see most, and no thread is left with them at the end.
  const auto first_of = [&](std::size_t task) { return (in_head - 1 - task % in_head) * length; };
  const auto place_of = [&](std::size_t task, std::size_t i) {
    const std::size_t head = task / in_head;
    return blocks.place(head / d.kv_heads, head % d.kv_heads, i);
  };
  // Threads that work alike take turns.
  const std::size_t ahead = std::max<std::size_t>(execution.threads, 1);
  for_each_task(tasks, execution, [&](std::size_t task) {
    const std::size_t first = first_of(task);
    pool.lend([&](TiledScratch<T>& scratch) {
      TiledStrip<T> strip(job, scratch, between);
      for (std::size_t i = first; i < std::min(first + length, blocks.in_kv_head()); ++i) strip.add(place_of(task, i));
      if (task + ahead < tasks) strip.expect(place_of(task + ahead, first_of(task + ahead)));
      strip.run();
    });
  });
}

}  // namespace

template <class T>
void run_tiled(const Plan& plan, const Operands<T>& operands, std::span<Observer<T>* const> observers, const Execution& execution,
               const Products<T>* products) {
  run_mapped(plan, operands, observers, execution, execution.map_masks ? BlockMap(plan, execution) : BlockMap(), products);
}

template <class T>
void run_mapped(const Plan& plan, const Operands<T>& operands, std::span<Observer<T>* const> observers,
                const Execution& execution, const BlockMap& map, const Products<T>* products) {
  Needs needs;
  for (const Observer<T>* observer : observers) needs |= observer->needs();
  TiledJob<T> job{plan, map, operands, observers, needs, TiledSettings<T>(plan), kernels_for<T>(execution.isa)};
  job.products = products;
  RowSums<T> row_sums;
  if (needs.columns) {
    row_sums = make_row_sums<T>(plan.dims, job.settings.is_double());
    job.row_sums = &row_sums;
  }
  if (plan.dims.batch == 0 || plan.dims.kv_heads == 0) return;
  const Blocks blocks(plan.dims);
  TiledPool<T> pool(plan.dims.head_dim, plan.dims.value_dim, plan.has_bias());
  if (execution.threads > 1 && blocks.count() < few_blocks(blocks.lanes()) * execution.threads && TiledSplit<T>::fits(job)) {
    TiledSplit<T> split(job, blocks, pool, execution.threads);
    for_each_task(split.tasks(), execution, [&](std::size_t task) { split.run(task); });
  } else {
    run_strips(job, blocks, pool, execution);
  }
  if (needs.columns) walk_columns(job, blocks, pool, execution);
}

template const kernels::KernelTable<float>& kernels_for<float>(const std::string&);
template const kernels::KernelTable<double>& kernels_for<double>(const std::string&);
template void run_tiled<float>(const Plan&, const Operands<float>&, std::span<Observer<float>* const>, const Execution&,
                               const Products<float>*);
template void run_tiled<double>(const Plan&, const Operands<double>&, std::span<Observer<double>* const>, const Execution&,
                                const Products<double>*);
template void run_mapped<float>(const Plan&, const Operands<float>&, std::span<Observer<float>* const>, const Execution&,
                                const BlockMap&, const Products<float>*);
template void run_mapped<double>(const Plan&, const Operands<double>&, std::span<Observer<double>* const>, const Execution&,
                                 const BlockMap&, const Products<double>*);

}  // namespace attn::engine

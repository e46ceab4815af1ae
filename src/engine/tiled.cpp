// The fast engine: blocks of queries against blocks of keys, with a running normalizer.
#include "engine/engine.hpp"
#include "engine/tiled_block.hpp"

#include <algorithm>

namespace attn::engine {

namespace {

template <class T>
const kernels::KernelTable<T>& kernels_for(const std::string& isa) {
  const std::string name = selected_isa(isa);
  const auto tables = kernels::available<T>();
  return **std::find_if(tables.begin(), tables.end(), [&](const auto* table) { return table->isa == name; });
}

}  // namespace

template <class T>
void run_tiled(const Plan& plan, const Operands<T>& operands, std::span<Observer<T>* const> observers,
               const Execution& execution) {
  Needs needs;
  for (const Observer<T>* observer : observers) needs |= observer->needs();
  const BlockMap map = execution.map_masks ? BlockMap(plan, execution) : BlockMap();
  const TiledJob<T> job{plan, map, operands, observers, needs, TiledSettings<T>(plan), kernels_for<T>(execution.isa)};
  TiledPool<T> pool(plan.dims.head_dim, plan.dims.value_dim, plan.has_bias());
  for_each_query_block(
      plan.dims, kernels::kLanes, execution, [&](std::size_t batch, std::size_t head, std::size_t first, std::size_t queries) {
        pool.lend([&](TiledWorkspace<T>& space) { TiledBlock<T>(job, space, batch, head, first, queries).run(); });
      });
}

template void run_tiled<float>(const Plan&, const Operands<float>&, std::span<Observer<float>* const>, const Execution&);
template void run_tiled<double>(const Plan&, const Operands<double>&, std::span<Observer<double>* const>, const Execution&);

}  // namespace attn::engine

// The second walk of the tiled engine: column by column.
#include "engine/tiled_columns.hpp"

#include "base/groups.hpp"
#include "engine/tiled_strip.hpp"

#include <algorithm>

namespace attn::engine {

namespace {

using kernels::kKeys;

/// Keys of one task: a span, or fewer where the tasks would not keep all threads busy. No bit depends on it.
std::size_t column_span_length(const Dims& d, std::size_t item_bytes, std::size_t threads) {
  const std::size_t tasks = std::max<std::size_t>(tasks_of_thread * threads / std::max<std::size_t>(d.batch * d.kv_heads, 1), 1);
  const std::size_t share = whole_groups(d.kv_len / tasks, kKeys);
  return std::clamp(share, kKeys, std::max(span_length(d, item_bytes), kKeys));
}

}  // namespace

template <class T>
RowSums<T> make_row_sums(const Dims& dims, bool is_double) {
  const std::size_t rows = dims.batch * dims.heads * dims.q_len;
  RowSums<T> sums{
      .maximum = std::vector<T>(rows), .divisor = std::vector<T>(rows), .statistics_maximum = {}, .statistics_sum = {}};
  if (is_double) {
    sums.statistics_maximum.resize(rows);
    sums.statistics_sum.resize(rows);
  }
  return sums;
}

template <class T>
void walk_columns(const TiledJob<T>& job, const Blocks& blocks, TiledPool<T>& pool, const Execution& execution) {
  const Dims& d = job.plan.dims;
  TiledJob<T> own = job;
  own.needs = {.columns = true};
  own.row_sums = nullptr;
  const std::size_t length = column_span_length(d, sizeof(T), execution.threads);
  const std::size_t spans = groups_of(d.kv_len, length);
  for_each_task(d.batch * d.kv_heads * spans, execution, [&](std::size_t task) {
    const std::size_t batch = task / spans / d.kv_heads;
    const std::size_t kv_head = task / spans % d.kv_heads;
    // The first keys come first: under a causal mask most queries see them.
    const std::size_t first = task % spans * length;
    const KeyRange keys{first, std::min(first + length, d.kv_len)};
    pool.lend([&](TiledScratch<T>& scratch) {
      const KeySpan<T> span = load_span(own, batch, kv_head, keys, false, blocks.in_kv_head() > 1, scratch);
      if (scratch.blocks.empty()) scratch.blocks.push_back(std::make_unique<BlockMemory<T>>(d.head_dim, d.value_dim));
      for (std::size_t i = 0; i < blocks.in_kv_head(); ++i) {
        const BlockPlace place = blocks.place(batch, kv_head, i);
        const KeyRange seen = job.plan.range(batch, place.first, place.queries);
        if (seen.empty() || seen.begin >= keys.end || seen.end <= keys.begin) continue;
        stop_if_cancelled(execution);
        TiledBlock<T> block(own, place, *scratch.blocks.front());
        block.restore(*job.row_sums);
        block.load_queries(job.settings.query_factor, scratch);
        TiledWalk<T>(own, block, span, scratch).columns();
      }
    });
  });
}

template void walk_columns<float>(const TiledJob<float>&, const Blocks&, TiledPool<float>&, const Execution&);
template void walk_columns<double>(const TiledJob<double>&, const Blocks&, TiledPool<double>&, const Execution&);
template RowSums<float> make_row_sums<float>(const Dims&, bool);
template RowSums<double> make_row_sums<double>(const Dims&, bool);

}  // namespace attn::engine

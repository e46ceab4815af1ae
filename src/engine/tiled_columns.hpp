// The second walk of the tiled engine, for those who want final weights column by column.
#pragma once

#include "engine/engine.hpp"
#include "engine/tiled_block.hpp"

namespace attn::engine {

/// Hands final weights to the observers that ask for columns. A task is one span of keys of one key/value head, and takes all
/// query blocks in their order: what is summed up down a column is one chain of additions, on any number of threads.
/// `job.row_sums` holds what the first walk has found.
template <class T>
void walk_columns(const TiledJob<T>& job, const Blocks& blocks, TiledPool<T>& pool, const Execution& execution);

/// Memory for the sums of all rows, as they are saved by the first walk.
template <class T>
[[nodiscard]] RowSums<T> make_row_sums(const Dims& dims, bool is_double);

}  // namespace attn::engine

// The columns of one head, shared by several processes: keys stay where they are, and queries go round.
#pragma once

#include "engine/ring_queue.hpp"
#include "engine/tiled_walk.hpp"

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

namespace attn::engine {

/// What walk_columns() does in one process, for the columns of this rank. Blocks of queries come by in their order, each with
/// what its final weights are made from, so that what is summed up down a column is the same chain.
template <class T>
class RingColumns {
 public:
  /// What is referred to must outlive this. `ring.poll` keeps the keys of the other walk moving, too.
  RingColumns(const TiledJob<T>& job, const RingShare& share, const Execution& execution, const Ring& ring, TiledPool<T>& pool);

  /// `blocks` are those of this rank in the head, in their order, with final sums.
  void run(std::size_t batch, std::size_t kv_head, std::span<const std::unique_ptr<TiledBlock<T>>> blocks);
  /// Keys that are made, not read where they are: what they take at most.
  [[nodiscard]] static std::uint64_t bytes(const Plan& plan, const RingShare& share);

 private:
  void load_keys(const std::vector<ColumnPart>& parts);
  void walk(const RingStep& step, const T* carried);

  TiledJob<T> job_;
  const RingShare& share_;
  const Execution& execution_;
  const Ring& ring_;
  TiledPool<T>& pool_;
  Blocks blocks_;
  BlockMemory<T> memory_;
  std::vector<AlignedArray<T>> keys_;  ///< where keys must be made, of one part each
  std::vector<KeySpan<T>> spans_;
};

}  // namespace attn::engine

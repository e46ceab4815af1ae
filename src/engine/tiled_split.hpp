// Few queries against many keys: the spans of a block shared out among threads and joined in their order.
#pragma once

#include "engine/tiled_strip.hpp"

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

namespace attn::engine {

/// The blocks of a job that has fewer of them than would keep all threads busy. Every (block, span) is a task of its own; whoever
/// finishes the next span of a block joins it, and all later ones that are waiting, to the block's sums. The bits are those of a
/// strip, which goes from span to span.
template <class T>
class TiledSplit {
 public:
  /// True when a job's spans may be joined in this way: output and log-sum-exp of a running softmax.
  [[nodiscard]] static bool fits(const TiledJob<T>& job) noexcept;

  TiledSplit(const TiledJob<T>& job, const Blocks& blocks, TiledPool<T>& pool, std::size_t threads);

  [[nodiscard]] std::size_t tasks() const noexcept { return tasks_; }
  /// Each task once, from any thread; all of them must run.
  void run(std::size_t task);

 private:
  struct Entry {
    Entry(const TiledJob<T>& job, const BlockPlace& place)
        : memory(job.plan.dims.head_dim, job.plan.dims.value_dim), block(job, place, memory) {}
    BlockMemory<T> memory;
    TiledBlock<T> block;
    std::size_t first_task = 0;
    std::size_t tasks = 0;
    std::mutex mutex;
    std::size_t joined = 0;                                   ///< spans that are part of the block's sums
    std::map<std::size_t, std::unique_ptr<Sums<T>>> waiting;  ///< done before their turn
  };

  /// The keys of one task, the `number`-th of its block.
  struct Piece {
    Entry& entry;
    std::size_t number = 0;
    KeyRange keys;
  };
  [[nodiscard]] Piece piece(std::size_t task) const;
  void finish(Entry& entry, TiledScratch<T>& scratch);

  const TiledJob<T>& job_;
  TiledPool<T>& pool_;
  std::size_t threads_;
  std::size_t span_length_;
  std::vector<std::unique_ptr<Entry>> entries_;
  std::size_t tasks_ = 0;
};

}  // namespace attn::engine

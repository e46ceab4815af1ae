// The walk over (batch, head, query block): blocks are handed out one by one to as many threads as asked for.
#include "engine/engine.hpp"

#include <attn/error.hpp>

#include <algorithm>
#include <atomic>

#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/partitioner.h>
#include <tbb/task_arena.h>

namespace attn::engine {

namespace {

using Body = std::function<void(std::size_t, std::size_t, std::size_t, std::size_t)>;

/// Hands out blocks until none is left, the walk is cancelled, or a body has thrown.
class Blocks {
 public:
  Blocks(const Dims& dims, std::size_t block, const Execution& execution, const Body& body)
      : dims_(dims),
        block_(block),
        in_head_((dims.q_len + block - 1) / block),
        count_(dims.batch * dims.heads * in_head_),
        execution_(execution),
        body_(body) {}

  [[nodiscard]] std::size_t count() const noexcept { return count_; }

  /// One thread's share of the walk.
  void work() {
    try {
      for (std::size_t i = next_++; i < count_ && !failed_; i = next_++) run(i);
    } catch (...) {
      failed_ = true;
      throw;
    }
  }

 private:
  void run(std::size_t i) {
    if (execution_.cancelled != nullptr && *execution_.cancelled) throw Error(Status::interrupted, "interrupted");
    const std::size_t row = i / in_head_;
    // The last queries of a head come first: under a causal mask they see most, and no thread is left with them at the end.
    const std::size_t first = (in_head_ - 1 - i % in_head_) * block_;
    body_(row / dims_.heads, row % dims_.heads, first, std::min(block_, dims_.q_len - first));
    const std::size_t done = ++done_;
    if (execution_.progress) execution_.progress(static_cast<double>(done) / static_cast<double>(count_));
  }

  const Dims& dims_;
  const std::size_t block_;
  const std::size_t in_head_;
  const std::size_t count_;
  const Execution& execution_;
  const Body& body_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<std::size_t> done_ = 0;
  std::atomic<bool> failed_ = false;
};

}  // namespace

void for_each_query_block(const Dims& dims, std::size_t block, const Execution& execution, const Body& body) {
  Blocks blocks(dims, block, execution, body);
  const std::size_t threads = std::min(std::max<std::size_t>(execution.threads, 1), blocks.count());
  // A small job must not pay for waking the scheduler.
  if (threads <= 1) return blocks.work();
  const tbb::global_control allowed(tbb::global_control::max_allowed_parallelism, threads);
  tbb::task_arena arena(static_cast<int>(threads));
  arena.execute([&] {
    tbb::parallel_for(
        tbb::blocked_range<std::size_t>(0, threads, 1), [&](const auto&) { blocks.work(); }, tbb::simple_partitioner());
  });
}

}  // namespace attn::engine

// The work of an engine as numbered tasks, handed out one by one to as many threads as asked for.
#include "engine/engine.hpp"
#include "kernels/stream.hpp"

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

/// Hands out tasks until none is left, the walk is cancelled, or a body has thrown.
class Tasks {
 public:
  Tasks(std::size_t count, const Execution& execution, const std::function<void(std::size_t)>& body)
      : count_(count), execution_(execution), body_(body) {}

  /// One thread's share.
  void work() {
    try {
      for (std::size_t i = next_++; i < count_ && !failed_; i = next_++) run(i);
      kernels::flush_streams();  // of what observers have written
    } catch (...) {
      failed_ = true;
      throw;
    }
  }

 private:
  void run(std::size_t i) {
    stop_if_cancelled(execution_);
    body_(i);
    const std::size_t done = ++done_;
    if (execution_.progress) execution_.progress(static_cast<double>(done) / static_cast<double>(count_));
  }

  const std::size_t count_;
  const Execution& execution_;
  const std::function<void(std::size_t)>& body_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<std::size_t> done_ = 0;
  std::atomic<bool> failed_ = false;
};

}  // namespace

void stop_if_cancelled(const Execution& execution) {
  if (execution.cancelled != nullptr && *execution.cancelled) throw Error(Status::interrupted, "interrupted");
}

void for_each_task(std::size_t count, const Execution& execution, const std::function<void(std::size_t)>& body) {
  Tasks tasks(count, execution, body);
  const std::size_t threads = std::min(std::max<std::size_t>(execution.threads, 1), count);
  // A small job must not pay for waking the scheduler.
  if (threads <= 1) return tasks.work();
  const tbb::global_control allowed(tbb::global_control::max_allowed_parallelism, threads);
  tbb::task_arena arena(static_cast<int>(threads));
  arena.execute([&] {
    tbb::parallel_for(
        tbb::blocked_range<std::size_t>(0, threads, 1), [&](const auto&) { tasks.work(); }, tbb::simple_partitioner());
  });
}

}  // namespace attn::engine

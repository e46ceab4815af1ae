// Spreads independent pieces of text over threads.
#pragma once

#include <algorithm>
#include <cstddef>

#include <tbb/info.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

namespace attn {

/// `threads`, but not more than the cores this process may use; with 0 that many.
inline std::size_t thread_count(std::size_t threads) {
  const auto cores = static_cast<std::size_t>(tbb::info::default_concurrency());
  return threads != 0 ? std::min(threads, cores) : cores;
}

/// Calls f(0) ... f(count - 1), each once, on at most `threads` threads (0: all cores of this process). One piece starts no
/// thread.
template <class F>
void for_each_index(std::size_t count, std::size_t threads, const F& f) {
  if (count > 1) threads = thread_count(threads);
  if (count <= 1 || threads == 1) {
    for (std::size_t i = 0; i < count; ++i) f(i);
    return;
  }
  tbb::task_arena arena(static_cast<int>(threads));
  arena.execute([&] { tbb::parallel_for(std::size_t{0}, count, f, tbb::simple_partitioner()); });
}

}  // namespace attn

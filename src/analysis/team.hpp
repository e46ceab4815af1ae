// Threads of equal standing: all work at the same time, or none starts.
#pragma once

#include <cstddef>
#include <functional>

namespace attn::analysis {

/// Calls body(i) once for each i < threads, each on a thread of its own, and returns when all are done. No body begins before
/// all threads are there. The first exception is rethrown. Throws Error(memory) when the system refuses so many threads.
void on_each_thread(std::size_t threads, const std::function<void(std::size_t)>& body);

/// Seconds of the fastest of several rounds, in each of which work(i) runs on each of `threads` threads at once. Rounds go on for
/// about `seconds`, and there are at least three. `work` must not throw.
[[nodiscard]] double fastest_round(std::size_t threads, double seconds, const std::function<void(std::size_t)>& work);

}  // namespace attn::analysis

// The threads of this process that run runs.
#pragma once

#include "sweep/plan.hpp"
#include "sweep/worker.hpp"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace attn::sweep {

/// Threads that ask for runs until there are none. Both functions are called from all of them.
class Crew {
 public:
  using Next = std::function<std::optional<std::size_t>()>;  ///< may wait; nothing ends the thread
  using Done = std::function<void(std::size_t run, Json record)>;
  /// `failed` is called when a thread ends by an exception, so that next() can be made to end the others.
  Crew(const SweepPlan& plan, Worker& worker, std::size_t jobs, Next next, Done done, std::function<void()> failed);
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;
  /// Waits for the threads.
  ~Crew() = default;

  /// Waits that long, or until all threads have ended; true then.
  [[nodiscard]] bool wait(std::chrono::microseconds time);
  /// When all have ended: throws what ended one of them, other than Error(interrupted).
  void rethrow();

 private:
  void work(const SweepPlan& plan, Worker& worker);

  Next next_;
  Done done_;
  std::function<void()> failed_;
  std::mutex mutex_;
  std::condition_variable ended_;
  std::size_t at_work_;
  std::exception_ptr failure_;
  std::vector<std::jthread> threads_;
};

}  // namespace attn::sweep

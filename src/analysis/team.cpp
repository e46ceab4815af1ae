// Threads of equal standing: all work at the same time, or none starts.
#include "analysis/team.hpp"

#include <attn/error.hpp>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <exception>
#include <limits>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include <fmt/format.h>

namespace attn::analysis {

namespace {

enum class Start { wait, go, give_up };

/// Told whenever all threads have come to the end of a round.
class RoundClock {
 public:
  explicit RoundClock(double seconds) : seconds_(seconds) {}

  void round_ended() noexcept {
    const Clock::time_point now = Clock::now();
    if (rounds_ == 0) begin_ = now;
    if (rounds_ > 0) best_ = std::min(best_, in_seconds(now - last_));
    done_ = rounds_ >= 3 && in_seconds(now - begin_) >= seconds_;
    last_ = now;
    ++rounds_;
  }

  [[nodiscard]] bool done() const noexcept { return done_; }
  [[nodiscard]] double best() const noexcept { return best_; }

 private:
  using Clock = std::chrono::steady_clock;
  static double in_seconds(Clock::duration d) noexcept { return std::chrono::duration<double>(d).count(); }

  double seconds_;
  double best_ = std::numeric_limits<double>::infinity();
  std::size_t rounds_ = 0;
  bool done_ = false;
  Clock::time_point begin_;
  Clock::time_point last_;
};

}  // namespace

void on_each_thread(std::size_t threads, const std::function<void(std::size_t)>& body) {
  std::atomic<Start> start = Start::wait;
  std::mutex mutex;
  std::exception_ptr failure;
  const auto guarded = [&](std::size_t i) {
    try {
      body(i);
    } catch (...) {
      const std::scoped_lock lock(mutex);
      if (!failure) failure = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> others;
    try {
      for (std::size_t i = 1; i < threads; ++i)
        others.emplace_back([&, i] {
          start.wait(Start::wait);
          if (start == Start::go) guarded(i);
        });
    } catch (const std::system_error&) {
      start = Start::give_up;
      start.notify_all();
      throw Error(Status::memory, fmt::format("the system does not start {} threads", threads), "fewer threads: --threads");
    }
    start = Start::go;
    start.notify_all();
    guarded(0);
  }
  if (failure) std::rethrow_exception(failure);
}

double fastest_round(std::size_t threads, double seconds, const std::function<void(std::size_t)>& work) {
  RoundClock clock(seconds);
  const auto on_completion = [&clock]() noexcept { clock.round_ended(); };
  std::barrier barrier(static_cast<std::ptrdiff_t>(threads), on_completion);
  on_each_thread(threads, [&](std::size_t i) {
    barrier.arrive_and_wait();
    while (!clock.done()) {
      work(i);
      barrier.arrive_and_wait();
    }
  });
  return clock.best();
}

}  // namespace attn::analysis

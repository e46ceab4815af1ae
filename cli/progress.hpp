// A progress bar on a terminal, and nothing anywhere else.
#pragma once

#include "cli/console.hpp"

#include <chrono>
#include <mutex>

namespace attn::cli {

/// Shows after the first second, then ten times a second; cleared when it goes out of scope. show() may be called from any
/// thread.
class Progress {
 public:
  explicit Progress(const Console& console);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress();

  void show(double fraction);

 private:
  using Clock = std::chrono::steady_clock;
  bool active_;
  bool drawn_ = false;
  Clock::time_point start_ = Clock::now();
  Clock::time_point next_ = start_ + std::chrono::seconds(1);
  std::mutex mutex_;
};

}  // namespace attn::cli

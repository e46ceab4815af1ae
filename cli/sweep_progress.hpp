// How far a sweep is: one line that is drawn again on a terminal, a plain line every ten seconds elsewhere.
#pragma once

#include "cli/console.hpp"
#include "sweep/dispatch.hpp"

#include <chrono>
#include <mutex>
#include <string>

namespace attn::cli {

/// A line on standard error, unless the console is quiet.
void say_progress(const Console& console, const std::string& text);

/// Passes on what is said, with the line out of the way. May be used by several threads.
class SweepProgress final : public Reporter {
 public:
  explicit SweepProgress(Console& console) : console_(console) {}
  ~SweepProgress() override;

  void show(const sweep::Progress& progress);
  /// Takes the line off the terminal.
  void clear();
  void warn(const std::string& message) override;
  void note(const std::string& message) override;

 private:
  using Clock = std::chrono::steady_clock;
  void clear_line();

  Console& console_;
  std::mutex mutex_;
  bool drawn_ = false;
  Clock::time_point next_ = Clock::now() + std::chrono::seconds(10);
};

}  // namespace attn::cli

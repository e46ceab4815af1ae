// Hands out the runs of a sweep that are still to be done, and writes down how they went.
#pragma once

#include "sweep/ledger.hpp"
#include "sweep/plan.hpp"

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

namespace attn::sweep {

/// How far a sweep is.
struct Progress {
  std::size_t total = 0;   ///< runs of this call
  std::size_t done = 0;    ///< of these
  std::size_t failed = 0;  ///< of `done`
  double seconds = 0;      ///< since the first was handed out
};

/// May be used by several threads at once.
class Dispatcher {
 public:
  /// `wanted` are places in plan.runs, in the order they are handed out. Where the baseline is among them it must be the first:
  /// the others wait until it has ended. `failure` is told of each run that failed.
  Dispatcher(const SweepPlan& plan, std::vector<std::size_t> wanted, Ledger& ledger, std::function<void(const Json&)> failure);

  /// The next run; nothing when there is none left or stop() was called. Waits for the baseline.
  [[nodiscard]] std::optional<std::size_t> next();
  /// The same without waiting: `wait` says that there will be one later.
  [[nodiscard]] std::optional<std::size_t> try_next(bool& wait);
  /// Takes the line of a run that has ended.
  void done(std::size_t run, const Json& record);
  /// Hands out no more.
  void stop();

  [[nodiscard]] Progress progress() const;
  /// Every run has ended.
  [[nodiscard]] bool finished() const;

 private:
  [[nodiscard]] bool is_blocked() const;
  std::size_t take();

  const SweepPlan& plan_;
  std::vector<std::size_t> wanted_;
  Ledger& ledger_;
  std::function<void(const Json&)> failure_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t handed_out_ = 0;
  bool baseline_pending_ = false;
  bool stopped_ = false;
  Progress progress_;
  double start_ = 0;
};

}  // namespace attn::sweep

// Runs single runs of a sweep and says how each went; never throws because of a run.
#pragma once

#include "request/shared_inputs.hpp"
#include "sweep/ledger.hpp"
#include "sweep/plan.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace attn::sweep {

/// What runs may use of the world around them.
struct WorkerSettings {
  std::string folder;                            ///< of the sweep
  std::size_t threads = 1;                       ///< of a run that does not say
  const std::atomic<bool>* cancelled = nullptr;  ///< true drops runs
  std::string temporary_folder = "/tmp";
  std::optional<int> rank = {};  ///< of this process in a cluster
};

/// What a run will need, as --dry-run says it.
struct Expectation {
  std::uint64_t bytes = 0;
  double seconds = 0;
  std::string error;  ///< why it would fail; empty when it would not
};

/// May be used by several threads at once: inputs are read once and projections computed once for all of them.
class Worker {
 public:
  /// `plan` and `digests` must outlive it.
  Worker(const SweepPlan& plan, const InputDigests& digests, WorkerSettings settings)
      : plan_(plan), digests_(digests), settings_(std::move(settings)) {}

  /// Its line in the ledger: status "ok", or "failed" with the message and what the exit status would be. Throws
  /// Error(interrupted), and nothing else.
  [[nodiscard]] Json run(const PlannedRun& run);
  [[nodiscard]] Expectation expect(const PlannedRun& run);

 private:
  void attempt(const PlannedRun& run, Json& record);
  [[nodiscard]] std::string compared_file() const;
  [[nodiscard]] Json outputs_of(const PlannedRun& run) const;

  const SweepPlan& plan_;
  const InputDigests& digests_;
  WorkerSettings settings_;
  request::SharedInputs shared_;
};

/// True when all files that the record lists lie in `folder` with the sizes they had.
[[nodiscard]] bool outputs_are_there(const Json& record, const std::string& folder);

}  // namespace attn::sweep

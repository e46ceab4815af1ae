// The runs that a specification asks for, each with its identity.
#pragma once

#include "sweep/digest.hpp"
#include "sweep/spec.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace attn::sweep {

/// A file that a run leaves behind.
struct KeptFile {
  std::string option;  ///< "output"
  std::string file;    ///< below the folder of the sweep, with a selector for arrays of a container
};

struct PlannedRun {
  std::size_t number = 0;         ///< its place in the grid, from 0; cases come behind
  std::string id;                 ///< 16 hexadecimal digits: see plan_runs()
  std::vector<Setting> settings;  ///< in the order they are set in; without the names of written files
  std::vector<KeptFile> files;
  std::vector<std::string> inputs;  ///< paths of the files it reads
  bool is_baseline = false;
};

struct SweepPlan {
  Spec spec;
  std::vector<PlannedRun> runs;  ///< each id once
  std::size_t repeated = 0;      ///< combinations left out, because their options mean the same as those of an earlier one
  std::optional<std::size_t> baseline;

  /// What every rank of a cluster must have planned alike: SHA-256 over all runs.
  [[nodiscard]] std::string digest() const;
};

/// Every combination of the grid, the last axis changing fastest, then the cases. The id of a run is the beginning of the SHA-256
/// of its command, its options as resolved by the option table, the content of the files it reads, and what is kept, measured and
/// compared; the names of inputs and the number of threads nobody asked for are no part of it. A file that cannot be read has an
/// identity of its own, so that its run fails by itself. Throws Error(usage) for values that options do not take, and for
/// patterns by which two runs would write one file.
[[nodiscard]] SweepPlan plan_runs(Spec spec, InputDigests& digests);

/// The request of a run whose files lie below `folder`. `for_numbers`: the output is wanted though it is not kept.
[[nodiscard]] std::unique_ptr<Request> make_request(const Spec& spec, const PlannedRun& run, const std::string& folder);

/// Options and values of a run as the ledger has them: those that are given or have a default, by their long names.
[[nodiscard]] nlohmann::ordered_json options_json(const Spec& spec, const PlannedRun& run);

}  // namespace attn::sweep

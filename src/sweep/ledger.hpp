// The ledger of a sweep: DIR/runs.jsonl, one line for each run that has ended.
#pragma once

#include "base/json_number.hpp"
#include "io/descriptor.hpp"

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace attn::sweep {

/// Which part of a sweep this process does, for job arrays. 0/1 is all of it.
struct Shard {
  std::size_t index = 0;
  std::size_t count = 1;

  [[nodiscard]] bool has(std::size_t run) const noexcept { return run % count == index; }
  /// "runs.jsonl", or "runs-2-of-8.jsonl".
  [[nodiscard]] std::string file_name() const;
};

/// "2/8": parts may be counted from 0 or from 1, as 0/8 and 8/8 are the same one. Throws Error(usage).
[[nodiscard]] Shard read_shard(const std::string& text);

/// The last complete line about each run, from all ledgers in `folder`, in the order of runs. Half a line, as a killed process
/// may leave one, is no line. Throws Error(io) when a ledger cannot be read.
[[nodiscard]] std::map<std::string, Json> read_ledgers(const std::string& folder);

/// The ledger that this process writes. While it is open, no other process writes it: they wait.
class Ledger {
 public:
  /// Waits for a process that has it; `waiting` is called once a second meanwhile, and may throw to give up. Creates the folder.
  Ledger(const std::string& folder, const Shard& shard, const std::function<void()>& waiting);

  /// Takes out the lines whose ids are among these, so that the runs have one line again when they have run again.
  void forget(const std::vector<std::string>& ids);
  /// One line, with one write. A line that cannot be written (the disk is full) is kept and tried again with the next one.
  void append(const Json& record);
  /// Writes what append() could not. Throws Error(io) when that fails again.
  void flush();

 private:
  void open_locked(const std::function<void()>& waiting);
  bool write_pending();

  std::string path_;
  Descriptor fd_;
  std::string pending_;  ///< whole lines
  int error_ = 0;
};

}  // namespace attn::sweep

// Starts the program as a process of its own, to be watched, interrupted or killed.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace attn::testing {

/// One running process with its standard output and standard error in files; in a process group of its own.
class Running {
 public:
  /// `file_limit`: bytes that a file may have at most.
  explicit Running(const std::vector<std::string>& words, const std::string& log = "log",
                   std::optional<std::size_t> file_limit = {});
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  /// Kills what still runs.
  ~Running();

  void signal(int number) const;
  /// Exit status, or -N when signal N ended it; -1000 when it is killed because it takes longer than a minute.
  int wait();
  [[nodiscard]] pid_t id() const noexcept { return id_; }
  /// After wait(): the most memory that it or one of those it has started and waited for held, in KiB.
  [[nodiscard]] long peak_kib() const noexcept { return peak_kib_; }

 private:
  pid_t id_ = -1;
  long peak_kib_ = 0;
  bool ended_ = false;
};

/// Processes below `parent` whose program is attn.
[[nodiscard]] std::vector<pid_t> ranks_of(pid_t parent);

}  // namespace attn::testing

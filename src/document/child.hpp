// Runs one program to its end without a shell: files for its streams, a time limit, and nothing of it left behind.
#pragma once

#include <atomic>
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace attn::document {

/// What a program is started with.
struct Child {
  std::filesystem::path program;
  std::vector<std::string> words;             ///< the program's name for itself and its arguments
  std::vector<std::string> environment;       ///< "NAME=value", the whole environment
  std::filesystem::path folder;               ///< where it works
  std::filesystem::path input = "/dev/null";  ///< standard input
  std::filesystem::path output;               ///< standard output is appended to it
  std::filesystem::path messages;             ///< standard error, too; may be the same file
  std::chrono::seconds limit{60};             ///< after that it is killed
  const std::atomic<bool>* cancelled = nullptr;
};

/// How it ended.
struct ChildEnding {
  int exit_status = 0;     ///< meaningful when signal is 0
  int signal = 0;          ///< the signal that ended it, else 0
  bool timed_out = false;  ///< it was ended by the time limit
};

/// Starts a program as the leader of a process group of its own, with all signals at their defaults, and waits; whatever it has
/// started in that group is killed at the end. Throws Error(io) when it cannot be started and Error(interrupted) when cancelled.
[[nodiscard]] ChildEnding run_child(const Child& child);

}  // namespace attn::document

// Runs shell text in a directory with a time limit and says how it ended; what the runners of cases and documents share.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <string>

namespace attn::testing {

/// How a command ended.
struct Ending {
  int exit_status = 0;     ///< meaningful when signal is 0
  int signal = 0;          ///< the signal that ended it, else 0
  bool timed_out = false;  ///< it was ended by the time limit

  /// "0", "3", "signal 13" or "time limit". A shell says 128 + N when its command died by signal N; attn's own 130 stays 130.
  [[nodiscard]] std::string text() const;
  /// True when `expected`, written as text() or as the shell's 128 + N, means this ending.
  [[nodiscard]] bool is(const std::string& expected) const;
};

/// What a command runs with.
struct Surroundings {
  std::filesystem::path directory;                 ///< working directory
  std::map<std::string, std::string> environment;  ///< the whole environment
  std::filesystem::path standard_output;           ///< file that receives standard output
  std::filesystem::path standard_error;            ///< file that receives standard error; may be the same file
  std::chrono::seconds limit{60};
};

/// The environment of tests: PATH with the folder of `program` first, LC_ALL=C, HOME and TMPDIR below `home`, ROOT = `root` (the
/// repository), no NO_COLOR and no settings of the caller but those of the sanitizers.
[[nodiscard]] std::map<std::string, std::string> test_environment(const std::filesystem::path& program,
                                                                  const std::filesystem::path& home,
                                                                  const std::filesystem::path& root);

/// Runs `text` by /bin/sh with an empty standard input. When the limit is over, the command and all its children are killed.
/// Throws std::system_error when it cannot be started.
[[nodiscard]] Ending run_shell(const std::string& text, const Surroundings& surroundings);

/// A fresh directory below the system's place for temporary files, removed with all it holds at the end.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory();

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// Leaves the directory in place.
  void keep() noexcept { keep_ = true; }

 private:
  std::filesystem::path path_;
  bool keep_ = false;
};

/// The bytes of a file. Throws std::runtime_error when it cannot be read.
[[nodiscard]] std::string read_file(const std::filesystem::path& path);
/// Replaces a file. Throws std::runtime_error when it cannot be written.
void write_file(const std::filesystem::path& path, const std::string& bytes);

}  // namespace attn::testing

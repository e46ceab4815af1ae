// Runs shell text in a directory with a time limit and says how it ended; what the runners of cases and documents share.
#pragma once

#include "document/child.hpp"
#include "document/scratch.hpp"

#include <chrono>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace attn::testing {

/// How a command ended.
struct Ending : document::ChildEnding {
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
/// Throws attn::Error when it cannot be started.
[[nodiscard]] Ending run_shell(const std::string& text, const Surroundings& surroundings);

/// A fresh directory below the system's place for temporary files, removed with all it holds at the end.
class TemporaryDirectory : public document::ScratchFolder {
 public:
  TemporaryDirectory() : ScratchFolder(std::filesystem::temp_directory_path()) {}

  /// The path of a file in it.
  [[nodiscard]] std::string operator/(const std::string& name) const { return (path() / name).string(); }
  /// The names in the directory, sorted.
  [[nodiscard]] std::vector<std::string> names() const {
    std::set<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(path())) found.insert(entry.path().filename().string());
    return {found.begin(), found.end()};
  }
};

/// The bytes of a file. Throws attn::Error when it cannot be read.
[[nodiscard]] inline std::string read_file(const std::filesystem::path& path) { return document::read_text(path); }
/// Replaces a file. Throws attn::Error when it cannot be written.
inline void write_file(const std::filesystem::path& path, const std::string& bytes) { document::write_text(path, bytes); }

}  // namespace attn::testing

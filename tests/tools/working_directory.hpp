// A working directory for the length of a test.
#pragma once

#include "tools/process.hpp"

#include <filesystem>

namespace attn::testing {

/// Makes a fresh directory, or the one that is given, the working directory; at the end the former one is it again and the fresh
/// one is gone.
class WorkingDirectory {
 public:
  WorkingDirectory() { std::filesystem::current_path(path_); }
  explicit WorkingDirectory(const std::filesystem::path& path) : path_(path) { std::filesystem::current_path(path_); }
  WorkingDirectory(const WorkingDirectory&) = delete;
  WorkingDirectory& operator=(const WorkingDirectory&) = delete;
  ~WorkingDirectory() { std::filesystem::current_path(former_); }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path former_ = std::filesystem::current_path();
  TemporaryDirectory fresh_;
  std::filesystem::path path_ = fresh_.path();
};

}  // namespace attn::testing

// A folder for files that are wanted for a while, and whole files as texts.
#pragma once

#include <filesystem>
#include <string>

namespace attn::document {

/// A fresh folder below `parent`, removed with all it holds at the end.
class ScratchFolder {
 public:
  /// Throws Error(io) when it cannot be made.
  explicit ScratchFolder(const std::filesystem::path& parent);
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder();

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// Leaves the folder in place.
  void keep() noexcept { keep_ = true; }

 private:
  std::filesystem::path path_;
  bool keep_ = false;
};

/// True when a file of this path would lie in `folder` or below it, once the symbolic links among its folders are followed.
[[nodiscard]] bool lies_below(const std::filesystem::path& path, const std::filesystem::path& folder);

/// The whole text of a file. Throws Error(io) when it cannot be read.
[[nodiscard]] std::string read_text(const std::filesystem::path& path);
/// Replaces a file. Throws Error(io) when it cannot be written.
void write_text(const std::filesystem::path& path, const std::string& text);

}  // namespace attn::document

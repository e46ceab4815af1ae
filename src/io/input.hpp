// The bytes of an input: a regular file mapped into memory, or a stream read to its end.
#pragma once

#include "io/descriptor.hpp"

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <sys/stat.h>

namespace attn {

/// A regular file mapped for reading. Its descriptor stays open, so that changes made during the run can be found at the end.
class MappedFile {
 public:
  /// Maps the `size` > 0 bytes that `fd` had when `status` was taken. Throws Error(memory) when there is no room for them.
  MappedFile(Descriptor fd, const struct stat& status, std::string path);
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }
  /// Throws Error(io) when the file's size or time of modification is not what it was.
  void check_unchanged() const;
  [[nodiscard]] bool holds(std::span<const std::byte> bytes) const noexcept;
  /// Pages of `bytes`, which lie in the file, and some beside them are no longer held; whoever reads them again gets them again.
  void let_go(std::span<const std::byte> bytes) const noexcept;

 private:
  Descriptor fd_;
  struct stat status_;
  std::string path_;
  void* memory_ = nullptr;
  std::span<const std::byte> bytes_;
};

struct Input {
  std::shared_ptr<const void> owner;  ///< keeps `bytes` alive
  std::span<const std::byte> bytes;
  std::string label;                         ///< the file's name in messages
  bool stream = false;                       ///< standard input, a pipe or a device
  std::shared_ptr<const MappedFile> mapped;  ///< null when `bytes` are a copy in memory

  [[nodiscard]] std::string_view text() const noexcept { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
};

/// Opens `path` ("-" is standard input). Files below 1 MiB are copied into memory, larger ones are mapped; pipes and devices are
/// read to their end, with memory that grows as bytes arrive. Throws Error(io) when the file cannot be read (with the nearest
/// name in its folder as a hint) and Error(data) when it is empty.
[[nodiscard]] Input open_input(const std::string& path);

}  // namespace attn

// A file under construction that another process made and will name, seen from those that fill parts of it.
#pragma once

#include "io/descriptor.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace attn {

class SharedFile {
 public:
  /// `path` is its temporary name; `label` stands in messages. Throws Error(io) when it cannot be opened here.
  SharedFile(std::string path, std::string label);

  /// Writes at `offset`. Several threads and processes may write to different places. Throws Error(io).
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes) const;
  /// Checks that everything has been taken by the file system; nothing is written after this.
  void finish();
  /// Forgets the file, which will get no name. Without effect where that has been done, or where it has its name.
  void drop() noexcept;

 private:
  std::string path_;
  std::string label_;
  Descriptor fd_;
};

}  // namespace attn

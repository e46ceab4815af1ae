// A file under construction: nameless until it is complete, filled through memory maps and positional writes.
#pragma once

#include "io/descriptor.hpp"
#include "io/target.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace attn {

class StagedFile {
 public:
  /// Whether the file has a temporary name in its folder from the beginning: only where it cannot do without.
  enum class Naming { where_needed, always };
  /// A file that can be published as `target`, which is no stream. Throws Error(io) when it cannot be created there.
  explicit StagedFile(const Target& target, Naming naming = Naming::where_needed);
  /// A scratch file that never gets a name: in memory up to 64 MiB, beyond (or for an unknown size) in `folder`. `label` stands
  /// in messages.
  static constexpr std::uint64_t unknown_size = std::numeric_limits<std::uint64_t>::max();
  StagedFile(const std::string& folder, std::uint64_t expected_bytes, std::string label);
  StagedFile(const StagedFile&) = delete;
  StagedFile& operator=(const StagedFile&) = delete;
  /// Forgets the file, unless it was published.
  ~StagedFile();

  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  /// Where other processes find it until it is published; for a file with Naming::always.
  [[nodiscard]] std::string temporary_path() const { return folder_ + "/" + name_; }
  /// Makes the file `size` bytes long, with zeros behind what was there, and reserves their space on disk. Throws Error(io) when
  /// there is not enough.
  void resize(std::uint64_t size);
  /// Maps [offset, offset + size), which lies within the file, for writing; valid until unmap(). For no bytes a pointer that is
  /// not null.
  [[nodiscard]] std::byte* map(std::uint64_t offset, std::size_t size);
  void unmap() noexcept;
  /// Writes to where the mapped memory `at` comes from, without touching the memory; the map shows it afterwards. False when
  /// [at, at + bytes.size()) is not in a map of this file. Several threads may write to different places.
  [[nodiscard]] bool put(const std::byte* at, std::span<const std::byte> bytes) const;
  /// Writes at `offset`; the file grows as needed.
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);
  void write_at(std::uint64_t offset, std::string_view text) { write_at(offset, std::as_bytes(std::span(text))); }

  /// Checks that everything has been taken by the file system.
  void finish();
  /// Gives the file its final name in two steps, so that several files appear together: stage() does what can fail where a file
  /// is replaced, publish() makes the name mean this file.
  void stage();
  void publish();
  /// Takes the name away again if publish() gave it to a new file (another file could not be published).
  void retract() noexcept;

 private:
  [[nodiscard]] std::string target_path() const { return folder_ + "/" + base_; }
  void create_named();
  void link_temporary_name();
  [[noreturn]] void fail(int error_number, std::string_view what) const;

  struct Mapping {
    std::byte* address;
    std::size_t size;
    std::uint64_t offset;  ///< of its first byte in the file
  };

  std::string folder_;
  std::string base_;  ///< empty for scratch files
  std::string label_;
  bool replaces_ = false;
  bool in_memory_ = false;
  bool new_name_ = false;  ///< publish() made a name that did not exist
  std::string name_;       ///< the temporary name in folder_ when there is one
  Descriptor fd_;
  std::uint64_t size_ = 0;
  std::vector<Mapping> mappings_;
};

}  // namespace attn

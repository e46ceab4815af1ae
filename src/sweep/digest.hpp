// SHA-256 of bytes and of files (FIPS 180-4), as hexadecimal text.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

namespace attn::sweep {

[[nodiscard]] std::string sha256(std::string_view bytes);

/// What a file held, and what the system said of it then.
struct FileDigest {
  std::string sha256;
  std::uint64_t bytes = 0;
};

/// Throws Error(io) for a file that cannot be read.
[[nodiscard]] FileDigest sha256_of_file(const std::string& path);

/// Digests of the inputs of a sweep, each file read once. May be used by several threads.
class InputDigests {
 public:
  [[nodiscard]] std::string of(const std::string& path);
  /// Throws Error(io) when a file that of() has read is no longer what it was (size or time of modification).
  void check_unchanged(const std::string& path) const;

 private:
  struct Seen {
    std::string sha256;
    std::int64_t size = 0;
    std::int64_t seconds = 0;
    std::int64_t nanoseconds = 0;
  };
  [[nodiscard]] static Seen look(const std::string& path);

  mutable std::mutex mutex_;
  std::map<std::string, Seen> seen_;
};

}  // namespace attn::sweep

// An owned file descriptor, checked writing, and the words for what the operating system reports.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include <unistd.h>

namespace attn {

/// Closes its file descriptor at the end of its life.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] explicit operator bool() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// "there is no such file or folder", "permission denied", ...
[[nodiscard]] std::string system_message(int error_number);

/// The name for messages: "standard input" or "standard output" for "-".
[[nodiscard]] std::string input_label(const std::string& path);
[[nodiscard]] std::string output_label(const std::string& path);

/// Writes all of `bytes`. Throws Error(io), located at `label`, when that fails.
void write_all(int fd, std::span<const std::byte> bytes, const std::string& label);
/// The same at `offset` of a file, from several threads if need be.
void write_all_at(int fd, std::uint64_t offset, std::span<const std::byte> bytes, const std::string& label);

}  // namespace attn

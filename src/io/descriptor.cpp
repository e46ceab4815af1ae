// Writing to file descriptors without losing a byte or an error.
#include "io/descriptor.hpp"

#include <attn/error.hpp>

#include <cerrno>
#include <system_error>

#include <fmt/format.h>
#include <poll.h>

namespace attn {

std::string system_message(int error_number) {
  switch (error_number) {
    case ENOENT:
      return "there is no such file or folder";
    case EACCES:
    case EPERM:
      return "permission denied";
    case ENOSPC:
      return "no space left on the device";
    case EDQUOT:
      return "the disk quota is used up";
    case EROFS:
      return "the file system is read-only";
    case EISDIR:
      return "this is a folder";
    case ENOTDIR:
      return "a part of the path is not a folder";
    case EFBIG:
      return "the file would be larger than allowed";
    case EMFILE:
    case ENFILE:
      return "too many open files";
    default:
      return std::generic_category().message(error_number);
  }
}

std::string input_label(const std::string& path) { return path == "-" ? "standard input" : path; }

std::string output_label(const std::string& path) { return path == "-" ? "standard output" : path; }

void write_all(int fd, std::span<const std::byte> bytes, const std::string& label) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      // Standard output may be a pipe that another program has set to non-blocking.
      pollfd wait{fd, POLLOUT, 0};
      (void)::poll(&wait, 1, -1);
    } else if (errno != EINTR) {
      throw Error(Status::io, {label}, fmt::format("could not be written: {}", system_message(errno)));
    }
  }
}

void write_all_at(int fd, std::uint64_t offset, std::span<const std::byte> bytes, const std::string& label) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(written));
      offset += static_cast<std::uint64_t>(written);
    } else if (errno != EINTR) {
      throw Error(Status::io, {label}, fmt::format("could not be written: {}", system_message(errno)));
    }
  }
}

}  // namespace attn

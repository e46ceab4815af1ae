// A file under construction, seen from processes that fill parts of it.
#include "io/shared_file.hpp"

#include <attn/error.hpp>

#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace attn {

SharedFile::SharedFile(std::string path, std::string label)
    : path_(std::move(path)), label_(std::move(label)), fd_(::open(path_.c_str(), O_WRONLY | O_CLOEXEC)) {
  if (fd_) return;
  throw Error(Status::io, {label_},
              fmt::format("'{}' cannot be opened: {}; all ranks must see the folder", path_, system_message(errno)));
}

void SharedFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) const {
  write_all_at(fd_.get(), offset, bytes, label_);
}

void SharedFile::finish() {
  // Network file systems report late errors when a descriptor is closed.
  const int copy = ::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0);
  if (copy < 0 || ::close(copy) != 0)
    throw Error(Status::io, {label_}, fmt::format("could not be written: {}", system_message(errno)));
}

void SharedFile::drop() noexcept { (void)::unlink(path_.c_str()); }

}  // namespace attn

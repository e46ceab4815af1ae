// SHA-256 of bytes and of files.
#include "sweep/digest.hpp"

#include "io/descriptor.hpp"

#include <attn/error.hpp>

#include <array>
#include <cerrno>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <nettle/sha2.h>
#include <sys/stat.h>
#include <unistd.h>

namespace attn::sweep {

namespace {

class Hash {
 public:
  Hash() { nettle_sha256_init(&state_); }
  void add(const void* bytes, std::size_t count) {
    nettle_sha256_update(&state_, count, static_cast<const std::uint8_t*>(bytes));
  }
  [[nodiscard]] std::string text() {
    std::array<std::uint8_t, SHA256_DIGEST_SIZE> digest{};
    nettle_sha256_digest(&state_, digest.size(), digest.data());
    std::string hex;
    for (const std::uint8_t byte : digest) hex += fmt::format("{:02x}", byte);
    return hex;
  }

 private:
  sha256_ctx state_{};
};

}  // namespace

std::string sha256(std::string_view bytes) {
  Hash hash;
  hash.add(bytes.data(), bytes.size());
  return hash.text();
}

FileDigest sha256_of_file(const std::string& path) {
  constexpr std::size_t piece = std::size_t{1} << 18U;
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) throw Error(Status::io, {path}, fmt::format("cannot be opened for reading: {}", system_message(errno)));
  (void)::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  std::vector<std::byte> buffer(piece);
  Hash hash;
  FileDigest result;
  while (true) {
    const ssize_t count = ::read(fd.get(), buffer.data(), buffer.size());
    if (count == 0) break;
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw Error(Status::io, {path}, fmt::format("could not be read: {}", system_message(errno)));
    hash.add(buffer.data(), static_cast<std::size_t>(count));
    result.bytes += static_cast<std::uint64_t>(count);
  }
  result.sha256 = hash.text();
  return result;
}

InputDigests::Seen InputDigests::look(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0)
    throw Error(Status::io, {path}, fmt::format("cannot be read: {}", system_message(errno)));
  return {.sha256 = {}, .size = status.st_size, .seconds = status.st_mtim.tv_sec, .nanoseconds = status.st_mtim.tv_nsec};
}

std::string InputDigests::of(const std::string& path) {
  const std::scoped_lock lock(mutex_);
  const auto known = seen_.find(path);
  if (known != seen_.end()) return known->second.sha256;
  Seen seen = look(path);
  seen.sha256 = sha256_of_file(path).sha256;
  return seen_.emplace(path, std::move(seen)).first->second.sha256;
}

void InputDigests::check_unchanged(const std::string& path) const {
  const std::scoped_lock lock(mutex_);
  const auto known = seen_.find(path);
  if (known == seen_.end()) return;
  const Seen now = look(path);
  const Seen& then = known->second;
  if (now.size != then.size || now.seconds != then.seconds || now.nanoseconds != then.nanoseconds)
    throw Error(Status::io, {path}, "the file has changed since the sweep began", "start the sweep again: it will be a new run");
}

}  // namespace attn::sweep

// Nameless files, their space on disk, and the moment they get their names.
#include "io/staged_file.hpp"

#include <attn/error.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <random>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace attn {

namespace {

constexpr std::uint64_t memory_up_to = std::uint64_t{64} << 20U;
constexpr int attempts = 100;

/// ".NAME.XXXXXX", cut so that file systems take it.
std::string temporary_name(const std::string& base) {
  static constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz0123456789";
  constexpr std::size_t longest_base = 200;
  std::random_device random;
  std::string ending(6, ' ');
  for (char& letter : ending) letter = letters[random() % letters.size()];
  return fmt::format(".{}.{}", base.empty() ? "attn" : base.substr(0, longest_base), ending);
}

std::string path_of_descriptor(int fd) { return fmt::format("/proc/self/fd/{}", fd); }

/// A nameless file in `folder`, or nothing when the file system has none or /proc, which would name it, is missing.
Descriptor open_nameless(const std::string& folder) {
#ifdef O_TMPFILE
  Descriptor fd(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0666));
  if (fd && ::access(path_of_descriptor(fd.get()).c_str(), F_OK) == 0) return fd;
#else
  (void)folder;
#endif
  return {};
}

}  // namespace

StagedFile::StagedFile(const Target& target, Naming naming)
    : folder_(target.folder), base_(target.base), label_(target.label), replaces_(target.exists) {
  if (naming == Naming::where_needed) fd_ = open_nameless(folder_);
  if (!fd_) create_named();
  if (replaces_ && ::fchmod(fd_.get(), target.mode) != 0 && errno != EPERM) fail(errno, "cannot take its old permissions");
}

StagedFile::StagedFile(const std::string& folder, std::uint64_t expected_bytes, std::string label)
    : folder_(folder), label_(std::move(label)) {
  if (expected_bytes <= memory_up_to) {
    fd_ = Descriptor(::memfd_create("attn", MFD_CLOEXEC));
    in_memory_ = static_cast<bool>(fd_);
    if (fd_) return;
  }
  fd_ = open_nameless(folder_);
  if (fd_) return;
  create_named();
  (void)::unlink((folder_ + "/" + name_).c_str());
  name_.clear();
}

StagedFile::~StagedFile() {
  unmap();
  if (!name_.empty()) (void)::unlink((folder_ + "/" + name_).c_str());
}

void StagedFile::create_named() {
  for (int i = 0; i < attempts; ++i) {
    name_ = temporary_name(base_);
    fd_ = Descriptor(::open((folder_ + "/" + name_).c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666));
    if (fd_) return;
    if (errno != EEXIST && errno != EINTR) break;
  }
  name_.clear();
  fail(errno, fmt::format("cannot be written: no {}file can be created in '{}'", base_.empty() ? "temporary " : "", folder_));
}

void StagedFile::fail(int error_number, std::string_view what) const {
  throw Error(Status::io, {label_}, fmt::format("{}: {}", what, system_message(error_number)));
}

void StagedFile::resize(std::uint64_t size) {
  if (size > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max())) fail(EFBIG, fmt::format("{} bytes do not fit", size));
  // In memory only what is touched should take room.
  if (size < size_ || in_memory_) {
    if (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0) fail(errno, fmt::format("cannot be made {} bytes long", size));
  } else if (size > size_) {
    int error = 0;
    do {
      error = ::posix_fallocate(fd_.get(), static_cast<off_t>(size_), static_cast<off_t>(size - size_));
    } while (error == EINTR);
    if (error != 0) fail(error, fmt::format("no room for {} bytes", size));
  }
  size_ = size;
}

std::byte* StagedFile::map(std::uint64_t offset, std::size_t size) {
  alignas(64) static std::array<std::byte, 64> nothing;
  if (size == 0) return nothing.data();
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const std::uint64_t before = offset % page;
  const std::size_t length = size + before;
  void* memory = ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), static_cast<off_t>(offset - before));
  if (memory == MAP_FAILED) {
    const Status kind = errno == ENOMEM ? Status::memory : Status::io;
    throw Error(kind, {label_}, fmt::format("{} bytes cannot be mapped into memory: {}", size, system_message(errno)));
  }
  auto* address = static_cast<std::byte*>(memory);
  mappings_.push_back({.address = address, .size = length, .offset = offset - before});
  return address + before;
}

void StagedFile::unmap() noexcept {
  for (const Mapping& mapping : mappings_) ::munmap(mapping.address, mapping.size);
  mappings_.clear();
}

bool StagedFile::put(const std::byte* at, std::span<const std::byte> bytes) const {
  const std::less_equal<> in_order;
  const auto mapping = std::ranges::find_if(
      mappings_, [&](const Mapping& m) { return in_order(m.address, at) && in_order(at + bytes.size(), m.address + m.size); });
  if (mapping == mappings_.end()) return false;
  write_all_at(fd_.get(), mapping->offset + static_cast<std::uint64_t>(at - mapping->address), bytes, label_);
  return true;
}

void StagedFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  write_all_at(fd_.get(), offset, bytes, label_);
  size_ = std::max(size_, offset + bytes.size());
}

void StagedFile::finish() {
  unmap();
  // Network file systems report late errors when a descriptor is closed; the file itself stays open for its name.
  const int copy = ::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0);
  if (copy < 0 || ::close(copy) != 0) fail(errno, "could not be written");
}

void StagedFile::link_temporary_name() {
  const std::string nameless = path_of_descriptor(fd_.get());
  for (int i = 0; i < attempts; ++i) {
    const std::string name = temporary_name(base_);
    if (::linkat(AT_FDCWD, nameless.c_str(), AT_FDCWD, (folder_ + "/" + name).c_str(), AT_SYMLINK_FOLLOW) == 0) {
      name_ = name;
      return;
    }
    if (errno != EEXIST && errno != EINTR) break;
  }
  fail(errno, "cannot get its name");
}

void StagedFile::stage() {
  // A new file goes from no name to its own, so that not even a killed program leaves a temporary one.
  if (replaces_ && name_.empty()) link_temporary_name();
}

void StagedFile::publish() {
  if (name_.empty()) {
    const std::string nameless = path_of_descriptor(fd_.get());
    if (::linkat(AT_FDCWD, nameless.c_str(), AT_FDCWD, target_path().c_str(), AT_SYMLINK_FOLLOW) == 0) {
      new_name_ = true;
      return;
    }
    // Somebody else was quicker: theirs is replaced.
    if (errno != EEXIST) fail(errno, "cannot get its name");
    link_temporary_name();
  }
  if (::rename((folder_ + "/" + name_).c_str(), target_path().c_str()) != 0) fail(errno, "cannot get its name");
  new_name_ = !replaces_;
  name_.clear();
}

void StagedFile::retract() noexcept {
  if (std::exchange(new_name_, false)) (void)::unlink(target_path().c_str());
}

}  // namespace attn

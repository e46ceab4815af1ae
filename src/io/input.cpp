// Opening inputs: mapping regular files, reading streams, and saying well why a file cannot be read.
#include "io/input.hpp"

#include "base/groups.hpp"
#include "base/nearest.hpp"

#include <attn/error.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>

namespace attn {

namespace {

constexpr std::size_t mapped_from = std::size_t{1} << 20U;
constexpr std::size_t first_read = std::size_t{1} << 16U;

/// Memory that grows without a second copy of what it holds (realloc moves pages, not bytes, once it is large).
class GrowingBuffer {
 public:
  explicit GrowingBuffer(std::string label) : label_(std::move(label)) {}
  GrowingBuffer(const GrowingBuffer&) = delete;
  GrowingBuffer& operator=(const GrowingBuffer&) = delete;
  ~GrowingBuffer() { std::free(data_); }  // NOLINT(cppcoreguidelines-no-malloc)

  /// Reads until the end of the file, or until `limit` bytes are there.
  void read(int fd, std::size_t first_capacity, std::size_t limit) {
    while (size_ < limit) {
      if (size_ == capacity_) grow(std::min(limit, std::max(first_capacity, capacity_ * 2)));
      const ssize_t count = ::read(fd, data_ + size_, capacity_ - size_);
      if (count == 0) return;
      if (count > 0) {
        size_ += static_cast<std::size_t>(count);
      } else if (errno != EINTR) {
        throw Error(Status::io, {label_}, fmt::format("could not be read: {}", system_message(errno)));
      }
    }
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::shared_ptr<const void> release() {
    if (size_ > 0) grow(size_);
    return {std::exchange(data_, nullptr), [](void* p) { std::free(p); }};  // NOLINT(cppcoreguidelines-no-malloc)
  }

 private:
  void grow(std::size_t capacity) {
    void* memory = std::realloc(data_, capacity);  // NOLINT(cppcoreguidelines-no-malloc)
    if (memory == nullptr)
      throw Error(Status::memory, {label_}, fmt::format("no memory left after {} bytes of this input", size_));
    data_ = static_cast<std::byte*>(memory);
    capacity_ = capacity;
  }

  std::string label_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

/// The name in the same folder that a user who typed `path` may have meant.
std::string hint_for_missing(const std::string& path) {
  namespace fs = std::filesystem;
  const fs::path wanted(path);
  const fs::path folder = wanted.has_parent_path() ? wanted.parent_path() : fs::path(".");
  std::error_code error;
  if (!fs::is_directory(folder, error)) return fmt::format("there is no folder '{}' either", folder.string());
  std::vector<std::string> names;
  constexpr std::size_t enough = 10000;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end && names.size() < enough; entry.increment(error))
    names.push_back(entry->path().filename().string());
  std::sort(names.begin(), names.end());
  const std::string name = nearest(wanted.filename().string(), names);
  if (name.empty()) return {};
  return fmt::format("did you mean '{}'?", wanted.has_parent_path() ? (wanted.parent_path() / name).string() : name);
}

Descriptor open_for_reading(const std::string& path) {
  if (path.empty()) throw Error(Status::usage, "an input file has an empty name");
  if (path.find('\0') != std::string::npos) throw Error(Status::usage, "an input file has a zero byte in its name");
  for (;;) {
    Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    if (fd) return fd;
    if (errno == EINTR) continue;
    if (errno == ENOENT) throw Error(Status::io, {path}, "there is no such file", hint_for_missing(path));
    throw Error(Status::io, {path}, fmt::format("cannot be opened for reading: {}", system_message(errno)));
  }
}

[[noreturn]] void throw_empty(const Input& input, bool standard) {
  if (standard) throw Error(Status::data, "no data on standard input");
  throw Error(Status::data, {input.label}, "the file is empty");
}

}  // namespace

MappedFile::MappedFile(Descriptor fd, const struct stat& status, std::string path)
    : fd_(std::move(fd)), status_(status), path_(std::move(path)) {
  const auto size = static_cast<std::size_t>(status.st_size);
  void* memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd_.get(), 0);
  if (memory == MAP_FAILED) {
    const Status kind = errno == ENOMEM ? Status::memory : Status::io;
    throw Error(kind, {path_}, fmt::format("{} bytes cannot be mapped into memory: {}", size, system_message(errno)));
  }
  memory_ = memory;
  bytes_ = {static_cast<const std::byte*>(memory), size};
}

MappedFile::~MappedFile() { ::munmap(memory_, bytes_.size()); }

void MappedFile::check_unchanged() const {
  struct stat now {};
  if (::fstat(fd_.get(), &now) != 0)
    throw Error(Status::io, {path_}, fmt::format("can no longer be read: {}", system_message(errno)));
  if (now.st_size != status_.st_size || now.st_mtim.tv_sec != status_.st_mtim.tv_sec ||
      now.st_mtim.tv_nsec != status_.st_mtim.tv_nsec)
    throw Error(Status::io, {path_}, "the file changed while it was being read; no output was written");
}

bool MappedFile::holds(std::span<const std::byte> bytes) const noexcept {
  const std::less_equal<> in_order;
  return in_order(bytes_.data(), bytes.data()) && in_order(bytes.data() + bytes.size(), bytes_.data() + bytes_.size());
}

void MappedFile::let_go(std::span<const std::byte> bytes) const noexcept {
  if (bytes.empty()) return;
  // With a page that is read the system maps what it has around it: at least 64 KiB, and all of a large page, but no more than
  // one page of its tables covers.
  constexpr std::uintptr_t table = std::uintptr_t{1} << 21U;
  const auto start = reinterpret_cast<std::uintptr_t>(memory_);       // NOLINT(*-reinterpret-cast)
  const auto begin = reinterpret_cast<std::uintptr_t>(bytes.data());  // NOLINT(*-reinterpret-cast)
  const std::uintptr_t first = std::max(begin / table * table, start) - start;
  const std::uintptr_t last = std::min(whole_groups(begin + bytes.size(), table), start + bytes_.size()) - start;
  (void)::madvise(static_cast<std::byte*>(memory_) + first, last - first, MADV_DONTNEED);
}

Input open_input(const std::string& path) {
  const bool standard = path == "-";
  Descriptor fd = standard ? Descriptor(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)) : open_for_reading(path);
  Input input;
  input.label = input_label(path);
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0)
    throw Error(Status::io, {input.label}, fmt::format("cannot be read: {}", system_message(errno)));
  if (S_ISDIR(status.st_mode)) throw Error(Status::io, {input.label}, "this is a folder, not a file");
  // Files of /proc say that they have no bytes; what they hold is found by reading.
  const bool sized = S_ISREG(status.st_mode) && status.st_size > 0;
  input.stream = standard || !S_ISREG(status.st_mode);
  const auto size = static_cast<std::uint64_t>(sized ? status.st_size : 0);
  const bool from_start = !standard || ::lseek(fd.get(), 0, SEEK_CUR) == 0;
  if (sized && from_start && size >= mapped_from && size <= SIZE_MAX / 2) {
    input.mapped = std::make_shared<MappedFile>(std::move(fd), status, input.label);
    input.owner = input.mapped;
    input.bytes = input.mapped->bytes();
    return input;
  }
  GrowingBuffer buffer(input.label);
  const bool known = sized && from_start;
  buffer.read(fd.get(), known ? static_cast<std::size_t>(size) : first_read,
              known ? static_cast<std::size_t>(size) : SIZE_MAX / 2);
  if (buffer.size() == 0) throw_empty(input, standard);
  const std::size_t count = buffer.size();
  input.owner = buffer.release();
  input.bytes = {static_cast<const std::byte*>(input.owner.get()), count};
  return input;
}

}  // namespace attn

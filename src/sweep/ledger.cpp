// The ledger of a sweep: one line for each run that has ended, appended under a lock.
#include "sweep/ledger.hpp"

#include "io/staged_file.hpp"
#include "io/target.hpp"

#include <attn/error.hpp>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

namespace attn::sweep {

namespace fs = std::filesystem;

namespace {

bool is_ledger(const std::string& name) { return name.starts_with("runs") && name.ends_with(".jsonl"); }

std::string read_all(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (file.peek() != std::ifstream::traits_type::eof()) text << file.rdbuf();
  if (!file.is_open() || file.bad() || text.bad()) throw Error(Status::io, {path}, "the ledger cannot be read");
  return text.str();
}

/// Calls body(line, record) for each line that is complete and says which run it is about.
template <class Body>
void for_each_record(const std::string& text, Body body) {
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string::npos) return;
    const std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    Json record = Json::parse(line, nullptr, false);
    if (!record.is_object() || !record.contains("id") || !record["id"].is_string() || !record.contains("status")) continue;
    body(line, record);
  }
}

bool lock(int fd) {
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  while (::fcntl(fd, F_OFD_SETLK, &whole) != 0) {
    if (errno == EACCES || errno == EAGAIN) return false;
    // File systems that know no locks: the ledger is written without one.
    if (errno != EINTR) return true;
  }
  return true;
}

bool is_same_file(int fd, const std::string& path) {
  struct stat open {};
  struct stat named {};
  return ::fstat(fd, &open) == 0 && ::stat(path.c_str(), &named) == 0 && open.st_ino == named.st_ino &&
         open.st_dev == named.st_dev;
}

std::size_t number_in(const std::string& text, std::string_view digits) {
  std::size_t number = 0;
  const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc{} || stop != digits.data() + digits.size())
    throw Error(Status::usage, fmt::format("--shard: '{}' is not i/n", text), "the first of four: --shard 1/4");
  return number;
}

}  // namespace

std::string Shard::file_name() const { return count == 1 ? "runs.jsonl" : fmt::format("runs-{}-of-{}.jsonl", index, count); }

Shard read_shard(const std::string& text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string::npos) (void)number_in(text, {});
  const std::size_t index = number_in(text, std::string_view(text).substr(0, slash));
  const std::size_t count = number_in(text, std::string_view(text).substr(slash + 1));
  if (count == 0 || index > count)
    throw Error(Status::usage, fmt::format("--shard: there is no part {} of {}", index, count), "the first of four: --shard 1/4");
  return {.index = index % count, .count = count};
}

std::map<std::string, Json> read_ledgers(const std::string& folder) {
  std::map<std::string, Json> records;
  std::vector<std::string> files;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
    if (is_ledger(entry->path().filename().string())) files.push_back(entry->path().string());
  std::ranges::sort(files);
  for (const std::string& file : files) {
    for_each_record(read_all(file), [&](const std::string&, Json& record) {
      const std::string id = record["id"];
      const auto known = records.find(id);
      // Of two parts that both ran it, the one where it went well counts.
      if (known != records.end() && known->second["status"] == "ok" && record["status"] != "ok") return;
      records[id] = std::move(record);
    });
  }
  return records;
}

Ledger::Ledger(const std::string& folder, const Shard& shard, const std::function<void()>& waiting)
    : path_(folder + "/" + shard.file_name()) {
  require_place(folder);
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw Error(Status::io, {folder}, fmt::format("the folder of the sweep cannot be made: {}", error.message()));
  open_locked(waiting);
}

void Ledger::open_locked(const std::function<void()>& waiting) {
  constexpr int tenths = 10;
  for (int round = 0;; ++round) {
    fd_ = Descriptor(::open(path_.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666));
    if (!fd_) throw Error(Status::io, {path_}, fmt::format("the ledger cannot be opened: {}", system_message(errno)));
    if (lock(fd_.get())) {
      // Whoever had it may have put another file in its place.
      if (is_same_file(fd_.get(), path_)) return;
      continue;
    }
    if (round % tenths == 0) waiting();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

void Ledger::forget(const std::vector<std::string>& ids) {
  if (ids.empty()) return;
  std::string kept;
  bool drops = false;
  for_each_record(read_all(path_), [&](const std::string& line, const Json& record) {
    const bool is_kept = std::ranges::find(ids, record["id"].get<std::string>()) == ids.end();
    if (is_kept) kept += line + "\n";
    drops = drops || !is_kept;
  });
  if (!drops) return;
  const std::string beside = path_ + ".new";
  Descriptor fd(::open(beside.c_str(), O_RDWR | O_APPEND | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!fd) throw Error(Status::io, {beside}, fmt::format("cannot be written: {}", system_message(errno)));
  write_all(fd.get(), std::as_bytes(std::span(kept)), beside);
  if (::fsync(fd.get()) != 0 || !lock(fd.get()) || ::rename(beside.c_str(), path_.c_str()) != 0)
    throw Error(Status::io, {path_}, fmt::format("the ledger cannot be replaced: {}", system_message(errno)));
  fd_ = std::move(fd);
}

bool Ledger::write_pending() {
  struct stat before {};
  if (::fstat(fd_.get(), &before) != 0) return false;
  std::string text = pending_;
  char last = '\n';
  if (before.st_size > 0 && ::pread(fd_.get(), &last, 1, before.st_size - 1) == 1 && last != '\n')
    text.insert(text.begin(), '\n');
  ssize_t written = 0;
  do {
    written = ::write(fd_.get(), text.data(), text.size());
  } while (written < 0 && errno == EINTR);
  if (written == static_cast<ssize_t>(text.size())) {
    pending_.clear();
    return true;
  }
  error_ = written < 0 ? errno : ENOSPC;
  // No half lines where that can be helped.
  if (written > 0) (void)!::ftruncate(fd_.get(), before.st_size);
  return false;
}

void Ledger::append(const Json& record) {
  pending_ += record.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  (void)write_pending();
}

void Ledger::flush() {
  if (!pending_.empty() && !write_pending())
    throw Error(Status::io, {path_}, fmt::format("runs could not be written down: {}", system_message(error_)),
                "they are run again by the next call");
  // A ledger that a power failure shortens only means that runs are run again.
  (void)::fdatasync(fd_.get());
}

}  // namespace attn::sweep

// Follows an output path to the file or stream it stands for.
#include "io/target.hpp"

#include "io/descriptor.hpp"

#include <attn/error.hpp>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace attn {

namespace {

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string base_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

/// The path that a chain of symbolic links ends at, whether there is something or not.
std::string follow_links(std::string path) {
  constexpr int longest_chain = 40;  // what Linux allows
  for (int i = 0; i < longest_chain; ++i) {
    std::array<char, PATH_MAX> link{};
    const ssize_t length = ::readlink(path.c_str(), link.data(), link.size());
    if (length < 0) return path;
    const std::string next(link.data(), static_cast<std::size_t>(length));
    path = next.starts_with('/') ? next : fmt::format("{}/{}", folder_of(path), next);
  }
  throw Error(Status::io, {path}, "cannot be written: too many symbolic links");
}

/// Empty, with errno, when there is none.
std::string real_path(const std::string& path) {
  const std::unique_ptr<char, void (*)(void*)> real(::realpath(path.c_str(), nullptr), std::free);
  return real ? real.get() : std::string();
}

/// Where files may be written, followed by a slash; empty: everywhere.
std::string& confinement() {
  static std::string folder;
  return folder;
}

bool is_confined(const std::string& folder) { return fmt::format("{}/", folder).starts_with(confinement()); }

[[noreturn]] void refuse_place(const std::string& path) {
  throw Error(Status::io, {path},
              "cannot be written: outputs are confined to another folder (attn reproduce confines what a document writes)");
}

std::string real_folder(const Target& target, const std::string& folder) {
  std::string real = real_path(folder);
  if (!real.empty()) return real;
  if (errno == ENOENT) throw Error(Status::io, {target.path}, fmt::format("cannot be written: there is no folder '{}'", folder));
  throw Error(Status::io, {target.path}, fmt::format("cannot be written: '{}': {}", folder, system_message(errno)));
}

void resolve_stream(Target& target, const struct stat& status) {
  target.stream = true;
  if (!S_ISCHR(status.st_mode)) return;
  // Opening a terminal or another device has no effect on it; a pipe is opened only when there is something to write.
  const Descriptor fd(::open(target.path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  target.terminal = fd && ::isatty(fd.get()) == 1;
  target.shared = !target.terminal;
}

}  // namespace

void confine_outputs(const std::string& folder) {
  const std::string real = real_path(folder);
  if (real.empty()) throw Error(Status::io, {folder}, fmt::format("outputs cannot be confined to it: {}", system_message(errno)));
  confinement() = real.ends_with('/') ? real : real + "/";
}

void require_place(const std::string& folder) {
  std::error_code error;
  const std::string real = std::filesystem::weakly_canonical(std::filesystem::absolute(folder, error), error).string();
  if (error || !is_confined(real)) refuse_place(folder);
}

Target resolve_target(const std::string& path) {
  if (path.empty()) throw Error(Status::usage, "an output file has an empty name");
  if (path.find('\0') != std::string::npos) throw Error(Status::usage, "an output file has a zero byte in its name");
  Target target;
  // The program's own descriptors are written through, whatever they lead to: a log that is appended to must not be replaced.
  target.path = path == "/dev/stdout" || path == "/dev/fd/1" || path == "/proc/self/fd/1" ? "-" : path;
  target.label = output_label(target.path);
  if (target.standard()) {
    target.stream = true;
    target.terminal = ::isatty(STDOUT_FILENO) == 1;
    return target;
  }
  struct stat status {};
  const bool exists = ::stat(path.c_str(), &status) == 0;
  const bool own = path.starts_with("/dev/fd/") || path.starts_with("/proc/self/fd/") || path == "/dev/stderr";
  if (exists && S_ISDIR(status.st_mode)) throw Error(Status::io, {path}, "cannot be written: this is a folder");
  if (exists && (own || !S_ISREG(status.st_mode))) {
    if (!own && path != "/dev/null" && !is_confined(real_path(path))) refuse_place(path);
    resolve_stream(target, status);
    return target;
  }
  std::string file = follow_links(path);
  const bool leads_out = file != path && !is_confined(real_path(folder_of(file)));
  if (leads_out) file = path;
  target.base = base_of(file);
  if (target.base.empty()) throw Error(Status::io, {path}, "cannot be written: this names a folder");
  target.folder = real_folder(target, folder_of(file));
  if (!is_confined(target.folder)) refuse_place(path);
  target.exists = exists;
  if (exists && !leads_out) {
    // Replacing a file needs no permission to write to it, but whoever took that away did not want it changed.
    if (::access(path.c_str(), W_OK) != 0)
      throw Error(Status::io, {path}, fmt::format("cannot be written: {}", system_message(errno)));
    target.mode = status.st_mode & 07777U;
  }
  return target;
}

}  // namespace attn

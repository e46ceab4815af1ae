// Where an output goes: a file that is to be replaced as a whole, or a stream that takes bytes as they come.
#pragma once

#include <string>

#include <sys/types.h>

namespace attn {

struct Target {
  std::string path;       ///< as the user wrote it; "-" is standard output
  std::string label;      ///< in messages
  bool stream = false;    ///< standard output, a device or a pipe
  bool terminal = false;  ///< where binary data must not go
  bool shared = false;    ///< a device that several outputs may go to (/dev/null)
  std::string folder;     ///< files: where the file will be, symbolic links followed
  std::string base;       ///< files: its name there
  bool exists = false;    ///< files: there is one to be replaced,
  mode_t mode = 0;        ///< with these permissions
  [[nodiscard]] bool standard() const noexcept { return path == "-"; }
  /// Two targets are the same when their keys are.
  [[nodiscard]] std::string key() const { return stream ? path : folder + "/" + base; }
};

/// Throws Error(io) when `path` names a folder, a file that is write-protected, or something in a folder that does not exist; and
/// when outputs are confined and it lies elsewhere.
[[nodiscard]] Target resolve_target(const std::string& path);

/// From now on this process creates and replaces files below `folder` only. A symbolic link there that leads out of it is
/// replaced, not followed. Standard output, inherited descriptors and /dev/null stay open. To be called once, before any output
/// is declared. Throws Error(io) when there is no such folder.
void confine_outputs(const std::string& folder);

/// For whoever makes folders of their own: throws Error(io) when outputs are confined and `folder`, which need not exist yet,
/// lies elsewhere.
void require_place(const std::string& folder);

}  // namespace attn

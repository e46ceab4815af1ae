// One case of the command line: a folder with a command and what it must print, leave behind and end with.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace attn::testing {

/// What the runner was told.
struct CaseOptions {
  std::filesystem::path program;  ///< the attn to put first on PATH
  std::filesystem::path root;     ///< the repository, ROOT for the commands
  bool update = false;            ///< rewrite the expectations instead of checking them
  bool keep = false;              ///< leave the working folders of failed cases
  int limit_seconds = 60;
};

/// Runs the case in `folder` and returns what is wrong, one finding each; empty when it passes (or was updated).
///
/// Files of a case: `cmd` is shell text run in a fresh folder that holds copies of the case's other files; `expout` the exact
/// standard output (absent: nothing); `experr` the exact standard error (absent: nothing; a first line `~` means: each following
/// line must occur in it); `status` the exit status (absent: 0), or "signal N"; `expfiles/` files that must be there afterwards;
/// with `expfiles/` or an empty file `nofiles` no other file may have appeared, changed or gone.
[[nodiscard]] std::vector<std::string> run_case(const std::filesystem::path& folder, const CaseOptions& options);

}  // namespace attn::testing

// Runs a command line without a shell: one program, its stages one after the other, each with files for its streams.
#pragma once

#include "document/command_line.hpp"
#include "document/scratch.hpp"

#include <atomic>
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace attn::document {

/// The variable of the environment that tells an attn where its outputs must lie (io/target.hpp).
inline constexpr const char* kConfinement = "ATTN_OUTPUTS_BELOW";

/// What commands run with.
struct Surroundings {
  std::filesystem::path program;         ///< what runs wherever a command says `attn`
  std::filesystem::path scratch;         ///< a folder for the streams' files; working folders lie below it
  std::vector<std::string> environment;  ///< "NAME=value", the whole environment
  std::chrono::seconds limit{60};        ///< of one program
  const std::atomic<bool>* cancelled = nullptr;
};

/// How a command line ended, and what it said.
struct Ending {
  bool ran = false;     ///< false: it could not be run as printed, `problem` says why
  int status = 0;       ///< of the first program that did not end with 0, else 0
  std::string problem;  ///< also for an end by a signal or by the time limit
  std::string output;   ///< standard output of the last stage and standard error of all, as they came
};

/// Runs `line` in the folder `work`, which is all that it may write to: files behind > elsewhere do not run, and attn is told by
/// kConfinement to refuse others. The stages of a pipeline run one after the other with files between them, so that nothing
/// depends on their timing; what follows a stage that fails does not run. Throws Error(io) when files or processes cannot be made
/// and Error(interrupted) when cancelled.
[[nodiscard]] Ending run_command_line(const CommandLine& line, const std::filesystem::path& work,
                                      const Surroundings& surroundings);

}  // namespace attn::document

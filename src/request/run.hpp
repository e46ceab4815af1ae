// One run from files to files: read, plan, attend, write, report.
#pragma once

#include "base/transport.hpp"
#include "request/run_guest.hpp"
#include "request/run_request.hpp"
#include "request/shared_inputs.hpp"

#include <atomic>
#include <functional>
#include <string>
#include <string_view>

namespace attn::request {

/// What a run may use of the world around it.
struct RunContext {
  Reporter& reporter;
  std::function<void(std::string_view)> print;   ///< text for standard output (the plan of --dry-run)
  std::function<void(double)> progress;          ///< finished fraction, from any thread; may be empty
  const std::atomic<bool>* cancelled = nullptr;  ///< true ends the run with Error(interrupted)
  std::function<void()> writing = {};     ///< called when computing is over and outputs are about to be written; may be empty
  std::size_t cores = 1;                  ///< what --threads 0 means
  std::string temporary_folder = "/tmp";  ///< for large arrays on their way to standard output
  SharedInputs* shared = nullptr;         ///< what other runs have read or projected already
  RunGuest* guest = nullptr;
  Transport* transport = nullptr;  ///< to the other processes that share this run; null: this one is alone
};

/// The end of a command that computes: throws when an input has changed since it was read (Error(io)) or the work was stopped
/// (Error(interrupted)), and else gives the outputs their names.
void publish(const ReadFiles& inputs, const RunContext& context, Outputs& files);

/// Throws when one of the inputs has changed since it was read (Error(io)).
void verify_all_unchanged(const ReadFiles& inputs);

/// Throws what reading, planning and writing throw; leaves complete files or none. Shared by several processes, each calls this
/// with the same request; what one of them throws, all throw.
void run(const RunRequest& request, const RunContext& context);

}  // namespace attn::request

// A sweep from its specification to the ledger: what is missing is run, here on several threads or over the ranks of a cluster.
#pragma once

#include "base/transport.hpp"
#include "request/common.hpp"
#include "request/option.hpp"
#include "sweep/dispatch.hpp"
#include "sweep/spec.hpp"

#include <atomic>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace attn::sweep {

/// Everything `attn sweep` can be asked. FILE members are as the user wrote them; empty is "not given".
struct SweepRequest {
  std::string spec;  ///< a TOML file
  std::vector<std::string> grid;
  std::vector<std::string> keep;
  std::string compare;
  std::string folder;
  std::size_t jobs = 1;  ///< 0: as many as cores
  std::string shard;
  bool retry_failed = false;
  bool dry_run = false;
  std::string summary;
  request::CommonSettings common;
};

[[nodiscard]] const request::Table<SweepRequest>& sweep_table();

/// What a sweep may use of the world around it.
struct SweepContext {
  Reporter& reporter;
  std::function<void(std::string_view)> print;    ///< text for standard output (the list of --dry-run)
  std::function<void(const Progress&)> progress;  ///< told ten times a second how far it is, from one thread
  const std::atomic<bool>* cancelled = nullptr;   ///< true drops the runs that are at work and ends with Error(interrupted)
  std::size_t cores = 1;
  std::string temporary_folder = "/tmp";
  Transport* transport = nullptr;  ///< to the other processes of a cluster; null: this one is alone
};

struct Outcome {
  Progress progress;              ///< of this call
  std::size_t skipped = 0;        ///< runs that had gone well before
  std::size_t failed_before = 0;  ///< runs that had failed before and were not tried again
};

/// `spec` with what the request adds on the command line.
[[nodiscard]] Spec complete_spec(Spec spec, const SweepRequest& request);

/// `read_spec` gives the specification; what it throws is thrown on.
/// Runs what the ledgers in the folder do not have, writes the summary. Throws Error(usage) for specifications that make no
/// sense, Error(io) when ledger or summary cannot be written, Error(interrupted) when it was cancelled; never because of a run.
/// With a transport every rank calls this with the same arguments; rank 0 writes ledger and summary, the outcome of others is
/// empty.
Outcome sweep(const std::function<Spec()>& read_spec, const SweepRequest& request, const SweepContext& context);

}  // namespace attn::sweep

// The other processes of a job that was started by mpirun or srun.
#pragma once

#include "base/transport.hpp"
#include "cli/run_context.hpp"

#include <functional>
#include <memory>

namespace attn::cli {

/// Messages to the others, or null when this process was started alone. Throws Error(usage) when there are others and this attn
/// was built without MPI: each would do all the work.
[[nodiscard]] std::unique_ptr<Transport> join_cluster();

/// To be called before saying what is wrong with the command line. All processes of a job are mostly started with the same one:
/// the first says it, ends, and has the others ended meanwhile, which is why they wait here for some seconds.
void let_first_speak();

/// run_in_context() for a run that all processes share, if there are others: only rank 0 speaks, and ends with the status.
Status run_with_others(Console& console, const std::function<void(const request::RunContext&)>& body);

/// run_in_context() for what cannot be shared. When there are others, rank 0 throws Error(usage), and the others do nothing: each
/// would do all the work, and write the same files.
Status run_alone(const char* what, Console& console, const std::function<void(const request::RunContext&)>& body);

}  // namespace attn::cli

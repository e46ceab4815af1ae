// The other processes of a job that was started by mpirun or srun.
#pragma once

#include "sweep/transport.hpp"

#include <memory>

namespace attn::cli {

/// Messages to the others, or null when this process was started alone. Throws Error(usage) when there are others and this attn
/// was built without MPI: each would do all the work.
[[nodiscard]] std::unique_ptr<sweep::Transport> join_cluster();

}  // namespace attn::cli

// The other processes of a job that was started by mpirun or srun.
#include "cli/cluster.hpp"

#include <attn/error.hpp>

#include <cstdlib>
#include <string_view>

#include <dlfcn.h>
#include <fmt/format.h>

namespace attn::cli {

namespace {

/// What Open MPI and the process managers of clusters say to the processes they start.
bool was_started_with_others() {
  const char* size = std::getenv("OMPI_COMM_WORLD_SIZE");
  if (size == nullptr) size = std::getenv("PMI_SIZE");
  // A server of PMIx says only that it can be asked.
  if (size == nullptr) return std::getenv("PMIX_RANK") != nullptr;
  return std::string_view(size) != "1";
}

}  // namespace

std::unique_ptr<sweep::Transport> join_cluster() {
  if (!was_started_with_others()) return nullptr;
  // A module of its own, found beside the program or in lib/attn: Open MPI would make every other command start 10 ms later.
  void* module = ::dlopen("attn_mpi.so", RTLD_NOW | RTLD_GLOBAL);
  if (module == nullptr)
    throw Error(Status::usage, fmt::format("this attn cannot speak to the other processes of this job: {}", ::dlerror()),
                "build it where libopenmpi-dev is installed, or give each process its part: --shard i/n");
  using Make = sweep::Transport* (*)();
  const auto make = reinterpret_cast<Make>(::dlsym(module, "attn_make_transport"));
  if (make == nullptr) throw Error(Status::defect, "attn_mpi.so is not the module that it should be");
  std::unique_ptr<sweep::Transport> transport(make());
  if (transport->size() > 1) return transport;
  return nullptr;
}

}  // namespace attn::cli

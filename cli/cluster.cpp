// The other processes of a job that was started by mpirun or srun.
#include "cli/cluster.hpp"

#include <attn/error.hpp>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <thread>

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

/// True for the process that speaks for all.
bool is_first() {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"})
    if (const char* rank = std::getenv(name); rank != nullptr) return std::string_view(rank) == "0";
  return true;
}

/// A module of its own: Open MPI would make every other command start 10 ms later. It lies beside the program where that was
/// built, in lib/attn where it is installed, and is looked for nowhere else.
void* load_module() {
  std::error_code unknown;
  const std::filesystem::path folder = std::filesystem::read_symlink("/proc/self/exe", unknown).parent_path();
  for (const std::filesystem::path& place : {folder, folder / ATTN_MODULES}) {
    const std::string file = (place / "attn_mpi.so").string();
    if (std::filesystem::exists(file, unknown)) return ::dlopen(file.c_str(), RTLD_NOW | RTLD_GLOBAL);
  }
  return nullptr;
}

}  // namespace

void let_first_speak() {
  if (was_started_with_others() && !is_first()) std::this_thread::sleep_for(std::chrono::seconds(5));
}

std::unique_ptr<Transport> join_cluster() {
  if (!was_started_with_others()) return nullptr;
  void* module = load_module();
  if (module == nullptr) {
    const char* reason = ::dlerror();
    throw Error(Status::usage,
                fmt::format("this attn cannot speak to the other processes of this job: {}",
                            reason == nullptr ? "it was built without MPI" : reason),
                "build it where libopenmpi-dev is installed; attn sweep can give each process its part without MPI: --shard i/n");
  }
  using Make = Transport* (*)();
  const auto make = reinterpret_cast<Make>(::dlsym(module, "attn_make_transport"));
  if (make == nullptr) throw Error(Status::defect, "attn_mpi.so is not the module that it should be");
  std::unique_ptr<Transport> transport(make());
  if (transport->size() > 1) return transport;
  return nullptr;
}

Status run_with_others(Console& console, const std::function<void(const request::RunContext&)>& body) {
  const std::unique_ptr<Transport> transport = join_cluster();
  const bool leads = transport == nullptr || transport->rank() == 0;
  if (!leads) console.configure(true, false);
  try {
    return run_in_context(console, [&](const request::RunContext& context) {
      request::RunContext own = context;
      own.transport = transport.get();
      if (!leads) own.progress = {};
      body(own);
    });
  } catch (const Error&) {
    // Rank 0 throws the same and says it.
    if (leads) throw;
    return Status::ok;
  }
}

Status run_alone(const char* what, Console& console, const std::function<void(const request::RunContext&)>& body) {
  if (const std::unique_ptr<Transport> transport = join_cluster()) {
    if (transport->rank() != 0) return Status::ok;
    throw Error(Status::usage, fmt::format("{} cannot be shared by several ranks", what),
                "run it without mpirun; attn sweep shares many of them");
  }
  return run_in_context(console, body);
}

}  // namespace attn::cli

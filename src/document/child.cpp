// Runs programs by posix_spawn with a polled time limit.
#include "document/child.hpp"

#include <attn/error.hpp>

#include <csignal>
#include <cstring>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace attn::document {

namespace fs = std::filesystem;

namespace {

void require(int error, const char* what) {
  if (error != 0) throw Error(Status::io, fmt::format("{}: {}", what, std::strerror(error)));
}

/// posix_spawn's descriptions of a child, given back at the end.
class Spawner {
 public:
  explicit Spawner(const Child& child) {
    require(posix_spawn_file_actions_init(&actions_), "posix_spawn_file_actions_init");
    require(posix_spawnattr_init(&attributes_), "posix_spawnattr_init");
    open(STDIN_FILENO, child.input, O_RDONLY);
    open(STDOUT_FILENO, child.output, O_WRONLY | O_CREAT | O_APPEND);
    open(STDERR_FILENO, child.messages, O_WRONLY | O_CREAT | O_APPEND);
    require(posix_spawn_file_actions_addchdir_np(&actions_, child.folder.c_str()), "chdir");
    sigset_t none;
    sigemptyset(&none);
    sigset_t all;
    sigfillset(&all);
    require(posix_spawnattr_setsigmask(&attributes_, &none), "posix_spawnattr_setsigmask");
    require(posix_spawnattr_setsigdefault(&attributes_, &all), "posix_spawnattr_setsigdefault");
    require(posix_spawnattr_setpgroup(&attributes_, 0), "posix_spawnattr_setpgroup");
    require(posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF),
            "posix_spawnattr_setflags");
  }
  Spawner(const Spawner&) = delete;
  Spawner& operator=(const Spawner&) = delete;
  ~Spawner() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }

  pid_t spawn(const fs::path& program, std::vector<std::string> words, std::vector<std::string> environment) const {
    const auto pointers = [](std::vector<std::string>& texts) {
      std::vector<char*> result;
      for (std::string& text : texts) result.push_back(text.data());
      result.push_back(nullptr);
      return result;
    };
    const std::vector<char*> arguments = pointers(words);
    const std::vector<char*> variables = pointers(environment);
    pid_t child = 0;
    require(posix_spawn(&child, program.c_str(), &actions_, &attributes_, arguments.data(), variables.data()), program.c_str());
    return child;
  }

 private:
  void open(int descriptor, const fs::path& path, int flags) {
    require(posix_spawn_file_actions_addopen(&actions_, descriptor, path.c_str(), flags, 0600), "open");
  }

  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

}  // namespace

ChildEnding run_child(const Child& child) {
  const pid_t process = Spawner(child).spawn(child.program, child.words, child.environment);
  const auto deadline = std::chrono::steady_clock::now() + child.limit;
  int how = 0;
  bool late = false;
  bool cancelled = false;
  for (auto pause = std::chrono::microseconds(200); waitpid(process, &how, WNOHANG) == 0;) {
    late = std::chrono::steady_clock::now() >= deadline;
    cancelled = child.cancelled != nullptr && child.cancelled->load();
    if (late || cancelled) {
      kill(-process, SIGKILL);
      waitpid(process, &how, 0);
      break;
    }
    std::this_thread::sleep_for(pause);
    if (pause < std::chrono::milliseconds(20)) pause *= 2;
  }
  kill(-process, SIGKILL);  // what it left in the background must not write into what comes next
  if (cancelled) throw Error(Status::interrupted, "interrupted");
  ChildEnding ending;
  ending.timed_out = late;
  if (WIFSIGNALED(how)) {
    ending.signal = WTERMSIG(how);
  } else {
    ending.exit_status = WEXITSTATUS(how);
  }
  return ending;
}

}  // namespace attn::document

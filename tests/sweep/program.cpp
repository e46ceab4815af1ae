// Starts the program as a process of its own.
#include "sweep/program.hpp"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace attn::testing {

Running::Running(const std::vector<std::string>& words, const std::string& log, std::optional<std::size_t> file_limit) {
  std::vector<std::string> kept = words;
  std::vector<char*> arguments;
  for (std::string& word : kept) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  id_ = ::fork();
  if (id_ < 0) throw std::runtime_error("no process can be started");
  if (id_ > 0) return;
  (void)::setpgid(0, 0);
  const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
  const int in = ::open("/dev/null", O_RDONLY);
  (void)::dup2(in, STDIN_FILENO);
  (void)::dup2(out, STDOUT_FILENO);
  (void)::dup2(out, STDERR_FILENO);
  if (file_limit) {
    const rlimit limit{.rlim_cur = *file_limit, .rlim_max = *file_limit};
    (void)::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ::execvp(arguments.front(), arguments.data());
  ::_exit(127);
}

Running::~Running() {
  if (ended_) return;
  (void)::kill(-id_, SIGKILL);
  (void)::waitpid(id_, nullptr, 0);
}

void Running::signal(int number) const { (void)::kill(id_, number); }

int Running::wait() {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  int status = 0;
  rusage used{};
  while (::wait4(id_, &status, WNOHANG, &used) == 0) {
    if (std::chrono::steady_clock::now() > end) {
      (void)::kill(-id_, SIGKILL);
      (void)::waitpid(id_, &status, 0);
      ended_ = true;
      return -1000;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ended_ = true;
  peak_kib_ = used.ru_maxrss;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

std::vector<pid_t> ranks_of(pid_t parent) {
  std::vector<pid_t> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream file(entry.path() / "stat");
    std::string line;
    if (!std::getline(file, line)) continue;
    const std::size_t close = line.rfind(')');
    std::istringstream rest(line.substr(close + 2));
    char state = 0;
    pid_t above = 0;
    rest >> state >> above;
    if (above == parent && line.find("(attn)") != std::string::npos && state != 'Z') found.push_back(std::stoi(name));
  }
  return found;
}

}  // namespace attn::testing

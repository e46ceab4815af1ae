// Runs shell text with fork and a polled time limit; each command leads a process group of its own so that nothing survives it.
#include "tools/process.hpp"

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace attn::testing {

namespace fs = std::filesystem;

namespace {

constexpr int shell_signal_base = 128;

/// Only calls that are safe between fork and exec. Never returns.
[[noreturn]] void become(char** arguments, char** environment, const char* directory, const char* out, const char* err) {
  setpgid(0, 0);
  const int in_fd = open("/dev/null", O_RDONLY);
  const int out_fd = open(out, O_WRONLY | O_CREAT | O_APPEND, 0600);
  const int err_fd = open(err, O_WRONLY | O_CREAT | O_APPEND, 0600);
  const bool ready = in_fd >= 0 && out_fd >= 0 && err_fd >= 0 && dup2(in_fd, 0) >= 0 && dup2(out_fd, 1) >= 0 &&
                     dup2(err_fd, 2) >= 0 && chdir(directory) == 0;
  if (ready) {
    signal(SIGPIPE, SIG_DFL);
    execve(arguments[0], arguments, environment);
  }
  _exit(127);
}

Ending describe(int wait_status) {
  Ending ending;
  if (WIFSIGNALED(wait_status)) {
    ending.signal = WTERMSIG(wait_status);
  } else {
    ending.exit_status = WEXITSTATUS(wait_status);
  }
  return ending;
}

}  // namespace

std::string Ending::text() const {
  if (timed_out) return "time limit";
  return signal != 0 ? "signal " + std::to_string(signal) : std::to_string(exit_status);
}

bool Ending::is(const std::string& expected) const {
  if (timed_out) return false;
  if (expected == text()) return true;
  if (signal != 0) return expected == std::to_string(shell_signal_base + signal);
  return exit_status > shell_signal_base && expected == "signal " + std::to_string(exit_status - shell_signal_base);
}

std::map<std::string, std::string> test_environment(const fs::path& program, const fs::path& home, const fs::path& root) {
  std::map<std::string, std::string> result{{"PATH", program.parent_path().string() + ":/usr/local/bin:/usr/bin:/bin"},
                                            {"LC_ALL", "C"},
                                            {"HOME", home.string()},
                                            {"TMPDIR", home.string()},
                                            {"ROOT", root.string()}};
  for (const char* name : {"ASAN_OPTIONS", "UBSAN_OPTIONS", "ASAN_SYMBOLIZER_PATH"})
    if (const char* value = std::getenv(name); value != nullptr) result[name] = value;
  return result;
}

Ending run_shell(const std::string& text, const Surroundings& surroundings) {
  std::vector<std::string> words{"/bin/sh", "-c", text};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  std::vector<std::string> pairs;
  for (const auto& [name, value] : surroundings.environment) pairs.push_back(name + "=" + value);
  std::vector<char*> environment;
  for (std::string& pair : pairs) environment.push_back(pair.data());
  environment.push_back(nullptr);

  const pid_t child = fork();
  if (child < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (child == 0)
    become(arguments.data(), environment.data(), surroundings.directory.c_str(), surroundings.standard_output.c_str(),
           surroundings.standard_error.c_str());
  setpgid(child, child);  // both sides set it, so that it holds whoever runs first

  const auto deadline = std::chrono::steady_clock::now() + surroundings.limit;
  int wait_status = 0;
  bool timed_out = false;
  for (auto pause = std::chrono::microseconds(200); waitpid(child, &wait_status, WNOHANG) == 0;) {
    if (std::chrono::steady_clock::now() >= deadline) {
      timed_out = true;
      kill(-child, SIGKILL);
      waitpid(child, &wait_status, 0);
      break;
    }
    std::this_thread::sleep_for(pause);
    if (pause < std::chrono::milliseconds(20)) pause *= 2;
  }
  kill(-child, SIGKILL);  // what it left in the background must not write into the next case
  Ending ending = describe(wait_status);
  ending.timed_out = timed_out;
  return ending;
}

TemporaryDirectory::TemporaryDirectory() {
  std::string name = (fs::temp_directory_path() / "attn-test-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::system_error(errno, std::generic_category(), "mkdtemp " + name);
  path_ = fs::canonical(name);
}

TemporaryDirectory::~TemporaryDirectory() {
  if (keep_) return;
  std::error_code ignored;  // a case may have taken away permissions; a full /tmp is not the test's failure
  fs::permissions(path_, fs::perms::owner_all, fs::perm_options::add, ignored);
  fs::remove_all(path_, ignored);
}

std::string read_file(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream bytes;
  if (!stream) throw std::runtime_error("cannot read " + path.string());
  if (stream.peek() != std::ifstream::traits_type::eof()) bytes << stream.rdbuf();
  return bytes.str();
}

void write_file(const fs::path& path, const std::string& bytes) {
  std::ofstream stream(path, std::ios::binary | std::ios::trunc);
  stream.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  stream.close();
  if (!stream) throw std::runtime_error("cannot write " + path.string());
}

}  // namespace attn::testing

// Runs command lines by posix_spawn, with a polled time limit; each program leads a process group so that nothing survives it.
#include "document/process.hpp"

#include <attn/error.hpp>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
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

/// The files that are the streams of one program.
struct Streams {
  fs::path input;
  fs::path output;
  fs::path messages;
};

/// posix_spawn's descriptions of a child, given back at the end.
class Spawner {
 public:
  Spawner(const Streams& streams, const fs::path& work) {
    require(posix_spawn_file_actions_init(&actions_), "posix_spawn_file_actions_init");
    require(posix_spawnattr_init(&attributes_), "posix_spawnattr_init");
    open(STDIN_FILENO, streams.input, O_RDONLY);
    open(STDOUT_FILENO, streams.output, O_WRONLY | O_CREAT | O_APPEND);
    open(STDERR_FILENO, streams.messages, O_WRONLY | O_CREAT | O_APPEND);
    require(posix_spawn_file_actions_addchdir_np(&actions_, work.c_str()), "chdir");
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

/// Waits for a program and leaves nothing of its group behind.
Ending wait_for(pid_t child, const Surroundings& surroundings) {
  const auto deadline = std::chrono::steady_clock::now() + surroundings.limit;
  int how = 0;
  bool late = false;
  bool cancelled = false;
  for (auto pause = std::chrono::microseconds(200); waitpid(child, &how, WNOHANG) == 0;) {
    late = std::chrono::steady_clock::now() >= deadline;
    cancelled = surroundings.cancelled != nullptr && surroundings.cancelled->load();
    if (late || cancelled) {
      kill(-child, SIGKILL);
      waitpid(child, &how, 0);
      break;
    }
    std::this_thread::sleep_for(pause);
    if (pause < std::chrono::milliseconds(20)) pause *= 2;
  }
  kill(-child, SIGKILL);
  if (cancelled) throw Error(Status::interrupted, "interrupted");
  Ending ending;
  ending.ran = !late && WIFEXITED(how);
  if (late) {
    ending.problem = fmt::format("it ran longer than {} s", surroundings.limit.count());
  } else if (WIFSIGNALED(how)) {
    ending.problem = fmt::format("signal {} ended it", WTERMSIG(how));
  } else {
    ending.status = WEXITSTATUS(how);
  }
  return ending;
}

/// Why a stage is not run: documents start attn, and attn reads documents only at the outermost level.
std::string refused(const Stage& stage) {
  if (stage.words.front() != "attn") return fmt::format("only attn is run, not {}", stage.words.front());
  const bool lists = std::ranges::find(stage.words, "--list") != stage.words.end();
  if (stage.words.size() > 1 && stage.words[1] == "reproduce" && !lists) return "a document does not run attn reproduce";
  return {};
}

Ending run_stage(const Stage& stage, const Streams& streams, const fs::path& work, const Surroundings& surroundings) {
  Streams actual = streams;
  if (stage.input_text) {
    actual.input = surroundings.scratch / "here-document";
    write_text(actual.input, *stage.input_text);
  } else if (stage.input_file) {
    actual.input = work / *stage.input_file;
    if (!fs::is_regular_file(actual.input))
      return {.ran = false, .status = 0, .problem = fmt::format("there is no file {}", *stage.input_file), .output = {}};
  }
  if (stage.output_file) {
    actual.output = work / *stage.output_file;
    std::error_code absent;
    fs::remove(actual.output, absent);
  }
  return wait_for(Spawner(actual, work).spawn(surroundings.program, stage.words, surroundings.environment), surroundings);
}

Ending run_pipeline(const Pipeline& pipeline, const fs::path& work, const fs::path& printed, const Surroundings& surroundings) {
  Streams streams{.input = "/dev/null", .output = {}, .messages = printed};
  for (std::size_t i = 0; i < pipeline.size(); ++i) {
    const bool last = i + 1 == pipeline.size();
    streams.output = last ? printed : surroundings.scratch / fmt::format("pipe-{}", i);
    if (!last) write_text(streams.output, {});
    Ending ending = run_stage(pipeline[i], streams, work, surroundings);
    if (!ending.ran || ending.status != 0) return ending;
    streams.input = streams.output;
  }
  return {.ran = true, .status = 0, .problem = {}, .output = {}};
}

}  // namespace

ScratchFolder::ScratchFolder(const fs::path& parent) {
  std::string name = (parent / "attn-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr)
    throw Error(Status::io, {parent.string()}, fmt::format("cannot make a folder there: {}", std::strerror(errno)));
  path_ = fs::canonical(name);
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

Ending run_command_line(const CommandLine& line, const fs::path& work, const Surroundings& surroundings) {
  for (const Pipeline& pipeline : line)
    for (const Stage& stage : pipeline)
      if (std::string why = refused(stage); !why.empty())
        return {.ran = false, .status = 0, .problem = std::move(why), .output = {}};
  const fs::path printed = surroundings.scratch / "printed";
  write_text(printed, {});
  Ending ending;
  for (const Pipeline& pipeline : line) {
    ending = run_pipeline(pipeline, work, printed, surroundings);
    if (!ending.ran || ending.status != 0) break;
  }
  ending.output = read_text(printed);
  return ending;
}

std::string read_text(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream text;
  if (stream && stream.peek() != std::ifstream::traits_type::eof()) text << stream.rdbuf();
  if (stream.bad() || !stream.is_open()) throw Error(Status::io, {path.string()}, "cannot be read");
  return text.str();
}

void write_text(const fs::path& path, const std::string& text) {
  std::ofstream stream(path, std::ios::binary | std::ios::trunc);
  stream.write(text.data(), static_cast<std::streamsize>(text.size()));
  stream.close();
  if (!stream) throw Error(Status::io, {path.string()}, "cannot be written");
}

}  // namespace attn::document

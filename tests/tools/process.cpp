// Runs shell text as attn reproduce runs programs.
#include "tools/process.hpp"

#include <cstdlib>

namespace attn::testing {

namespace fs = std::filesystem;

namespace {

constexpr int shell_signal_base = 128;

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
  document::Child shell{.program = "/bin/sh",
                        .words = {"/bin/sh", "-c", text},
                        .environment = {},
                        .folder = surroundings.directory,
                        .output = surroundings.standard_output,
                        .messages = surroundings.standard_error,
                        .limit = surroundings.limit};
  for (const auto& [name, value] : surroundings.environment) shell.environment.push_back(name + "=" + value);
  return {document::run_child(shell)};
}

}  // namespace attn::testing

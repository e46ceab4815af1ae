// How much memory this process may still take.
#include "cli/memory.hpp"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

namespace attn::cli {

namespace {

/// The number that follows `name` in a file of lines "name 123"; with an empty name, the file's first.
std::optional<std::uint64_t> number_in(const char* path, const std::string& name) {
  std::ifstream file(path);
  std::string word;
  if (!name.empty()) {
    while (file >> word && word != name) file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  std::uint64_t number = 0;
  if (file >> number) return number;
  return std::nullopt;  // no such file, or "max"
}

/// What a control group has left: its limit less what cannot be given back at once.
std::optional<std::uint64_t> left_in_group(const char* limit, const char* used, const char* statistics,
                                           const std::string& cached) {
  const auto most = number_in(limit, "");
  const auto now = number_in(used, "");
  if (!most || !now) return std::nullopt;
  const std::uint64_t held = *now - std::min(*now, number_in(statistics, cached).value_or(0));
  return *most - std::min(*most, held);
}

}  // namespace

std::uint64_t usable_memory() {
  std::uint64_t least = std::numeric_limits<std::uint64_t>::max();
  if (const auto kibibytes = number_in("/proc/meminfo", "MemAvailable:")) least = *kibibytes * 1024;
  const auto unified =
      left_in_group("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat", "inactive_file");
  const auto legacy = left_in_group("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes",
                                    "/sys/fs/cgroup/memory/memory.stat", "total_inactive_file");
  return std::min({least, unified.value_or(least), legacy.value_or(least)});
}

}  // namespace attn::cli

// `attn` alone and `attn help`.
#include "cli/overview.hpp"

#include "cli/command.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace attn::cli {

std::string overview() {
  std::string text = "attn - the command-line attention workbench\n\nUsage: attn COMMAND [arguments]\n";
  std::vector<std::string> groups;
  for (const Command& command : commands()) {
    if (std::ranges::find(groups, command.info.group) == groups.end()) groups.push_back(command.info.group);
  }
  for (const std::string& group : groups) {
    text += fmt::format("\n{}:\n", group);
    for (const Command& command : commands()) {
      if (command.info.group != group) continue;
      text += fmt::format("  {:<12} {}\n  {:<12}   {}\n", command.info.name, command.info.summary, "", command.info.example);
    }
  }
  return text + "\nattn COMMAND --help says more about a command.\n";
}

std::string version_line() { return fmt::format("attn {}\n", ATTN_VERSION); }

}  // namespace attn::cli

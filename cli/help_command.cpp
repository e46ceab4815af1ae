// attn help: the commands, or the help of one.
#include "base/nearest.hpp"
#include "cli/commands.hpp"
#include "cli/overview.hpp"

#include <fmt/format.h>

namespace attn::cli {

namespace {

struct HelpSettings {
  std::string command;
  request::CommonSettings common;
};

const Table<HelpSettings>& help_table() {
  static const Table<HelpSettings> table = [] {
    Table<HelpSettings> rows{request::row<HelpSettings>(
        {.name = "COMMAND", .metavar = "COMMAND", .group = "Arguments", .help = "the command to explain", .positional = true},
        [](auto& s) -> auto& { return s.command; })};
    request::append_common(rows);
    return rows;
  }();
  return table;
}

Status help(const HelpSettings& settings, Console& console) {
  if (settings.command.empty()) {
    console.print(overview());
    return Status::ok;
  }
  std::vector<std::string> names;
  for (const Command& command : commands()) {
    names.push_back(command.info.name);
    if (command.info.name != settings.command) continue;
    console.print(help_text(command.info, command.options()));
    return Status::ok;
  }
  const std::string near = nearest(settings.command, names);
  throw Error(Status::usage, fmt::format("there is no command '{}'", settings.command),
              near.empty() ? "attn help lists the commands" : fmt::format("did you mean {}?", near));
}

}  // namespace

Command help_command() {
  return make_command<HelpSettings>({.name = "help",
                                     .group = "Help",
                                     .summary = "show the commands, or explain one",
                                     .usage = "attn help [COMMAND]",
                                     .example = "attn help run",
                                     .description = ""},
                                    help_table, help);
}

}  // namespace attn::cli

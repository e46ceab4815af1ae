// attn help: the commands, or the help of one.
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
  const Command& command = find_command(settings.command);
  console.print(help_text(command.info, command.options()));
  return Status::ok;
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

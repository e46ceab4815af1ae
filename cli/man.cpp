// attn man: man pages and the reference, from the same tables as the help.
#include "cli/commands.hpp"
#include "cli/reference.hpp"

#include <fmt/format.h>

namespace attn::cli {

namespace {

struct ManSettings {
  std::string command;
  bool markdown = false;
  request::CommonSettings common;
};

const Table<ManSettings>& man_table() {
  static const Table<ManSettings> table = [] {
    using request::row;
    Table<ManSettings> rows{
        row<ManSettings>({.name = "COMMAND",
                          .metavar = "COMMAND",
                          .group = "Arguments",
                          .help = "the command to explain (default: attn as a whole)",
                          .positional = true},
                         [](auto& s) -> auto& { return s.command; }),
        row<ManSettings>({.name = "markdown", .group = "Output", .help = "the reference of all commands as Markdown instead"},
                         [](auto& s) -> auto& { return s.markdown; }),
    };
    request::append_common(rows);
    return rows;
  }();
  return table;
}

Status man(const ManSettings& settings, Console& console) {
  if (settings.markdown) {
    if (!settings.command.empty())
      throw Error(Status::usage, "--markdown is the reference of all commands: leave the command out");
    console.print(reference_markdown());
    return Status::ok;
  }
  if (settings.command.empty()) {
    console.print(man_page(nullptr));
    return Status::ok;
  }
  console.print(man_page(&find_command(settings.command)));
  return Status::ok;
}

}  // namespace

Command man_command() {
  return make_command<ManSettings>({.name = "man",
                                    .group = "Help",
                                    .summary = "print a man page, or the reference of all commands",
                                    .usage = "attn man [COMMAND]",
                                    .example = "attn man run | man -l -",
                                    .description = "To install a page: attn man > ~/.local/share/man/man1/attn.1"},
                                   man_table, man);
}

}  // namespace attn::cli

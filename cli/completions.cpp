// attn completions: what a shell needs to complete commands, options and their values.
#include "cli/completions.hpp"

#include "cli/commands.hpp"

#include <fmt/format.h>

namespace attn::cli {

enum class Shell { none, bash, zsh, fish };

}  // namespace attn::cli

namespace attn::request {

template <>
struct Names<cli::Shell> {
  static constexpr std::array<std::pair<std::string_view, cli::Shell>, 3> list{
      {{"bash", cli::Shell::bash}, {"zsh", cli::Shell::zsh}, {"fish", cli::Shell::fish}}};
};

}  // namespace attn::request

namespace attn::cli {

ValueKind value_kind(const Option& option) {
  if (option.is_switch()) return ValueKind::none;
  if (option.metavar == "COMMAND") return ValueKind::commands;
  if (!option.choices.empty()) return ValueKind::choices;
  return option.is_file() ? ValueKind::files : ValueKind::anything;
}

namespace {

struct CompletionsSettings {
  Shell shell = Shell::none;
  request::CommonSettings common;
};

const Table<CompletionsSettings>& completions_table() {
  static const Table<CompletionsSettings> table = [] {
    Table<CompletionsSettings> rows{request::row<CompletionsSettings>(
        {.name = "SHELL", .metavar = "SHELL", .group = "Arguments", .help = "the shell to complete in", .positional = true},
        [](auto& s) -> auto& { return s.shell; })};
    request::append_common(rows);
    return rows;
  }();
  return table;
}

Status completions(const CompletionsSettings& settings, Console& console) {
  switch (settings.shell) {
    case Shell::bash:
      console.print(bash_completions());
      return Status::ok;
    case Shell::zsh:
      console.print(zsh_completions());
      return Status::ok;
    case Shell::fish:
      console.print(fish_completions());
      return Status::ok;
    case Shell::none:
      break;
  }
  throw Error(Status::usage, "for which shell?", "attn completions bash, zsh or fish");
}

}  // namespace

Command completions_command() {
  return make_command<CompletionsSettings>(
      {.name = "completions",
       .group = "Help",
       .summary = "print a script that completes commands and options in a shell",
       .usage = "attn completions bash|zsh|fish",
       .example = "attn completions bash > ~/.local/share/bash-completion/completions/attn",
       .description = "For zsh: attn completions zsh > a folder of fpath, as _attn. For fish: attn completions fish > "
                      "~/.config/fish/completions/attn.fish"},
      completions_table, completions);
}

}  // namespace attn::cli

// What a subcommand is: its place in help, its options, and what it does with parsed settings.
#pragma once

#include "cli/console.hpp"
#include "request/common.hpp"
#include "request/option.hpp"

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace attn::cli {

using request::Option;
using request::Table;

/// Everything about a command that people see.
struct CommandInfo {
  std::string name = {};
  std::string group = {};        ///< heading in `attn help`
  std::string summary = {};      ///< one line
  std::string usage = {};        ///< "attn run [X] [options]"
  std::string example = {};      ///< one command line that works
  std::string description = {};  ///< paragraphs for the command's help and man page
};

struct Command {
  CommandInfo info;
  std::function<std::vector<Option>()> options;
  std::function<Status(const std::vector<std::string>& arguments, Console& console)> run;
};

/// Reads `arguments` by the options given; calls set(index of the option, text) in the order of the options. Throws Error(usage)
/// naming the nearest option for one that is unknown.
void parse_arguments(const CommandInfo& info, const std::vector<Option>& options, const std::vector<std::string>& arguments,
                     const std::function<void(std::size_t, const std::string&)>& set);

/// The help of one command, made from its options.
[[nodiscard]] std::string help_text(const CommandInfo& info, const std::vector<Option>& options);

/// A command from its table of rows. S is default-constructible and has a member `common`.
template <class S>
[[nodiscard]] Command make_command(CommandInfo info, std::function<const Table<S>&()> table,
                                   std::function<Status(S&, Console&)> execute) {
  Command command;
  command.info = info;
  command.options = [table] { return request::options_of(table()); };
  command.run = [info = std::move(info), table, execute = std::move(execute)](const std::vector<std::string>& arguments,
                                                                              Console& console) {
    S settings{};
    const Table<S>& rows = table();
    const std::vector<Option> options = request::options_of(rows);
    parse_arguments(info, options, arguments,
                    [&](std::size_t index, const std::string& text) { rows[index].set(settings, text); });
    if (settings.common.help) {
      console.print(help_text(info, options));
      return Status::ok;
    }
    console.configure(settings.common.quiet, settings.common.verbose);
    return execute(settings, console);
  };
  return command;
}

/// All commands in the order of `attn help`. The one list: dispatch, help, completions and man page walk it.
[[nodiscard]] const std::vector<Command>& commands();

/// The names of all commands, in that order.
[[nodiscard]] std::vector<std::string> command_names();

/// Throws Error(usage) that names the nearest command for one that is unknown.
[[nodiscard]] const Command& find_command(const std::string& name);

}  // namespace attn::cli

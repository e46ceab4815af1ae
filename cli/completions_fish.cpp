// The completion script for fish.
#include "cli/completions.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace attn::cli {

namespace {

/// In single quotes, as fish reads it.
std::string quoted(const std::string& text) {
  std::string result = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') result += '\\';
    result += c;
  }
  return result + "'";
}

/// The part of `complete` that says what the value may be.
std::string value_of(const Option& option) {
  switch (value_kind(option)) {
    case ValueKind::choices:
      return fmt::format(" -x -a {}", quoted(fmt::format("{}", fmt::join(option.choices, " "))));
    case ValueKind::files:
      return " -r -F";
    case ValueKind::commands:
      return fmt::format(" -x -a {}", quoted(fmt::format("{}", fmt::join(command_names(), " "))));
    case ValueKind::anything:
      return " -x";
    case ValueKind::none:
      break;
  }
  return {};
}

std::string line(const std::string& command, const Option& option) {
  const std::string start = fmt::format("complete -c attn -n '__attn_runs {}'", command);
  if (option.positional) {
    switch (value_kind(option)) {
      case ValueKind::files:
        return start + " -F\n";
      case ValueKind::choices:
        return fmt::format("{}{} -a {}\n", start, option.repeated ? " -F" : "",
                           quoted(fmt::format("{}", fmt::join(option.choices, " "))));
      case ValueKind::commands:
        return fmt::format("{} -a {}\n", start, quoted(fmt::format("{}", fmt::join(command_names(), " "))));
      default:
        return {};
    }
  }
  const std::string letter = option.letter == 0 ? "" : fmt::format(" -s {}", option.letter);
  return fmt::format("{} -l {}{}{} -d {}\n", start, option.name, letter, value_of(option), quoted(option.help));
}

}  // namespace

std::string fish_completions() {
  std::string text =
      "# fish completion for attn, made by: attn completions fish\n"
      "function __attn_runs\n  set -l words (commandline -opc)\n  test (count $words) -gt 1; and test $words[2] = $argv[1]\nend\n"
      "function __attn_no_command\n  set -l words (commandline -opc)\n  test (count $words) -eq 1\nend\n"
      "complete -c attn -f\n";
  for (const Command& command : commands()) {
    text += fmt::format("complete -c attn -n __attn_no_command -a {} -d {}\n", command.info.name, quoted(command.info.summary));
    for (const Option& option : command.options()) text += line(command.info.name, option);
  }
  return text;
}

}  // namespace attn::cli

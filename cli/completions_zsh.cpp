// The completion script for zsh.
#include "cli/completions.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace attn::cli {

namespace {

/// Inside single quotes, where zsh's _arguments also reads brackets and colons.
std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '\'') {
      result += "'\\''";
    } else {
      if (c == '[' || c == ']' || c == ':' || c == '\\') result += '\\';
      result += c;
    }
  }
  return result;
}

/// ":message:action" of a value.
std::string action(const Option& option) {
  const std::string message = escaped(option.metavar.empty() ? option.name : option.metavar);
  switch (value_kind(option)) {
    case ValueKind::choices:
      return fmt::format(":{}:({})", message, fmt::join(option.choices, " "));
    case ValueKind::files:
      return fmt::format(":{}:_files", message);
    case ValueKind::commands:
      return fmt::format(":{}:({})", message, fmt::format("{}", fmt::join(command_names(), " ")));
    case ValueKind::anything:
      return fmt::format(":{}: ", message);
    case ValueKind::none:
      break;
  }
  return {};
}

std::string specification(const Option& option) {
  if (option.positional) {
    const bool words_then_files = option.repeated && value_kind(option) == ValueKind::choices;
    if (words_then_files) return fmt::format("'1{}' '*:F:_files'", action(option));
    return option.repeated ? fmt::format("'*{}'", action(option)) : fmt::format("':{}'", action(option));
  }
  const char* repeat = option.repeated ? "*" : "";
  const std::string value = option.is_switch() ? "" : action(option);
  if (option.letter == 0) return fmt::format("'{}--{}[{}]{}'", repeat, option.name, escaped(option.help), value);
  return fmt::format("'(-{0} --{1})'{{-{0},--{1}}}'[{2}]{3}'", option.letter, option.name, escaped(option.help), value);
}

}  // namespace

std::string zsh_completions() {
  std::string text =
      "#compdef attn\n# zsh completion for attn, made by: attn completions zsh\n_attn() {\n  local -a names\n  names=(\n";
  for (const Command& command : commands())
    text += fmt::format("    '{}:{}'\n", command.info.name, escaped(command.info.summary));
  text +=
      "  )\n  if (( CURRENT == 2 )); then\n    _describe command names\n    return\n  fi\n"
      "  local name=$words[2]\n  shift words\n  (( CURRENT-- ))\n  case $name in\n";
  for (const Command& command : commands()) {
    text += fmt::format("    {})\n      _arguments", command.info.name);
    for (const Option& option : command.options()) text += " \\\n        " + specification(option);
    text += "\n      ;;\n";
  }
  return text + "  esac\n}\nif [[ $funcstack[1] == _attn ]]; then _attn \"$@\"; else compdef _attn attn; fi\n";
}

}  // namespace attn::cli

// The completion script for bash.
#include "cli/completions.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace attn::cli {

namespace {

/// In single quotes, as the shell reads it.
std::string quoted(const std::string& text) {
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

std::string pattern(const Option& option) {
  return option.letter == 0 ? "--" + option.name : fmt::format("-{}|--{}", option.letter, option.name);
}

/// What may stand where an option wants its value, as settings of the script's variables.
std::string value_of(const Option& option) {
  switch (value_kind(option)) {
    case ValueKind::choices:
      return fmt::format("words={} files=''", quoted(fmt::format("{}", fmt::join(option.choices, " "))));
    case ValueKind::files:
      return "words='' files=1";
    case ValueKind::commands:
      return fmt::format("words={} files=''", quoted(fmt::format("{}", fmt::join(command_names(), " "))));
    case ValueKind::anything:
    case ValueKind::none:
      break;
  }
  return "return";
}

std::string branch(const Command& command) {
  std::vector<std::string> flags;
  std::string values;
  std::string positional;
  for (const Option& option : command.options()) {
    if (option.positional) {
      const ValueKind kind = value_kind(option);
      if (kind == ValueKind::files || kind == ValueKind::choices || kind == ValueKind::commands) {
        positional += fmt::format("      {}\n", value_of(option));
        // Words first, files behind them.
        if (kind == ValueKind::choices && option.repeated) positional += "      files=1\n";
      }
      continue;
    }
    flags.push_back("--" + option.name);
    if (!option.is_switch()) values += fmt::format("        {}) {} ;;\n", pattern(option), "value=1 " + value_of(option));
  }
  std::string text =
      fmt::format("    {})\n      flags={}\n", command.info.name, quoted(fmt::format("{}", fmt::join(flags, " "))));
  text += positional;
  if (!values.empty()) text += "      case $previous in\n" + values + "      esac\n";
  return text + "      ;;\n";
}

}  // namespace

std::string bash_completions() {
  std::string text =
      "# bash completion for attn, made by: attn completions bash\n"
      "_attn() {\n"
      "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
      "  local flags='' words='' files='' value=''\n"
      "  COMPREPLY=()\n"
      "  # --score=dot comes as three words.\n"
      "  if [[ $current == '=' ]]; then current=''; elif [[ $previous == '=' ]]; then previous=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
      "  if ((COMP_CWORD == 1)); then\n"
      "    mapfile -t COMPREPLY < <(compgen -W " +
      quoted(fmt::format("{}", fmt::join(command_names(), " ")) + " --help --version") +
      " -- \"$current\")\n"
      "    return\n"
      "  fi\n"
      "  case ${COMP_WORDS[1]} in\n";
  for (const Command& command : commands()) text += branch(command);
  return text +
         "    *) return ;;\n"
         "  esac\n"
         "  if [[ -z $value && $current == -?* || -z $value$words$files ]]; then\n"
         "    words=$flags files=''\n"
         "  fi\n"
         "  [[ -n $words ]] && mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
         "  if [[ -n $files ]]; then\n"
         "    local -a found\n"
         "    mapfile -t found < <(compgen -f -- \"$current\")\n"
         "    COMPREPLY+=(\"${found[@]}\")\n"
         "    compopt -o filenames 2> /dev/null\n"
         "  fi\n"
         "  return 0\n"
         "}\n"
         "complete -F _attn attn\n";
}

}  // namespace attn::cli

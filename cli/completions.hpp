// Completion scripts for shells, made from the list of commands and their options.
#pragma once

#include "cli/command.hpp"

#include <string>

namespace attn::cli {

/// What may stand where an option wants its value.
enum class ValueKind {
  none,      ///< a switch: no value
  anything,  ///< numbers and the like, which nothing can be offered for
  choices,   ///< one of option.choices
  files,
  commands,  ///< names of commands
};

[[nodiscard]] ValueKind value_kind(const Option& option);

[[nodiscard]] std::string bash_completions();
[[nodiscard]] std::string zsh_completions();
[[nodiscard]] std::string fish_completions();

}  // namespace attn::cli

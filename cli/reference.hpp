// What is written about the program as a whole, in the forms that are derived from the list of commands: man pages and reference.
#pragma once

#include "cli/command.hpp"

#include <string>
#include <utility>
#include <vector>

namespace attn::cli {

/// Exit statuses with what they mean.
[[nodiscard]] const std::vector<std::pair<int, std::string>>& exit_statuses();

/// How files are named and read, one paragraph each.
[[nodiscard]] const std::vector<std::string>& file_rules();

/// What an option is and takes, as one text: help, details, choices, default.
[[nodiscard]] std::string option_text(const Option& option);

/// The headings of a command's options in the order of their first option.
[[nodiscard]] std::vector<std::string> option_groups(const std::vector<Option>& options);

/// The reference of all commands as Markdown: docs/reference.md.
[[nodiscard]] std::string reference_markdown();

/// The man page of one command, or of attn itself when `command` is null, for man's macro package.
[[nodiscard]] std::string man_page(const Command* command);

}  // namespace attn::cli

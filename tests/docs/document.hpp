// The commands printed in a Markdown document: every ```console block, cut into commands and what they print.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace attn::testing {

/// One command of a console block.
struct Printed {
  std::string folder;         ///< where it runs, below the repository; empty: the repository itself
  std::string command;        ///< behind "$ ", with its continuation lines behind "> "
  std::size_t line = 0;       ///< of the "$", from 1
  std::size_t output_at = 0;  ///< index of the first output line in the document's lines
  std::size_t output_count = 0;
  std::string output;  ///< as printed, with newlines
};

/// The lines of a document, without their newlines.
[[nodiscard]] std::vector<std::string> lines_of(const std::string& text);

/// The commands in order. An HTML comment `<!-- in FOLDER -->` on a line of its own moves the commands after it there,
/// `<!-- in . -->` back. Throws std::runtime_error with the line for an unclosed block and for output before the first command.
[[nodiscard]] std::vector<Printed> printed_commands(const std::vector<std::string>& lines);

}  // namespace attn::testing

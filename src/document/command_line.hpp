// A command line as a document prints it, split as a shell would split it; what only a shell can do is refused by name.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace attn::document {

/// One program of a pipeline.
struct Stage {
  std::vector<std::string> words;          ///< the program and its arguments, quotes taken away
  std::optional<std::string> input_text;   ///< of a here-document
  std::optional<std::string> input_file;   ///< behind <
  std::optional<std::string> output_file;  ///< behind >
};

using Pipeline = std::vector<Stage>;

/// Pipelines joined by &&: each runs when the one before it ended with status 0.
using CommandLine = std::vector<Pipeline>;

/// Splits `text`: words, quotes, backslashes, comments, |, &&, <, > and here-documents (<<WORD), as POSIX.1-2017 has them in
/// "Shell Command Language", 2.2 to 2.7. Here-documents are taken as they stand, as with a quoted word. Throws Error(usage) for
/// everything that needs a shell (variables, substitution, patterns, ;, &, ||, other redirections) and for what is not closed.
[[nodiscard]] CommandLine split_command(std::string_view text);

}  // namespace attn::document

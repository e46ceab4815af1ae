// The commands and the data printed in a Markdown document: its console blocks, cut into commands and what they print.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace attn::document {

/// One command of a console block.
struct Printed {
  std::string command;        ///< behind "$ ", with its continuation lines behind "> ", with newlines
  std::size_t line = 0;       ///< of the "$", from 1
  std::size_t output_at = 0;  ///< index of the first output line in the document's lines
  std::size_t output_count = 0;
  std::string output;  ///< as printed, with newlines
};

/// A block whose info string begins with `console`: commands that belong together.
struct Block {
  std::size_t line = 0;      ///< of the opening fence, from 1
  std::string folder;        ///< where it runs, below the documents' root; empty: the root itself
  bool needs_shell = false;  ///< marked `console shell`: more than attn takes part
  bool must_differ = false;  ///< marked `console differs`: what a source claims, and what is not so
  std::string reason;        ///< what follows the mark: why it differs
  std::vector<Printed> commands;
};

/// A block whose info string holds `file=NAME`: a small input that the commands behind it read by that name.
struct DataFile {
  std::size_t line = 0;  ///< of the opening fence, from 1
  std::string folder;
  std::string name;
  std::string text;
};

/// What a document holds, in the order of its lines.
struct Document {
  std::string title;  ///< its first heading, without the signs; empty without one
  std::vector<Block> blocks;
  std::vector<DataFile> files;
};

/// The lines of a text, without their newlines.
[[nodiscard]] std::vector<std::string> lines_of(const std::string& text);

/// Reads a document. Fences are those of CommonMark: three or more backticks or tildes, closed by as many. An HTML comment
/// `<!-- in FOLDER -->` on a line of its own moves the blocks behind it there, `<!-- in . -->` back. `file` names the document in
/// messages. Throws Error(data) with the line for a block that is not closed, for output before the first command of a block,
/// for an unknown mark, and for names of data files that lead out of their folder.
[[nodiscard]] Document read_document(const std::vector<std::string>& lines, const std::string& file);

}  // namespace attn::document

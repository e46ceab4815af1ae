// Runs documents: each block's commands in a scratch folder, and a verdict on what the document prints.
#pragma once

#include "document/markdown.hpp"
#include "document/printed.hpp"
#include "document/process.hpp"

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace attn::document {

enum class Verdict {
  holds,                ///< everything printed is so
  differs_as_expected,  ///< a block marked `differs`, and it does
  differs,              ///< not so
  does_not_run,         ///< a command needs more than attn, or ended with an error that the document does not print
};

[[nodiscard]] std::string_view name_of(Verdict verdict);

/// What one command prints now.
struct CommandResult {
  const Printed* printed = nullptr;
  PrintedComparison comparison;
  std::string problem;      ///< why it does not run; empty when it does
  std::string output;       ///< what it prints now
  std::string explanation;  ///< the convention that gives what the document prints, where attn identify finds one
};

struct BlockResult {
  const Block* block = nullptr;
  Verdict verdict = Verdict::does_not_run;
  std::vector<CommandResult> commands;
  double seconds = 0;

  /// False for what makes the exit status 1: a difference nobody announced, and an announced one that is not there.
  [[nodiscard]] bool expected() const noexcept {
    return verdict == (block->must_differ ? Verdict::differs_as_expected : Verdict::holds);
  }
};

/// One document and what became of its blocks.
struct DocumentResult {
  std::string file;
  Document document;
  std::vector<BlockResult> blocks;
  std::size_t left_out = 0;  ///< blocks marked `shell`
};

/// How documents are run.
struct Reproduction {
  std::filesystem::path program;              ///< the attn that is run
  std::filesystem::path temporary;            ///< where scratch folders are made
  std::optional<std::filesystem::path> root;  ///< where commands find their files; by default the document's folder
  std::vector<std::string> environment;
  std::chrono::seconds limit{60};
  const std::atomic<bool>* cancelled = nullptr;
};

/// Reads a document. Throws Error(io) when it cannot be read, Error(data) for a mistake in it and for one without commands: a
/// check of nothing checks nothing.
[[nodiscard]] DocumentResult open_document(const std::string& file);

/// Runs all blocks of an opened document, in order; those in one folder share it, so that a block finds what blocks before it
/// wrote. The folder holds links to the document's own files; what commands write stays in it and goes away, and they can write
/// nowhere else. Throws Error(data) for a data file whose name leads into a folder beside the document.
void run_document(DocumentResult& result, const Reproduction& how);

}  // namespace attn::document

// What became of documents, for people, for programs and as JUnit XML.
#pragma once

#include "document/reproduce.hpp"

#include <span>
#include <string>

namespace attn::document {

/// What documents would run: a line for each block.
[[nodiscard]] std::string listed_text(std::span<const DocumentResult> documents);
[[nodiscard]] std::string listed_json(std::span<const DocumentResult> documents);

/// A line for each block with its verdict, below it what differs and why, and a table of all documents at the end.
[[nodiscard]] std::string reproduced_text(std::span<const DocumentResult> documents);
[[nodiscard]] std::string reproduced_json(std::span<const DocumentResult> documents);
/// One test suite a document, one test case a block. `differs` is a failure, `does not run` an error.
[[nodiscard]] std::string reproduced_junit(std::span<const DocumentResult> documents);

/// True when every block is as its document says.
[[nodiscard]] bool all_expected(std::span<const DocumentResult> documents);

}  // namespace attn::document

// Fuzzes reading of documents, splitting of their commands and the comparison of what they print: whatever a document holds,
// it is read or refused with an Error.
#include "document/command_line.hpp"
#include "document/markdown.hpp"
#include "document/printed.hpp"

#include <attn/error.hpp>

#include <cstdint>
#include <cstdlib>
#include <string>

namespace {

/// Text that is compared with itself agrees, unless it says `...` for what is not there.
void compare_with_itself(const std::string& text) {
  const attn::document::PrintedComparison same = attn::document::compare_printed(text, text);
  if (!same.differences.empty() && text.find("...") == std::string::npos) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    (void)attn::document::split_command(text);
  } catch (const attn::Error&) {
  }
  compare_with_itself(text);
  try {
    const auto document = attn::document::read_document(attn::document::lines_of(text), "document.md");
    for (const auto& block : document.blocks)
      for (const auto& printed : block.commands) (void)attn::document::compare_printed(printed.output, printed.command);
  } catch (const attn::Error&) {
  }
  return 0;
}

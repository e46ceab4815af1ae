// Shows what became of documents as JUnit XML, which continuous integration reads.
#include "document/reproduce_report.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace attn::document {

namespace {

/// Length of the character of XML 1.0 that begins at `at`, in bytes of UTF-8; 0 where there is none.
std::size_t character_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned>(static_cast<unsigned char>(text[i])); };
  const unsigned first = byte(at);
  if (first < 0x80) return first >= 0x20 || first == '\n' || first == '\t' ? 1 : 0;
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || at + length > text.size()) return 0;
  unsigned point = first & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xC0U) != 0x80) return 0;
    point = point << 6U | (byte(at + i) & 0x3FU);
  }
  const unsigned least = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;
  const bool surrogate = point >= 0xD800 && point < 0xE000;
  return point < least || point > 0x10FFFF || surrogate || point == 0xFFFE || point == 0xFFFF ? 0 : length;
}

/// Text between tags or in quotes. What is no character of XML 1.0 becomes "?".
std::string escaped(std::string_view text) {
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = character_length(text, at);
    const std::string_view character = text.substr(at, std::max<std::size_t>(length, 1));
    at += character.size();
    if (length == 0)
      result += '?';
    else if (character == "&")
      result += "&amp;";
    else if (character == "<")
      result += "&lt;";
    else if (character == ">")
      result += "&gt;";
    else if (character == "\"")
      result += "&quot;";
    else if (character == "\n")
      result += "&#10;";
    else
      result += character;
  }
  return result;
}

/// What is wrong with a block, one line each.
std::string wrong_with(const BlockResult& result) {
  if (result.verdict == Verdict::holds) return "it is marked as a claim that differs, and holds";
  std::string text;
  for (const CommandResult& command : result.commands) {
    if (!command.problem.empty()) text += fmt::format("line {}: {}\n", command.printed->line, command.problem);
    for (const Difference& d : command.comparison.differences)
      text += fmt::format("line {}: printed '{}', now '{}'\n", command.printed->output_at + d.line, d.printed, d.now);
    if (!command.explanation.empty()) text += fmt::format("attn identify: {}\n", command.explanation);
  }
  return text;
}

std::string case_of(const DocumentResult& document, const BlockResult& result) {
  const std::string command = result.block->commands.empty() ? std::string() : result.block->commands.front().command;
  std::string text = fmt::format("    <testcase classname=\"{}\" name=\"line {}: {}\" time=\"{:.3f}\"", escaped(document.file),
                                 result.block->line, escaped(command.substr(0, command.find('\n'))), result.seconds);
  if (result.expected()) return text + "/>\n";
  const char* kind = result.verdict == Verdict::does_not_run ? "error" : "failure";
  text += fmt::format(">\n      <{} message=\"{}\">{}</{}>\n    </testcase>\n", kind, name_of(result.verdict),
                      escaped(wrong_with(result)), kind);
  return text;
}

}  // namespace

std::string reproduced_junit(std::span<const DocumentResult> documents) {
  std::string text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"attn reproduce\">\n";
  for (const DocumentResult& document : documents) {
    const auto errors = std::ranges::count(document.blocks, Verdict::does_not_run, &BlockResult::verdict);
    const auto unexpected = std::ranges::count(document.blocks, false, &BlockResult::expected);
    double seconds = 0;
    for (const BlockResult& block : document.blocks) seconds += block.seconds;
    text += fmt::format("  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"0\" time=\"{:.3f}\">\n",
                        escaped(document.file), document.blocks.size(), unexpected - errors, errors, seconds);
    for (const BlockResult& block : document.blocks) text += case_of(document, block);
    text += "  </testsuite>\n";
  }
  return text + "</testsuites>\n";
}

}  // namespace attn::document

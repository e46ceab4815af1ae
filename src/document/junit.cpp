// Shows what became of documents as JUnit XML, which continuous integration reads.
#include "document/reproduce_report.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace attn::document {

namespace {

/// Text between tags or in quotes. Characters that XML 1.0 has no notation for become "?".
std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    const bool allowed = static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t';
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\n':
        result += "&#10;";
        break;
      default:
        result += allowed ? c : '?';
    }
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

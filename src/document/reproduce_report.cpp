// Shows what became of documents as text and as JSON.
#include "document/reproduce_report.hpp"

#include "base/counted.hpp"
#include "base/json_number.hpp"

#include <algorithm>
#include <array>
#include <filesystem>

#include <fmt/format.h>

namespace attn::document {

namespace {
constexpr std::size_t most_shown = 6;  ///< differences shown for each command
constexpr std::array<Verdict, 4> verdicts{Verdict::holds, Verdict::differs_as_expected, Verdict::differs, Verdict::does_not_run};

/// The command on one line: here-documents are cut at their announcement.
std::string one_line(const std::string& command) {
  const std::size_t end = command.find('\n');
  const bool more = end != std::string::npos && end + 1 < command.size();
  return command.substr(0, end) + (more ? " ..." : "");
}

std::string place(const DocumentResult& document, std::size_t line) { return fmt::format("{}:{}", document.file, line); }

std::size_t count(const DocumentResult& document, Verdict verdict) {
  return static_cast<std::size_t>(
      std::ranges::count(document.blocks, verdict, [](const BlockResult& block) { return block.verdict; }));
}

std::size_t numbers_in(const DocumentResult& document) {
  std::size_t numbers = 0;
  for (const BlockResult& block : document.blocks)
    for (const CommandResult& command : block.commands) numbers += command.comparison.numbers;
  return numbers;
}

std::string one_side(const std::string& text, const char* nothing) { return text.empty() ? nothing : text; }

/// What differs in one command, and why.
std::string details_of(const CommandResult& command) {
  std::string text;
  if (!command.problem.empty()) return fmt::format("    line {}: {}\n", command.printed->line, command.problem);
  const std::vector<Difference>& differences = command.comparison.differences;
  for (std::size_t i = 0; i < std::min(differences.size(), most_shown); ++i)
    text += fmt::format("    line {}: printed {}, now {}\n", command.printed->output_at + differences[i].line,
                        one_side(differences[i].printed, "nothing"), one_side(differences[i].now, "nothing"));
  if (differences.size() > most_shown) text += fmt::format("    and {} more\n", differences.size() - most_shown);
  if (!command.explanation.empty()) text += fmt::format("    attn identify: {}\n", command.explanation);
  return text;
}

std::string block_text(const DocumentResult& document, const BlockResult& result) {
  std::string first = result.block->commands.empty() ? std::string() : one_line(result.block->commands.front().command);
  std::string text = fmt::format("{:<20} {}  {}\n", name_of(result.verdict), place(document, result.block->line), first);
  if (result.verdict == Verdict::holds && result.block->must_differ)
    text += "    it is marked as a claim that differs, and holds\n";
  if (result.verdict == Verdict::differs_as_expected && !result.block->reason.empty())
    text += fmt::format("    {}\n", result.block->reason);
  for (const CommandResult& command : result.commands) text += details_of(command);
  return text;
}

/// The name without its folder, and the title where there is one.
std::string title_of(const DocumentResult& document) {
  const std::string name = std::filesystem::path(document.file).filename().string();
  return document.document.title.empty() ? name : fmt::format("{}: {}", name, document.document.title);
}

/// A row for each document and one for all of them.
std::string table_of(std::span<const DocumentResult> documents) {
  std::string text =
      fmt::format("\n{:>7} {:>7} {:>8} {:>8} {:>9}  {}\n", "holds", "differs", "differs", "does not", "numbers", "");
  text += fmt::format("{:>7} {:>7} {:>8} {:>8} {:>9}  {}\n", "", "as told", "", "run", "compared", "document");
  std::array<std::size_t, 5> sums{};
  const auto row = [&](const std::array<std::size_t, 5>& cells, const std::string& name) {
    text += fmt::format("{:>7} {:>7} {:>8} {:>8} {:>9}  {}\n", cells[0], cells[1], cells[2], cells[3], cells[4], name);
  };
  for (const DocumentResult& document : documents) {
    std::array<std::size_t, 5> cells{};
    for (std::size_t i = 0; i < verdicts.size(); ++i) cells[i] = count(document, verdicts[i]);
    cells[4] = numbers_in(document);
    for (std::size_t i = 0; i < cells.size(); ++i) sums[i] += cells[i];
    std::string name = title_of(document);
    if (document.left_out > 0)
      name += fmt::format(" ({} left out: a shell is needed)", counted(document.left_out, "block", "blocks"));
    row(cells, name);
  }
  if (documents.size() > 1) row(sums, "all");
  return text;
}

Json difference_json(const Difference& difference) {
  return {{"line", difference.line}, {"printed", difference.printed}, {"now", difference.now}};
}

Json command_json(const CommandResult& command) {
  Json differences = Json::array();
  for (const Difference& difference : command.comparison.differences) differences.push_back(difference_json(difference));
  const auto text = [](const std::string& s) { return s.empty() ? Json(nullptr) : Json(s); };
  return {{"command", command.printed->command},     {"line", command.printed->line},
          {"numbers", command.comparison.numbers},   {"largest_difference", json_number(command.comparison.largest)},
          {"differences", std::move(differences)},   {"problem", text(command.problem)},
          {"explanation", text(command.explanation)}};
}

Json block_json(const BlockResult& result) {
  Json commands = Json::array();
  for (const CommandResult& command : result.commands) commands.push_back(command_json(command));
  return {{"line", result.block->line},    {"verdict", std::string(name_of(result.verdict))},
          {"expected", result.expected()}, {"reason", result.block->reason},
          {"seconds", result.seconds},     {"commands", std::move(commands)}};
}

std::string dumped(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

std::string_view mark_of(const Block& block) {
  if (block.must_differ) return "differs";
  return block.needs_shell ? "needs a shell" : "";
}

}  // namespace

std::string listed_text(std::span<const DocumentResult> documents) {
  std::string text;
  for (const DocumentResult& document : documents)
    for (const Block& block : document.document.blocks)
      for (const Printed& printed : block.commands)
        text += fmt::format("{:<14} {}  {}\n", mark_of(block), place(document, printed.line), one_line(printed.command));
  return text;
}

std::string listed_json(std::span<const DocumentResult> documents) {
  Json all = Json::array();
  for (const DocumentResult& document : documents) {
    Json blocks = Json::array();
    for (const Block& block : document.document.blocks) {
      Json commands = Json::array();
      for (const Printed& printed : block.commands)
        commands.push_back({{"line", printed.line}, {"command", printed.command}, {"printed", printed.output}});
      blocks.push_back({{"line", block.line},
                        {"must_differ", block.must_differ},
                        {"needs_shell", block.needs_shell},
                        {"reason", block.reason},
                        {"commands", std::move(commands)}});
    }
    all.push_back({{"file", document.file}, {"title", document.document.title}, {"blocks", std::move(blocks)}});
  }
  return dumped({{"documents", std::move(all)}});
}

std::string reproduced_text(std::span<const DocumentResult> documents) {
  std::string text;
  for (const DocumentResult& document : documents)
    for (const BlockResult& block : document.blocks) text += block_text(document, block);
  return text + table_of(documents);
}

std::string reproduced_json(std::span<const DocumentResult> documents) {
  Json all = Json::array();
  for (const DocumentResult& document : documents) {
    Json blocks = Json::array();
    for (const BlockResult& block : document.blocks) blocks.push_back(block_json(block));
    Json counts;
    for (const Verdict verdict : verdicts) counts[std::string(name_of(verdict))] = count(document, verdict);
    all.push_back({{"file", document.file},
                   {"title", document.document.title},
                   {"verdicts", std::move(counts)},
                   {"left_out", document.left_out},
                   {"blocks", std::move(blocks)}});
  }
  return dumped({{"as_expected", all_expected(documents)}, {"documents", std::move(all)}});
}

bool all_expected(std::span<const DocumentResult> documents) {
  return std::ranges::all_of(
      documents, [](const DocumentResult& document) { return std::ranges::all_of(document.blocks, &BlockResult::expected); });
}

}  // namespace attn::document

// Turns a command and what a document prints for it into a question for attn identify.
#include "document/explain_claim.hpp"

#include "base/counted.hpp"
#include "document/markdown.hpp"
#include "document/printed.hpp"

#include <attn/error.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace attn::document {

namespace {

/// Half a unit of the last digit of the most coarsely printed number; nothing where the text is no matrix of numbers.
std::optional<double> precision_of(const std::string& printed) {
  double coarsest = 0;
  std::size_t columns = 0;
  for (const std::string& line : lines_of(printed)) {
    std::size_t cells = 0;
    for (std::size_t at = 0; at <= line.size(); ++cells) {
      const std::size_t end = std::min(line.find(',', at), line.size());
      try {
        coarsest = std::max(coarsest, half_unit(std::string_view(line).substr(at, end - at)));
      } catch (const Error&) {
        return std::nullopt;
      }
      at = end + 1;
    }
    if (columns != 0 && cells != columns) return std::nullopt;
    columns = cells;
  }
  return columns == 0 ? std::nullopt : std::optional(coarsest);
}

/// The commands that compute attention as attn run does; the first three are its scores.
std::optional<std::vector<std::string>> question_of(const CommandLine& line) {
  if (line.size() != 1 || line.front().size() != 1) return std::nullopt;
  const Stage& stage = line.front().front();
  if (stage.words.size() < 2 || stage.output_file) return std::nullopt;
  const std::string& command = stage.words[1];
  constexpr std::array<std::string_view, 5> known{"cosine", "dot", "scaled", "run", "multihead"};
  const auto found = std::ranges::find(known, command);
  if (found == known.end()) return std::nullopt;
  std::vector<std::string> question{stage.words.front(), "identify"};
  if (found - known.begin() < 3) {
    question.emplace_back("--score");
    question.push_back(command);
  }
  // attn identify takes the options that name outputs, and they have no effect. What is printed is the weights where they go to
  // the standard output.
  std::string claim = "--claim";
  for (std::size_t i = 2; i < stage.words.size(); ++i) {
    const std::string& word = stage.words[i];
    if (word == "--to" || word == "--scores" || word == "--lse" || word == "--combine") return std::nullopt;
    const bool named = word == "-o" || word == "--output" || word == "--weights";
    const std::string value = named && i + 1 < stage.words.size() ? stage.words[i + 1] : std::string();
    if (word == "--weights" && value == "-") claim = "--claim-weights";
    question.push_back(word);
  }
  question.push_back(claim);
  return question;
}

}  // namespace

std::string explain_claim(const CommandLine& line, const std::string& printed, const std::filesystem::path& work,
                          const Surroundings& surroundings) {
  const std::optional<double> precision = precision_of(printed);
  std::optional<std::vector<std::string>> question = question_of(line);
  if (!precision || !question) return {};
  const std::filesystem::path claim = surroundings.scratch / "claim.csv";
  write_text(claim, printed);
  question->push_back(claim.string());
  for (const char* word : {"--to", "json", "--quiet", "--budget"}) question->emplace_back(word);
  question->push_back(fmt::format("{}", *precision));
  Stage stage = line.front().front();
  stage.words = std::move(*question);
  const Ending ending = run_command_line({{stage}}, work, surroundings);
  if (!ending.ran || ending.status != 0) return {};
  const auto answer = nlohmann::json::parse(ending.output, nullptr, false);
  if (!answer.is_object() || !answer.contains("best") || !answer["best"].is_object()) return {};
  // What is printed with few digits may fit many conventions; one of them would be a guess.
  const auto& equals = answer.value("indistinguishable", nlohmann::json::array());
  std::string sentence = answer["best"].value("sentence", std::string());
  if (equals.empty()) return sentence;
  return fmt::format("{} (these digits do not tell that from {})", sentence,
                     counted(equals.size(), "other convention", "other conventions"));
}

}  // namespace attn::document

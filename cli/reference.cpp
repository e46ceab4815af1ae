// The reference of all commands as Markdown, and the texts it shares with the man pages.
#include "cli/reference.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace attn::cli {

namespace {

/// Text that Markdown must not read as markup.
std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '*' || c == '_' || c == '<' || c == '|' || c == '[' || c == ']') result += '\\';
    result += c;
  }
  return result;
}

std::string heading(const Option& option) {
  const std::string value = option.metavar.empty() ? "" : " " + option.metavar;
  if (option.positional) return fmt::format("`{}`", option.name);
  if (option.letter == 0) return fmt::format("`--{}{}`", option.name, value);
  return fmt::format("`-{}`, `--{}{}`", option.letter, option.name, value);
}

std::string section(const Command& command) {
  const CommandInfo& info = command.info;
  const std::vector<Option> options = command.options();
  std::string text = fmt::format("\n## attn {}\n\n{}\n\n    {}\n", info.name, escaped(info.summary), info.usage);
  if (!info.description.empty()) text += fmt::format("\n{}\n", escaped(info.description));
  text += fmt::format("\nExample:\n\n    {}\n", info.example);
  for (const std::string& group : option_groups(options)) {
    text += fmt::format("\n### {} of attn {}\n\n", group, info.name);
    for (const Option& option : options) {
      if (option.group == group) text += fmt::format("- {}: {}\n", heading(option), escaped(option_text(option)));
    }
  }
  return text;
}

}  // namespace

const std::vector<std::pair<int, std::string>>& exit_statuses() {
  static const std::vector<std::pair<int, std::string>> list{
      {static_cast<int>(Status::ok), "done"},
      {static_cast<int>(Status::differs), "a comparison found a difference"},
      {static_cast<int>(Status::usage), "wrong usage"},
      {static_cast<int>(Status::data), "unusable input data"},
      {static_cast<int>(Status::io), "could not read or write"},
      {static_cast<int>(Status::memory), "more memory than allowed or to be had"},
      {static_cast<int>(Status::defect), "a defect of attn itself"},
      {static_cast<int>(Status::interrupted), "interrupted"},
  };
  return list;
}

const std::vector<std::string>& file_rules() {
  static const std::vector<std::string> list{
      "A file is a path, or - for standard input or output. What stands after a colon selects: an array of an NPZ or safetensors "
      "file "
      "(case.npz:Q), or columns of a CSV or TSV file by name or number from 1 (train.csv:digit, train.csv:p0..p63, "
      "x.csv:1..3,7). A "
      "path that exists as written is that path.",
      "The extension says the format: .csv, .tsv, .npy, .npz, .safetensors. Standard input is looked at: NPY, NPZ, else CSV. The "
      "separator and the header row of a CSV file are found by themselves.",
      "Shapes are [length, dim], [batch, length, dim] or [batch, heads, length, dim]. Indices in outputs count from 0. Numbers "
      "in CSV "
      "output are the shortest text that reads back to the same number. An output file is complete or absent.",
  };
  return list;
}

std::string option_text(const Option& option) {
  std::string text = option.help;
  if (!option.choices.empty()) text += fmt::format(": {}", fmt::join(option.choices, ", "));
  text += ".";
  if (!option.details.empty()) text += " " + option.details;
  if (!option.fallback.empty() && !option.positional) text += fmt::format(" Default: {}.", option.fallback);
  return text;
}

std::vector<std::string> option_groups(const std::vector<Option>& options) {
  std::vector<std::string> groups;
  for (const Option& option : options) {
    if (std::ranges::find(groups, option.group) == groups.end()) groups.push_back(option.group);
  }
  return groups;
}

std::string reference_markdown() {
  std::string text =
      "# Reference\n\nMade by `attn man --markdown` from the tables of options; a test holds this file and the program "
      "together.\n\n"
      "## Files\n";
  for (const std::string& rule : file_rules()) text += "\n" + escaped(rule) + "\n";
  text += "\n## Exit status\n\n";
  for (const auto& [status, meaning] : exit_statuses()) text += fmt::format("- `{}`: {}\n", status, meaning);
  for (const Command& command : commands()) text += section(command);
  return text;
}

}  // namespace attn::cli

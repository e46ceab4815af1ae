// Help texts, made from the option table.
#include "cli/command.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace attn::cli {

namespace {

constexpr std::size_t kIndent = 30;
constexpr std::size_t kWidth = 100;

/// "-q, --query F" or "    --causal" or "X".
std::string heading(const Option& option) {
  std::string text = option.positional    ? option.name
                     : option.letter != 0 ? fmt::format("-{}, --{}", option.letter, option.name)
                                          : fmt::format("    --{}", option.name);
  if (!option.positional && !option.metavar.empty()) text += " " + option.metavar;
  return text;
}

std::string sentence(const Option& option) {
  std::string text = option.help;
  if (!option.choices.empty()) text += fmt::format(": {}", fmt::join(option.choices, ", "));
  if (!option.fallback.empty() && !option.positional) text += fmt::format(" [{}]", option.fallback);
  return text;
}

/// Breaks `text` into lines of at most `width` columns; the first line starts after `heading`.
std::string wrapped(std::string text, std::size_t indent, std::size_t width) {
  std::string lines;
  while (text.size() > width) {
    std::size_t at = text.rfind(' ', width);
    if (at == std::string::npos || at == 0) at = text.find(' ');
    if (at == std::string::npos) break;
    lines += text.substr(0, at) + "\n" + std::string(indent, ' ');
    text.erase(0, at + 1);
  }
  return lines + text + "\n";
}

}  // namespace

std::string help_text(const CommandInfo& info, const std::vector<Option>& options) {
  std::string text = fmt::format("attn {} - {}\n\nUsage: {}\n", info.name, info.summary, info.usage);
  if (!info.description.empty()) text += "\n" + wrapped(info.description, 0, kWidth);
  std::vector<std::string> groups;
  for (const Option& option : options) {
    if (std::ranges::find(groups, option.group) == groups.end()) groups.push_back(option.group);
  }
  for (const std::string& group : groups) {
    text += fmt::format("\n{}:\n", group);
    for (const Option& option : options) {
      if (option.group != group) continue;
      std::string head = "  " + heading(option);
      head += head.size() + 2 > kIndent ? "\n" + std::string(kIndent, ' ') : std::string(kIndent - head.size(), ' ');
      text += head + wrapped(sentence(option), kIndent, kWidth - kIndent);
    }
  }
  return text + fmt::format("\nExample: {}\n", info.example);
}

}  // namespace attn::cli

// The difference of two texts: common lines at both ends are dropped, the middle is shown.
#include "tools/text_diff.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <span>
#include <vector>

namespace attn::testing {

namespace {

constexpr std::size_t longest_line = 200;

/// The lines with their newlines, so that a missing last one makes a difference.
std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t newline = text.find('\n', begin);
    const std::size_t end = newline == std::string::npos ? text.size() : newline + 1;
    lines.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  return lines;
}

std::string printable(const std::string& line) {
  std::string result;
  for (const char byte : line.substr(0, longest_line)) {
    const auto code = static_cast<unsigned char>(byte);
    if (byte == '\n') continue;
    if (code >= 0x20 && code != 0x7F) {  // bytes of UTF-8 pass
      result += byte;
      continue;
    }
    std::array<char, 8> escape{};
    std::snprintf(escape.data(), escape.size(), "\\x%02X", static_cast<unsigned>(code));
    result += escape.data();
  }
  if (line.size() > longest_line) result += " ... (" + std::to_string(line.size()) + " bytes)";
  if (line.empty() || line.back() != '\n') result += "   (no newline at the end)";
  return result;
}

void append(std::string& result, char sign, std::span<const std::string> lines, std::size_t first, std::size_t limit) {
  const std::size_t shown = std::min(lines.size(), limit);
  for (std::size_t i = 0; i < shown; ++i)
    result += std::string("    ") + sign + std::to_string(first + i + 1) + ": " + printable(lines[i]) + "\n";
  if (lines.size() > shown)
    result += std::string("    ") + sign + "... " + std::to_string(lines.size() - shown) + " more lines\n";
}

}  // namespace

std::string text_diff(const std::string& expected, const std::string& actual, int limit) {
  if (expected == actual) return {};
  const std::vector<std::string> old_lines = split(expected);
  const std::vector<std::string> new_lines = split(actual);
  const std::size_t shorter = std::min(old_lines.size(), new_lines.size());
  std::size_t head = 0;
  while (head < shorter && old_lines[head] == new_lines[head]) ++head;
  std::size_t tail = 0;
  while (tail < shorter - head && old_lines[old_lines.size() - 1 - tail] == new_lines[new_lines.size() - 1 - tail]) ++tail;

  std::string result;
  const auto most = static_cast<std::size_t>(limit);
  append(result, '-', std::span(old_lines).subspan(head, old_lines.size() - head - tail), head, most);
  append(result, '+', std::span(new_lines).subspan(head, new_lines.size() - head - tail), head, most);
  return result;
}

}  // namespace attn::testing

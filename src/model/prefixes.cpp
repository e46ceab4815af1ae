// The prefixes of a file of parameters.
#include "model/prefixes.hpp"

#include "base/nearest.hpp"
#include "io/array_names.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace attn::model {

bool natural_less(std::string_view a, std::string_view b) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < a.size() && j < b.size()) {
    if (!is_digit(a[i]) || !is_digit(b[j])) {
      if (a[i] != b[j]) return a[i] < b[j];
      ++i, ++j;
      continue;
    }
    const auto number = [&](std::string_view text, std::size_t& at) {
      while (at + 1 < text.size() && text[at] == '0' && is_digit(text[at + 1])) ++at;
      const std::size_t first = at;
      while (at < text.size() && is_digit(text[at])) ++at;
      return text.substr(first, at - first);
    };
    const std::string_view m = number(a, i);
    const std::string_view n = number(b, j);
    if (m.size() != n.size()) return m.size() < n.size();
    if (m != n) return m < n;
  }
  return a.size() - i < b.size() - j;
}

std::string quoted_prefix(const std::string& prefix) { return "'" + shown_name(prefix) + "'"; }

std::string where_else(const ParameterFile& file, const std::string& prefix, const std::vector<std::string>& others) {
  if (others.empty()) {
    std::vector<std::string> names;
    constexpr std::size_t listed = 8;
    for (const ArrayEntry& entry : file.entries()) {
      if (names.size() < listed) names.push_back(shown_name(entry.name));
    }
    const std::size_t more = file.entries().size() - names.size();
    return fmt::format("; no other prefix has any ({} tensors: {}{})", file.entries().size(), fmt::join(names, ", "),
                       more == 0 ? "" : fmt::format(" and {} more", more));
  }
  // A prefix that stops early or begins late is nearer than one that is spelled differently.
  const auto extends = std::ranges::find_if(
      others, [&](const std::string& p) { return !prefix.empty() && (p.starts_with(prefix) || p.ends_with(prefix)); });
  std::string near = extends == others.end() ? nearest(prefix, others) : *extends;
  if (near.empty()) near = others.front();
  std::string text = fmt::format("; the nearest prefix that has them is {}", quoted_prefix(near));
  if (others.size() > 1) text += fmt::format(", one of {}", others.size());
  return text;
}

}  // namespace attn::model

// Compares printed text with numbers in it.
#include "document/printed.hpp"

#include <attn/error.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <span>

#include <fast_float/fast_float.h>
#include <fmt/format.h>

namespace attn::document {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) != 0; }

/// Length of the number that begins at `at`, with its sign; 0 when none does.
std::size_t number_length(std::string_view line, std::size_t at) {
  const char before = at == 0 ? ' ' : line[at - 1];
  if (is_word(before)) return 0;
  std::size_t i = at;
  const auto digits = [&] {
    const std::size_t first = i;
    while (i < line.size() && is_digit(line[i])) ++i;
    return i - first;
  };
  if (i < line.size() && (line[i] == '-' || line[i] == '+')) ++i;
  std::size_t count = digits();
  if (i < line.size() && line[i] == '.' && (count > 0 || before != '.')) {
    ++i;
    const std::size_t fraction = digits();
    if (count + fraction == 0) return 0;
    // A full stop at the end of a sentence belongs to the sentence; "1." of NumPy is a number all the same.
    count += fraction;
  }
  if (count == 0) return 0;
  if (i < line.size() && (line[i] == 'e' || line[i] == 'E')) {
    const std::size_t mantissa = i++;
    if (i < line.size() && (line[i] == '-' || line[i] == '+')) ++i;
    if (digits() == 0) i = mantissa;
  }
  return i < line.size() && is_word(line[i]) ? 0 : i - at;
}

struct Token {
  std::string_view text;
  bool number = false;
};

/// Numbers, words and single signs; blanks become one token " ", and none at the ends.
std::vector<Token> tokens_of(std::string_view line) {
  std::vector<Token> tokens;
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!line.empty() && blank(line.back())) line.remove_suffix(1);
  std::size_t i = 0;
  while (i < line.size() && blank(line[i])) ++i;
  while (i < line.size()) {
    std::size_t length = number_length(line, i);
    const bool number = length > 0;
    if (blank(line[i])) {
      while (blank(line[i])) ++i;
      tokens.push_back({" ", false});
      continue;
    }
    if (!number) {
      length = 1;
      while (is_word(line[i]) && i + length < line.size() && is_word(line[i + length])) ++length;
    }
    tokens.push_back({line.substr(i, length), number});
    i += length;
  }
  return tokens;
}

/// NaN for what is no number; infinite beyond the range of double.
double value_of(std::string_view number) {
  if (number.starts_with('+')) number.remove_prefix(1);
  double value = std::numeric_limits<double>::quiet_NaN();
  const char* end = number.data() + number.size();
  const auto read = fast_float::from_chars(number.data(), end, value);
  return read.ec == std::errc{} && read.ptr == end ? value : std::numeric_limits<double>::quiet_NaN();
}

/// Whether a number agrees with a printed one. What the conversion to double rounds off is allowed for. Numbers that double
/// cannot hold agree as text.
bool agrees(std::string_view printed, std::string_view now, double& distance) {
  const double a = value_of(printed);
  const double b = value_of(now);
  distance = std::abs(a - b);
  if (printed == now) return true;
  if (!std::isfinite(a) || !std::isfinite(b)) return false;
  const double unit = half_unit(printed);
  const double slack = 4 * std::numeric_limits<double>::epsilon() * std::max(std::abs(a), std::abs(b));
  return std::isfinite(unit) && distance <= unit + slack;
}

/// The differences of one pair of lines, appended; false when there are any. Text that differs makes the whole line differ.
bool compare_lines(std::string_view printed, std::string_view now, std::size_t line, PrintedComparison& result) {
  const std::vector<Token> a = tokens_of(printed);
  const std::vector<Token> b = tokens_of(now);
  const bool same_text = a.size() == b.size() && std::ranges::equal(a, b, [](const Token& x, const Token& y) {
                           return x.number == y.number && (x.number || x.text == y.text);
                         });
  if (!same_text) {
    result.differences.push_back({line, std::string(printed), std::string(now)});
    result.largest = std::numeric_limits<double>::infinity();
    return false;
  }
  bool same = true;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!a[i].number) continue;
    ++result.numbers;
    double distance = 0;
    if (agrees(a[i].text, b[i].text, distance)) continue;
    same = false;
    result.differences.push_back({line, std::string(a[i].text), std::string(b[i].text)});
    result.largest = std::max(result.largest, std::isnan(distance) ? std::numeric_limits<double>::infinity() : distance);
  }
  return same;
}

std::vector<std::string_view> lines_in(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  }
  return lines;
}

/// Where the printed lines up to the next `...` are found in `now`: at the first place where they agree, or at its beginning.
std::size_t find_part(std::span<const std::string_view> part, std::span<const std::string_view> now, bool at_end) {
  if (part.size() > now.size()) return 0;
  const std::size_t last = now.size() - part.size();
  for (std::size_t at = at_end ? last : 0; at <= last; ++at) {
    PrintedComparison tried;
    bool same = true;
    for (std::size_t i = 0; i < part.size() && same; ++i) same = compare_lines(part[i], now[at + i], i, tried);
    if (same) return at;
  }
  return 0;
}

}  // namespace

double half_unit(std::string_view number) {
  const std::size_t exponent_at = number.find_first_of("eE");
  const std::string_view mantissa = number.substr(0, exponent_at);
  const std::size_t point = mantissa.find('.');
  int power = point == std::string_view::npos ? 0 : -static_cast<int>(mantissa.size() - point - 1);
  if (exponent_at != std::string_view::npos) {
    std::string_view digits = number.substr(exponent_at + 1);
    if (digits.starts_with('+')) digits.remove_prefix(1);
    int exponent = 0;
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), exponent);
    if (read.ec != std::errc{}) throw Error(Status::usage, fmt::format("{} is no number", number));
    power += exponent;
  }
  if (!std::isfinite(value_of(number))) throw Error(Status::usage, fmt::format("{} is no number", number));
  // Read from decimal text, so that it is the double nearest to the power of ten.
  return 0.5 * value_of(fmt::format("1e{}", power));
}

PrintedComparison compare_printed(std::string_view printed, std::string_view now) {
  PrintedComparison result;
  const std::vector<std::string_view> a = lines_in(printed);
  const std::vector<std::string_view> b = lines_in(now);
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < a.size()) {
    if (a[i] == "...") {
      const std::size_t first = ++i;
      std::size_t end = first;
      while (end < a.size() && a[end] != "...") ++end;
      const std::span<const std::string_view> part(a.data() + first, end - first);
      const std::span<const std::string_view> rest(b.data() + j, b.size() - j);
      j += end == a.size() && part.empty() ? rest.size() : find_part(part, rest, end == a.size());
      continue;
    }
    if (j < b.size()) {
      compare_lines(a[i], b[j], i + 1, result);
      ++j;
    } else {
      result.differences.push_back({i + 1, std::string(a[i]), {}});
      result.largest = std::numeric_limits<double>::infinity();
    }
    ++i;
  }
  for (; j < b.size(); ++j) {
    result.differences.push_back({a.size() + 1, {}, std::string(b[j])});
    result.largest = std::numeric_limits<double>::infinity();
  }
  return result;
}

}  // namespace attn::document

// The syntax of a number in a text file, and its one rounding from decimal text to float32 or float64.
#include "io/text_number.hpp"

#include "io/text.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <limits>

#include <fast_float/fast_float.h>

namespace attn {

namespace {

bool equals_ignoring_case(std::string_view a, std::string_view lower) noexcept {
  return std::equal(a.begin(), a.end(), lower.begin(), lower.end(),
                    [](char x, char y) { return std::tolower(static_cast<unsigned char>(x)) == y; });
}

bool is_missing_mark(std::string_view text) noexcept {
  constexpr std::array<std::string_view, 8> marks = {"na", "n/a", "#n/a", "<na>", "null", "none", "#null!", "nil"};
  return text.empty() || std::any_of(marks.begin(), marks.end(), [&](auto mark) { return equals_ignoring_case(text, mark); });
}

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/// The significand of a hexadecimal float: 64 bits of it, the last of which is set when bits behind it are.
struct HexDigits {
  std::uint64_t significand = 0;
  std::int64_t exponent = 0;  ///< of two
  bool any = false;
};

HexDigits read_hex_digits(std::string_view& text, char decimal) noexcept {
  HexDigits result;
  bool behind_point = false;
  while (!text.empty()) {
    if (text.front() == decimal && !behind_point) {
      behind_point = true;
    } else {
      const int digit = hex_digit(text.front());
      if (digit < 0) break;
      result.any = true;
      if (result.significand >> 60U == 0) {
        result.significand = result.significand << 4U | static_cast<unsigned>(digit);
        if (behind_point) result.exponent -= 4;
      } else {
        result.significand |= digit != 0 ? 1U : 0U;
        if (!behind_point) result.exponent += 4;
      }
    }
    text.remove_prefix(1);
  }
  return result;
}

/// A binary exponent "p-12", if there is one; false when the text is malformed.
bool read_binary_exponent(std::string_view text, std::int64_t& exponent) noexcept {
  if (text.empty()) return true;
  if (text.front() != 'p' && text.front() != 'P') return false;
  text.remove_prefix(1);
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (text.empty()) return false;
  std::int64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    value = std::min<std::int64_t>(10 * value + (c - '0'), std::int64_t{1} << 40U);
  }
  exponent += negative ? -value : value;
  return true;
}

/// `text` stands behind the sign and "0x".
template <class T>
NumberText read_hex(std::string_view text, char decimal, bool negative, T& value) noexcept {
  HexDigits digits = read_hex_digits(text, decimal);
  if (!digits.any || !read_binary_exponent(text, digits.exponent)) return NumberText::other;
  // Exact so far: 64 bits fit into a long double, and its exponents reach beyond those of T. The conversion to T is the one
  // rounding.
  static_assert(std::numeric_limits<long double>::digits >= 64 && std::numeric_limits<long double>::max_exponent >= 16384);
  const auto exponent = static_cast<int>(std::clamp<std::int64_t>(digits.exponent, -16000, 16000));
  const T magnitude = static_cast<T>(std::ldexp(static_cast<long double>(digits.significand), exponent));
  if (!(magnitude <= std::numeric_limits<T>::max())) return NumberText::out_of_range;
  value = negative ? -magnitude : magnitude;
  return NumberText::number;
}

}  // namespace

template <class T>
NumberText read_number(std::string_view text, char decimal, T& value) noexcept {
  text = trimmed(text);
  if (is_missing_mark(text)) return NumberText::missing;
  std::string_view magnitude = text;
  const bool negative = text.front() == '-';
  if (negative || text.front() == '+') magnitude.remove_prefix(1);
  if (magnitude.empty() || magnitude.front() == '-' || magnitude.front() == '+') return NumberText::other;
  if (magnitude.starts_with("0x") || magnitude.starts_with("0X")) return read_hex(magnitude.substr(2), decimal, negative, value);

  T result{};
  const char* const end = magnitude.data() + magnitude.size();
  const auto [ptr, ec] = fast_float::from_chars_advanced(magnitude.data(), end, result,
                                                         fast_float::parse_options(fast_float::chars_format::general, decimal));
  if (ptr != end) return NumberText::other;
  if (ec == std::errc::result_out_of_range && std::abs(result) < T{1}) {
    // What is too small is a value near zero, not an error.
  } else if (ec != std::errc()) {
    return ec == std::errc::result_out_of_range ? NumberText::out_of_range : NumberText::other;
  }
  const bool spelt = std::isalpha(static_cast<unsigned char>(magnitude.front())) != 0;  // nan, inf
  if (std::isinf(result) && !spelt) return NumberText::out_of_range;
  value = negative ? -result : result;
  return NumberText::number;
}

template NumberText read_number<float>(std::string_view, char, float&) noexcept;
template NumberText read_number<double>(std::string_view, char, double&) noexcept;

}  // namespace attn

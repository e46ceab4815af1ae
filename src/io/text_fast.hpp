// The quick way to read a number of the usual form, exactly or not at all.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

namespace attn {

/// Up to eight decimal digits at the beginning of some text.
struct DigitRun {
  std::uint64_t value;
  unsigned count;
};

/// Reads eight bytes at `text`, all at once and without a branch, because the lengths of numbers in files are hard to predict.
inline DigitRun read_digits(const char* text) noexcept {
  std::uint64_t bytes = 0;
  std::memcpy(&bytes, text, sizeof bytes);
  if constexpr (std::endian::native == std::endian::big) bytes = __builtin_bswap64(bytes);
  const std::uint64_t digits = bytes ^ 0x3030303030303030U;  // bytes 0 to 9 are digits
  // The top bit of a byte is set by 10 and more. A carry comes only from a byte that is itself marked, and the first mark counts.
  const std::uint64_t marks = ((digits + 0x7676767676767676U) | digits) & 0x8080808080808080U;
  // The bit at the top makes the count 8 when there is no mark.
  const unsigned count = (static_cast<unsigned>(std::countr_zero(marks >> 7U | std::uint64_t{1} << 63U)) + 1U) / 8U;
  // The digits move to the end, with zeros before them, in two steps because a shift by 64 is none. Then pairs, fours and eights
  // are joined.
  const unsigned half_way = 32U - 4U * count;
  std::uint64_t value = digits << half_way << half_way;
  value = (value * 10U + (value >> 8U)) & 0x00FF00FF00FF00FFU;
  value = (value * 100U + (value >> 16U)) & 0x0000FFFF0000FFFFU;
  value = (value * 10'000U + (value >> 32U)) & 0x00000000FFFFFFFFU;
  return {value, count};
}

/// Bytes that must be readable behind the beginning of a number for read_common_number.
inline constexpr std::ptrdiff_t common_number_reach = 48;

/// Reads a number like "-12.345678e-3" from `text` and returns its end; nullptr when this quick way does not apply: other
/// spellings, eight digits or more before or 16 or more behind the decimal sign, values that would need more care to be rounded
/// correctly. What it returns is the value of type T nearest to the text.
template <class T>
inline const char* read_common_number(const char* text, char decimal, T& value) noexcept {
  static constexpr std::array<double, 23> powers = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  static constexpr std::array<std::uint64_t, 9> whole_powers = {1,       10,        100,        1000,       10'000,
                                                                100'000, 1'000'000, 10'000'000, 100'000'000};
  const bool negative = *text == '-';
  text += negative ? 1 : 0;
  const DigitRun whole = read_digits(text);
  if (whole.count == 8) return nullptr;
  text += whole.count;
  std::uint64_t significand = whole.value;
  unsigned digits = whole.count;
  int exponent = 0;
  if (*text == decimal) {
    ++text;
    const DigitRun first = read_digits(text);
    DigitRun second = read_digits(text + 8);
    const std::uint64_t goes_on = std::uint64_t{0} - first.count / 8U;  // all ones or zero
    second.value &= goes_on;
    second.count &= static_cast<unsigned>(goes_on);
    if (second.count == 8) return nullptr;
    significand = significand * whole_powers[first.count] + first.value;
    significand = significand * whole_powers[second.count] + second.value;  // 22 digits at most may wrap around: checked below
    const unsigned fraction = first.count + second.count;
    digits += fraction;
    text += fraction;
    exponent = -static_cast<int>(fraction);
  }
  if (digits == 0 || digits > 19) return nullptr;
  if ((static_cast<unsigned char>(*text) | 0x20U) == 'e') {
    ++text;
    const bool below = *text == '-';
    text += below || *text == '+' ? 1 : 0;
    const DigitRun power = read_digits(text);
    if (power.count == 0 || power.count > 3) return nullptr;
    text += power.count;
    exponent += below ? -static_cast<int>(power.value) : static_cast<int>(power.value);
  }
  // An integer and a power of ten that float64 holds exactly: their product or quotient is rounded once.
  if (significand > std::uint64_t{1} << 53U || exponent < -22 || exponent > 22) return nullptr;
  double result = static_cast<double>(significand);
  result =
      exponent < 0 ? result / powers[static_cast<std::size_t>(-exponent)] : result * powers[static_cast<std::size_t>(exponent)];
  if constexpr (std::is_same_v<T, float>) {
    // A second rounding, to float32, is right unless the first one landed in the middle between two floats. Then, and for results
    // that are subnormal or too large, another way is needed.
    if ((std::bit_cast<std::uint64_t>(result) & 0x1FFFFFFFU) == 0x10000000U) return nullptr;
    const bool normal = result >= static_cast<double>(std::numeric_limits<float>::min()) &&
                        result <= static_cast<double>(std::numeric_limits<float>::max());
    if (!normal && significand != 0) return nullptr;
  }
  value =
      static_cast<T>(std::bit_cast<double>(std::bit_cast<std::uint64_t>(result) | static_cast<std::uint64_t>(negative) << 63U));
  return text;
}

}  // namespace attn

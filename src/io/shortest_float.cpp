// The shortest decimal text of a float32, faster than the standard library writes it.
//
// The digits are found as in R. Giulietti, "The Schubfach way to render doubles" (2020-2022): a float v = c * 2^q stands for all
// reals between the middles to its two neighbours. For the power 10^k just below the width of that interval, the interval holds a
// multiple of 10^k, and at most one of 10^(k+1); the latter is shorter. All comparisons are exact, with the products rounded to
// odd.
#include "io/shortest.hpp"

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace attn {

namespace {

/// s * 10^exponent.
struct Decimal {
  std::uint32_t significand;
  int exponent;
};

constexpr int lowest_power = -31;
constexpr int highest_power = 45;

/// 256 bits, enough for every 10^j below and for 2^255 / 10^31.
class Wide {
 public:
  explicit constexpr Wide(unsigned bit) { limbs_[bit / 32] = std::uint32_t{1} << bit % 32; }

  constexpr void multiply_by_ten() {
    std::uint64_t carry = 0;
    for (std::uint32_t& limb : limbs_) {
      carry += std::uint64_t{limb} * 10;
      limb = static_cast<std::uint32_t>(carry);
      carry >>= 32U;
    }
  }
  constexpr void divide_by_ten() {
    std::uint64_t rest = 0;
    for (std::size_t i = limbs_.size(); i-- > 0;) {
      rest = rest << 32U | limbs_[i];
      limbs_[i] = static_cast<std::uint32_t>(rest / 10);
      rest %= 10;
    }
  }
  /// The 64 bits from the highest one that is set.
  [[nodiscard]] constexpr std::uint64_t leading_bits() const {
    int top = 255;
    while (!bit(top)) --top;
    std::uint64_t result = 0;
    for (int i = top; i > top - 64; --i) result = result << 1U | (i >= 0 && bit(i) ? 1U : 0U);
    return result;
  }

 private:
  [[nodiscard]] constexpr bool bit(int i) const {
    return (limbs_[static_cast<std::size_t>(i / 32)] >> static_cast<unsigned>(i % 32) & 1U) != 0;
  }
  std::array<std::uint32_t, 8> limbs_{};
};

/// 10^j scaled by a power of two to [2^63, 2^64), rounded down, plus 1.
constexpr auto powers_of_ten = [] {
  std::array<std::uint64_t, highest_power - lowest_power + 1> result{};
  Wide up(0);
  for (int j = 0; j <= highest_power; ++j) {
    result[static_cast<std::size_t>(j - lowest_power)] = up.leading_bits() + 1;
    up.multiply_by_ten();
  }
  Wide down(255);
  for (int j = -1; j >= lowest_power; --j) {
    down.divide_by_ten();
    result[static_cast<std::size_t>(j - lowest_power)] = down.leading_bits() + 1;
  }
  return result;
}();

// Floors of logarithms by multiplication, exact for the exponents of float32.
constexpr int log10_of_power_of_two(int q) { return (q * 1'262'611) >> 22; }
constexpr int log10_of_three_quarters_of_power_of_two(int q) { return (q * 1'262'611 - 524'031) >> 22; }
constexpr int log2_of_power_of_ten(int j) { return (j * 1'741'647) >> 19; }

/// 1 when a < b, else 0, for numbers less than 2^31 apart. A comparison would do, but the way g++ 12 puts truth values into a
/// part of a register makes each number wait for the one before.
constexpr std::uint32_t less(std::uint32_t a, std::uint32_t b) noexcept { return (a - b) >> 31U; }

/// floor(g * factor / 2^64), with the last bit set when the product has more behind it than the error of g.
inline std::uint32_t multiply_to_odd(std::uint64_t g, std::uint32_t factor) noexcept {
  __extension__ using Product = unsigned __int128;
  const Product product = static_cast<Product>(g) * factor;
  const auto fraction = static_cast<std::uint32_t>(static_cast<std::uint64_t>(product) >> 32U);
  return static_cast<std::uint32_t>(product >> 64U) | less(0, fraction / 2);
}

/// The multiple of a power of ten with fewest digits, and among those the nearest to the float, that reads back to it. `bits` are
/// those of a finite positive float.
inline Decimal shortest_decimal(std::uint32_t bits) noexcept {
  const std::uint32_t fraction = bits & 0x7FFFFFU;
  const std::uint32_t biased = bits >> 23U;
  const std::uint32_t normal = less(0, biased);
  const std::uint32_t c = fraction | normal << 23U;
  const int q = static_cast<int>(biased + (1 - normal)) - 150;
  const std::uint32_t narrow = less(fraction, 1) & less(1, biased);  // below a power of two the next float is half as far
  const std::uint32_t excluded = c & 1U;                             // the middles read back to the float when c is even

  const int k = narrow != 0 ? log10_of_three_quarters_of_power_of_two(q) : log10_of_power_of_two(q);
  const auto shift = static_cast<unsigned>(q + log2_of_power_of_ten(-k) + 1);
  const std::uint64_t g = powers_of_ten[static_cast<std::size_t>(-k - lowest_power)];
  // Quarters of 10^k: the float and both ends of its interval.
  const std::uint32_t value = multiply_to_odd(g, (4 * c) << shift);
  const std::uint32_t low = multiply_to_odd(g, (4 * c - 2 + narrow) << shift) + excluded;
  const std::uint32_t high = multiply_to_odd(g, (4 * c + 2) << shift) - excluded;

  // Which of the candidates it is changes from number to number: no branches, which could not be predicted.
  const std::uint32_t s = value / 4;
  const std::uint32_t tens = s / 10;
  const std::uint32_t tens_outside = less(40 * tens, low);
  const std::uint32_t more_tens_outside = less(high, 40 * tens + 40);
  const std::uint32_t outside = less(4 * s, low);
  const std::uint32_t more_outside = less(high, 4 * s + 4);
  const std::uint32_t nearer_to_more = less(4 * s + 2 - (s & 1U), value);  // in the middle the even one
  const std::uint32_t only_one = outside ^ more_outside;
  const std::uint32_t longer = s + ((only_one & outside) | (~only_one & nearer_to_more));
  const std::uint32_t shorter = tens + tens_outside;
  const std::uint32_t is_shorter = (tens_outside ^ more_tens_outside) & less(9, s);
  return {longer ^ ((longer ^ shorter) & (0U - is_shorter)), k + static_cast<int>(is_shorter)};
}

constexpr std::array<std::uint32_t, 10> small_powers_of_ten = {1,       10,        100,        1000,        10'000,
                                                               100'000, 1'000'000, 10'000'000, 100'000'000, 1'000'000'000};

/// Digits of a decimal, with where its point belongs: 0.ddddddddd * 10^point.
struct Digits {
  char first;
  std::uint64_t others;  ///< eight characters, the next in the lowest byte; '0' behind the last that counts
  int count;
  int point;
};

inline char* write(char* to, std::string_view text) noexcept { return to + text.copy(to, text.size()); }

inline void store(char* to, std::uint64_t characters) noexcept {
  if constexpr (std::endian::native == std::endian::big) characters = __builtin_bswap64(characters);
  std::memcpy(to, &characters, sizeof characters);
}

/// Eight decimal digits as bytes 0 to 9, the first in the lowest byte.
inline std::uint64_t eight_digits(std::uint32_t value) noexcept {
  const std::uint64_t fours = value / 10'000 | std::uint64_t{value % 10'000} << 32U;
  const std::uint64_t hundreds = (fours * 10'486U >> 20U) & 0x0000007F0000007FU;  // n / 100 for n < 10000
  const std::uint64_t twos = hundreds | (fours - hundreds * 100U) << 16U;
  const std::uint64_t tens = (twos * 103U >> 10U) & 0x000F000F000F000FU;  // n / 10 for n < 100
  return tens | (twos - tens * 10U) << 8U;
}

inline Digits digits_of(Decimal decimal) noexcept {
  // 1233 / 4096 is log10(2), well enough for numbers below 2^30.
  const auto bits = static_cast<unsigned>(std::bit_width(decimal.significand | 1U));
  const unsigned estimate = bits * 1233U >> 12U;
  const unsigned length = estimate + 1 - less(decimal.significand, small_powers_of_ten[estimate]);
  const std::uint32_t full = decimal.significand * small_powers_of_ten[9 - length];
  const std::uint64_t tail = eight_digits(full % 100'000'000);
  return {static_cast<char>('0' + full / 100'000'000), tail | 0x3030303030303030U, 9 - std::countl_zero(tail) / 8,
          static_cast<int>(length) + decimal.exponent};
}

char* write_scientific(char* to, const Digits& digits) noexcept {
  *to++ = digits.first;
  if (digits.count > 1) {
    *to++ = '.';
    store(to, digits.others);
    to += digits.count - 1;
  }
  int exponent = digits.point - 1;
  *to++ = 'e';
  *to++ = exponent < 0 ? '-' : '+';
  exponent = exponent < 0 ? -exponent : exponent;
  *to++ = static_cast<char>('0' + exponent / 10);
  *to++ = static_cast<char>('0' + exponent % 10);
  return to;
}

char* write_integer(char* to, std::uint64_t value) noexcept {
  char reversed[20];
  int count = 0;
  do {
    reversed[count++] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  while (count > 0) *to++ = reversed[--count];
  return to;
}

/// A finite float above zero.
char* write_positive(char* to, float value) noexcept {
  if (value < 100'000.0F && value == static_cast<float>(static_cast<std::uint32_t>(value)))
    return write_integer(to, static_cast<std::uint32_t>(value));
  const Digits digits = digits_of(shortest_decimal(std::bit_cast<std::uint32_t>(value)));
  // The shorter of 0.00123 and 1.23e-03, of 123000 and 1.23e+05; the first of equals.
  const int point_of_scientific = digits.count > 1 ? 1 : 0;
  if (digits.point >= digits.count) {
    if (digits.point - digits.count > 4 + point_of_scientific) return write_scientific(to, digits);
    return write_integer(to, static_cast<std::uint64_t>(value));  // with all its digits, which take no more room than zeros
  }
  if (-digits.point > 2 + point_of_scientific) return write_scientific(to, digits);
  if (digits.point > 1) {
    *to = digits.first;
    store(to + 1, digits.others);
    const auto behind = static_cast<unsigned>(digits.point - 1);
    to[digits.point] = '.';
    store(to + digits.point + 1, digits.others >> 8U * behind);
    return to + digits.count + 1;
  }
  // The usual case, without a branch: d.ddd or 0.000ddd, where the zeros are written first and the digits over them.
  write(to, "0.000000");
  const int zeros = 1 - digits.point;
  const int first = zeros == 0 ? 0 : zeros + 1;
  const int second = zeros + 2;
  to[first] = digits.first;
  store(to + second, digits.others);
  return to + second + digits.count - 1;
}

}  // namespace

char* write_shortest(char* to, float value) noexcept {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  if (magnitude > 0x7F800000U) {  // a sign or payload of NaN means nothing
    return write(to, "nan");
  }
  *to = '-';
  to += bits >> 31U;
  if (magnitude == 0x7F800000U) {
    return write(to, "inf");
  }
  if (magnitude == 0) {
    *to = '0';
    return to + 1;
  }
  return write_positive(to, std::bit_cast<float>(magnitude));
}

}  // namespace attn

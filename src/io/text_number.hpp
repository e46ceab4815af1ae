// The syntax of a number in a text file, and its one rounding from decimal text to float32 or float64.
#pragma once

#include <string_view>

namespace attn {

enum class NumberText {
  number,
  out_of_range,  ///< a number, but larger than the type holds
  missing,       ///< empty, or one of the usual marks for a missing value: NA, N/A, null, none, <NA>
  other,
};

/// Reads the whole of `text`; blanks and tabs at both ends do not matter. Accepted are an optional sign, decimal digits with an
/// optional `decimal` sign and exponent ("1", ".5", "5.", "-1.5e-3"), hexadecimal floats as C writes them ("0x1.8p3"), "nan",
/// "inf" and "infinity" in any case. The value is the one of type T nearest to the text, ties to even, rounded once; what is too
/// small for T becomes a subnormal number or zero. The locale plays no part. `value` is set for `number` only.
template <class T>
[[nodiscard]] NumberText read_number(std::string_view text, char decimal, T& value) noexcept;

extern template NumberText read_number<float>(std::string_view, char, float&) noexcept;
extern template NumberText read_number<double>(std::string_view, char, double&) noexcept;

}  // namespace attn

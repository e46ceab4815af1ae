// Numbers that the analyses share: infinity, the logit of a hidden pair, sums of products, and how reports spell a number.
#pragma once

#include <array>
#include <cstddef>
#include <limits>
#include <string>

#include <fmt/format.h>

namespace attn::analysis {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();
inline constexpr double kHidden = -kInfinity;  ///< the logit of a pair that a mask hides

/// Six digits, as reports print errors and sizes.
[[nodiscard]] inline std::string number(double x) { return fmt::format("{:.6g}", x); }

/// The sum of x[j] * y[j] as eight sums side by side: one chain would wait for itself.
[[nodiscard]] inline double dot(const double* x, const double* y, std::size_t n) {
  constexpr std::size_t parts = 8;
  std::array<double, parts> sums{};
  std::size_t j = 0;
  for (; j + parts <= n; j += parts) {
    for (std::size_t k = 0; k < parts; ++k) sums[k] += x[j + k] * y[j + k];
  }
  for (std::size_t k = 0; j + k < n; ++k) sums[k] += x[j + k] * y[j + k];
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

}  // namespace attn::analysis

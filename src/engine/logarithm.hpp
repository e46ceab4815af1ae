// A natural logarithm that is the same bits on every machine, which the C library's need not be.
#pragma once

#include <cmath>
#include <numbers>

namespace attn::engine {

/// ln(x) for finite x > 0, within two units in the last place; infinity stays infinity. ln(m * 2^e) = 2 artanh(s) + e ln 2 with
/// s = (m - 1) / (m + 1), |s| <= 0.172, whose series ends after twelve terms.
[[nodiscard]] inline double natural_log(double x) noexcept {
  if (std::isinf(x)) return x;
  int exponent = 0;
  double mantissa = std::frexp(x, &exponent);
  if (mantissa < std::numbers::sqrt2 / 2) {
    mantissa *= 2;
    --exponent;
  }
  const double s = (mantissa - 1) / (mantissa + 1);
  const double square = s * s;
  double sum = 0;
  for (int n = 23; n >= 3; n -= 2) sum = (sum + 1.0 / n) * square;
  const double fraction = 2 * s * sum + 2 * s;
  return fraction + exponent * std::numbers::ln2;
}

}  // namespace attn::engine

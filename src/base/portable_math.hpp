// Logarithm, normal quantile and exact sinusoids from additions, multiplications, divisions and square roots alone. IEEE 754
// fixes these to the last bit, so results are the same on every machine, which mathematical libraries do not promise.
#pragma once

#include <cstdint>
#include <utility>

namespace attn {

/// Natural logarithm of a positive, finite, normal number, within 1 unit in the last place.
[[nodiscard]] double portable_log(double x) noexcept;

/// The x below which a standard normal number falls with probability p, 0 < p < 1: algorithm AS 241, PPND16 (Wichura 1988), with
/// a relative error of about 1e-16.
[[nodiscard]] double normal_quantile(double p) noexcept;

/// An unevaluated sum of two doubles, with about 106 bits of precision (Dekker 1971).
struct DoubleDouble {
  double high = 0;
  double low = 0;
};

/// 10000^(-numerator / denominator) for numerator <= denominator < 2^53, to about 100 bits.
[[nodiscard]] DoubleDouble wave_number(std::uint64_t numerator, std::uint64_t denominator) noexcept;

/// Sine and cosine of position * wave, positions below 2^52, each within 1 unit in the last place.
[[nodiscard]] std::pair<double, double> sine_cosine(std::uint64_t position, DoubleDouble wave) noexcept;

}  // namespace attn

// Natural logarithm of vectors, the same bits on every target. Included once for each target.
#if defined(ATTN_KERNELS_LOG_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTN_KERNELS_LOG_INL_HPP
#undef ATTN_KERNELS_LOG_INL_HPP
#else
#define ATTN_KERNELS_LOG_INL_HPP
#endif

#include "kernels/tile-inl.hpp"

#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace attn::kernels::HWY_NAMESPACE {

template <class T>
struct LogConstants;

template <>
struct LogConstants<float> {
  using Bits = std::uint32_t;
  static constexpr Bits root_half = 0x3f3504f3;  ///< of sqrt(1/2)
  static constexpr Bits one = 0x3f800000;
  /// (ln(1 + f) - f + f^2 / 2) / f^3 for sqrt(1/2) - 1 <= f <= sqrt(2) - 1, from the highest power down: interpolation at the
  /// zeros of the Chebyshev polynomial; ln(1 + f) is 3.2e-9 off.
  static constexpr float series[] = {0x1.1d8ea6p-4F,  -0x1.d635bcp-4F, 0x1.dea282p-4F,  -0x1.fcf4c6p-4F, 0x1.23d21ap-3F,
                                     -0x1.555b4ap-3F, 0x1.999d5ap-3F,  -0x1.fffffcp-3F, 0x1.555554p-2F};
};

template <>
struct LogConstants<double> {
  using Bits = std::uint64_t;
  static constexpr Bits root_half = 0x3fe6a09e667f3bcd;
  static constexpr Bits one = 0x3ff0000000000000;
  /// artanh(s) = s + s^3 / 3 + s^5 / 5 + ..: the coefficients behind s, from the highest power of s^2 down. |s| <= 0.172.
  static constexpr double series[] = {1.0 / 23, 1.0 / 21, 1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13,
                                      1.0 / 11, 1.0 / 9,  1.0 / 7,  1.0 / 5,  1.0 / 3};
};

/// ln(1 + f) for the fraction that a logarithm is left with.
template <class T>
HWY_INLINE Vec<T> log_of_fraction(Vec<T> f) {
  using C = LogConstants<T>;
  const Tag<T> d;
  if constexpr (sizeof(T) == sizeof(float)) {
    const Vec<T> square = hn::Mul(f, f);
    const Vec<T> rest = hn::Mul(hn::Mul(square, f), polynomial<T>(f, C::series));
    return hn::Add(f, fused(square, hn::Set(d, T(-0.5)), rest));
  } else {
    const Vec<T> s = hn::Div(f, hn::Add(f, hn::Set(d, T(2))));
    const Vec<T> square = hn::Mul(s, s);
    const Vec<T> twice = hn::Add(s, s);
    return fused(hn::Mul(twice, square), polynomial<T>(square, C::series), twice);
  }
}

/// ln(x) for x > 0, about two units in the last place off; ln 1 is exactly 0. Of subnormal numbers, infinity, NaN and what is
/// not positive it gives some finite number.
template <class T>
HWY_INLINE Vec<T> log_positive(Vec<T> x) {
  using C = LogConstants<T>;
  using M = MathConstants<T>;
  const Tag<T> d;
  const hn::RebindToUnsigned<Tag<T>> du;
  // x = 2^k (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2).
  const auto shifted = hn::Add(hn::BitCast(du, x), hn::Set(du, C::one - C::root_half));
  const auto mantissa = hn::And(shifted, hn::Set(du, (typename C::Bits{1} << M::mantissa) - 1));
  const Vec<T> f = hn::Sub(hn::BitCast(d, hn::Add(mantissa, hn::Set(du, C::root_half))), hn::Set(d, T(1)));
  // A small whole number becomes a floating one in the low bits of `rounder`.
  const auto exponent = hn::ShiftRight<M::mantissa>(shifted);
  const auto whole = hn::Add(exponent, hn::BitCast(du, hn::Set(d, M::rounder)));
  const Vec<T> k = hn::Sub(hn::BitCast(d, whole), hn::Set(d, M::rounder + M::bias));
  return fused(k, hn::Set(d, M::ln2_high), fused(k, hn::Set(d, M::ln2_low), log_of_fraction<T>(f)));
}

struct Log {
  template <class T>
  static HWY_INLINE Vec<T> of(Vec<T> x, size_t /*lane*/, const T* /*divisor*/) {
    return log_positive<T>(x);
  }
};

template <class T>
void log_rows(T* values, size_t rows) {
  map_tile<Log, T>(values, rows, kLanes, nullptr, values);
}

}  // namespace attn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

// exp2, tanh and the logistic function of vectors: the project's own polynomials, the same bits on every target.
// Included once for each target.
#if defined(ATTN_KERNELS_MATH_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTN_KERNELS_MATH_INL_HPP
#undef ATTN_KERNELS_MATH_INL_HPP
#else
#define ATTN_KERNELS_MATH_INL_HPP
#endif

#include "kernels/vector-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace attn::kernels::HWY_NAMESPACE {

template <class T>
struct MathConstants;

/// `exp2`: 2 * 2^r, |r| <= 1/2, from the highest power down; relative minimax (2.6e-9) with the constant term held at 2.
/// `expm1`: (e^r - 1) / r, |r| <= ln(2)/2, likewise (1.1e-8). Both by Remez' exchange in 50 digits.
template <>
struct MathConstants<float> {
  static constexpr float exp2[] = {
      0x1.470b52p-12F, 0x1.5f7278p-9F, 0x1.3b270ep-6F, 0x1.c6ae72p-4F, 0x1.ebfbe2p-2F, 0x1.62e432p+0F, 2.0F};
  static constexpr float expm1[] = {0x1.6c16acp-10F, 0x1.123cd6p-7F, 0x1.555652p-5F, 0x1.55547ep-3F, 0x1.fffffep-2F, 1.0F};
  static constexpr float rounder = 0x1.8p+23F;  ///< adding it leaves the nearest integer in the low bits
  static constexpr int mantissa = 23;
  static constexpr float bias = 127;
  static constexpr float tanh_limit = -40;  ///< from here on 1 - tanh(x/2) is below half a unit in the last place
  static constexpr float log2e = 0x1.715476p+0F;
  static constexpr float ln2_high = 0x1.62e43p-1F;
  static constexpr float ln2_low = -0x1.05c61p-29F;
};

template <>
struct MathConstants<double> {
  static constexpr double exp2[] = {0x1.c062c3d6092eep-31, 0x1.e605f8a486541p-27, 0x1.b5416827386aep-23, 0x1.62bfd49f59a97p-19,
                                    0x1.ffcbee3ac8dbep-16, 0x1.4309130960d9cp-12, 0x1.5d87fe7bbbedcp-9,  0x1.3b2ab6fba1e1dp-6,
                                    0x1.c6b08d7048f31p-4,  0x1.ebfbdff82c598p-2,  0x1.62e42fefa39f3p+0,  2.0};
  static constexpr double expm1[] = {0x1.1eed8b31d518cp-29,
                                     0x1.af62ca7208638p-26,
                                     0x1.27e53439846ebp-22,
                                     0x1.71ddf5a63568bp-19,
                                     0x1.a01a017bc5025p-16,
                                     0x1.a01a01b12e9dbp-13,
                                     0x1.6c16c16c1f56bp-10,
                                     0x1.111111110f25ep-7,
                                     0x1.555555555553cp-5,
                                     0x1.555555555555ap-3,
                                     0.5,
                                     1.0};
  static constexpr double rounder = 0x1.8p+52;
  static constexpr int mantissa = 52;
  static constexpr double bias = 1023;
  static constexpr double tanh_limit = -80;
  static constexpr double log2e = 0x1.71547652b82fep+0;
  static constexpr double ln2_high = 0x1.62e42fefa39efp-1;
  static constexpr double ln2_low = 0x1.abc9e3b39803fp-56;
};

/// Horner's rule, highest power first.
template <class T, size_t N>
HWY_INLINE Vec<T> polynomial(Vec<T> x, const T (&coefficients)[N]) {
  const Tag<T> d;
  Vec<T> sum = hn::Set(d, coefficients[0]);
  ATTN_UNROLL
  for (size_t i = 1; i < N; ++i) sum = fused(sum, x, hn::Set(d, coefficients[i]));
  return sum;
}

/// 2^k as a vector from k + rounder + bias, k + bias >= 0.
template <class T>
HWY_INLINE Vec<T> power_of_two(Vec<T> shifted) {
  const Tag<T> d;
  const hn::RebindToUnsigned<Tag<T>> du;
  return hn::BitCast(d, hn::ShiftLeft<MathConstants<T>::mantissa>(hn::BitCast(du, shifted)));
}

/// 2^x for x <= 0, at most 1.1 units in the last place off. 2^0 is exactly 1. Below 2^-125.5 (float) or
/// 2^-1021.5 (double) the result is 0, so that no subnormal number slows the products down. NaN stays NaN.
template <class T>
HWY_INLINE Vec<T> exp2_nonpositive(Vec<T> x) {
  using C = MathConstants<T>;
  const Tag<T> d;
  constexpr T kShift = C::rounder + (C::bias - 1);
  x = larger(hn::Set(d, -(C::bias - 1)), x);
  const Vec<T> shifted = hn::Add(x, hn::Set(d, kShift));
  const Vec<T> r = less_nearest<T>(x, shifted, kShift);
  // The polynomial gives 2 * 2^r and the power 2^(k-1), whose bits are those of 0 for the smallest k.
  return hn::Mul(polynomial<T>(r, C::exp2), power_of_two<T>(shifted));
}

/// tanh(x) from e^z - 1 with z = -2|x|: no cancellation near 0. About 2 units in the last place.
template <class T>
HWY_INLINE Vec<T> tanh_any(Vec<T> x) {
  using C = MathConstants<T>;
  const Tag<T> d;
  constexpr T kShift = C::rounder + C::bias;
  const Vec<T> z = larger(hn::Set(d, C::tanh_limit), hn::Mul(hn::Set(d, T(-2)), hn::Abs(x)));
  const Vec<T> shifted = fused(z, hn::Set(d, C::log2e), hn::Set(d, kShift));
  const Vec<T> k = hn::Sub(shifted, hn::Set(d, kShift));
  const Vec<T> r = fused(k, hn::Set(d, -C::ln2_low), fused(k, hn::Set(d, -C::ln2_high), z));
  const Vec<T> scale = power_of_two<T>(shifted);
  const Vec<T> one = hn::Set(d, T(1));
  const Vec<T> e = fused(hn::Mul(scale, r), polynomial<T>(r, C::expm1), hn::Sub(scale, one));
  return hn::CopySign(hn::Div(e, hn::Add(hn::Set(d, T(2)), e)), x);
}

/// 1 / (1 + e^-x); 0 at -inf.
template <class T>
HWY_INLINE Vec<T> logistic(Vec<T> x) {
  const Tag<T> d;
  const Vec<T> one = hn::Set(d, T(1));
  const Vec<T> e = exp2_nonpositive<T>(hn::Mul(hn::Abs(x), hn::Set(d, -MathConstants<T>::log2e)));
  return hn::Div(hn::IfThenElse(hn::Lt(x, hn::Zero(d)), e, one), hn::Add(one, e));
}

}  // namespace attn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

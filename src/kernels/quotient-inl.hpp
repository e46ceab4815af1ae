// Division of many numbers by few: the bits of a division at the price of multiplications. Included once for each target.
#if defined(ATTN_KERNELS_QUOTIENT_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTN_KERNELS_QUOTIENT_INL_HPP
#undef ATTN_KERNELS_QUOTIENT_INL_HPP
#else
#define ATTN_KERNELS_QUOTIENT_INL_HPP
#endif

#include "kernels/vector-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace attn::kernels::HWY_NAMESPACE {

/// One vector of divisors: x / by, 0 where `by` is 0, NaN always with the same bits.
///
/// With y the rounded inverse of the divisor, x y and one correction give a q within one unit in the last place of the quotient.
/// The remainder x - q by of such a q is exact, and a second correction q + y (x - q by) gives the quotient correctly rounded, as
/// a division does (P. W. Markstein, Computation of elementary functions on the IBM RISC System/6000 processor, 1990). That holds
/// while quotients and remainders stay in the normal range; vectors that might leave it are divided.
template <class D>
class Quotient {
 public:
  using V = hn::Vec<D>;
  using T = hn::TFromD<D>;

  explicit HWY_INLINE Quotient(V by) : by_(by), inverse_(hn::Div(hn::Set(D(), T(1)), by)) {
    const D d;
    is_usual_ = hn::AllTrue(d, hn::And(hn::Ge(by, hn::Set(d, kLeastDivisor)), hn::Le(by, hn::Set(d, kMostDivisor))));
  }

  /// x becomes its quotient.
  template <size_t N>
  HWY_INLINE void divide(V (&x)[N]) const {
    const D d;
#if HWY_TARGET != HWY_SCALAR
    if (HWY_LIKELY(is_usual_ && are_usual(x))) {
      ATTN_UNROLL
      for (size_t n = 0; n < N; ++n) {
        V q = hn::Mul(x[n], inverse_);
        q = hn::MulAdd(hn::NegMulAdd(q, by_, x[n]), inverse_, q);
        q = hn::MulAdd(hn::NegMulAdd(q, by_, x[n]), inverse_, q);
        x[n] = hn::CopySign(q, x[n]);  // the corrections make 0 of -0
      }
      return;
    }
#endif
    const auto empty = hn::Eq(by_, hn::Zero(d));
    ATTN_UNROLL
    for (size_t n = 0; n < N; ++n) {
      const V q = hn::Div(x[n], by_);
      x[n] = hn::IfThenElse(empty, hn::Zero(d), hn::IfThenElse(hn::IsNaN(q), hn::Set(d, kNan<T>), q));
    }
  }

 private:
  // Between these bounds quotients and remainders are normal numbers: of |x| >= 2^-100 in float32 a remainder is a multiple of
  // 2^-148, which subnormal numbers hold too.
  static constexpr bool kIsFloat = sizeof(T) == sizeof(float);
  static constexpr T kLeastDivisor = static_cast<T>(0x1p-20);
  static constexpr T kMostDivisor = static_cast<T>(0x1p24);
  static constexpr T kLeast = static_cast<T>(kIsFloat ? 0x1p-100 : 0x1p-900);
  static constexpr T kMost = static_cast<T>(kIsFloat ? 0x1p100 : 0x1p900);

  /// True when all are 0 or lie between the bounds.
  template <size_t N>
  static HWY_INLINE bool are_usual(const V (&x)[N]) {
    const D d;
    V least = hn::Set(d, kMost);
    V sum = hn::Zero(d);  // of magnitudes: it bounds them all, and NaN stays in it
    ATTN_UNROLL
    for (size_t n = 0; n < N; ++n) {
      const V magnitude = hn::Abs(x[n]);
      least = hn::IfThenElse(hn::Eq(magnitude, hn::Zero(d)), least, hn::Min(least, magnitude));
      sum = hn::Add(sum, magnitude);
    }
    return hn::AllTrue(d, hn::And(hn::Ge(least, hn::Set(d, kLeast)), hn::Le(sum, hn::Set(d, kMost))));
  }

  V by_;
  V inverse_;
  bool is_usual_ = false;
};

}  // namespace attn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

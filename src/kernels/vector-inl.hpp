// The few vector operations whose rounding or treatment of NaN must be the same on every target, and the walk over lanes.
// Included once for each target.
#if defined(ATTN_KERNELS_VECTOR_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTN_KERNELS_VECTOR_INL_HPP
#undef ATTN_KERNELS_VECTOR_INL_HPP
#else
#define ATTN_KERNELS_VECTOR_INL_HPP
#endif

#include "kernels/kernels.hpp"

#include <cmath>
#include <cstddef>
#include <limits>

#include <hwy/highway.h>

// g++ keeps arrays of accumulators in registers only when the loops over them are unrolled early.
#undef ATTN_UNROLL
#if defined(__clang__)
#define ATTN_UNROLL _Pragma("clang loop unroll(full)")
#else
#define ATTN_UNROLL _Pragma("GCC unroll 16")
#endif

HWY_BEFORE_NAMESPACE();
namespace attn::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using std::size_t;

template <class T>
using Tag = hn::ScalableTag<T>;
template <class T>
using Vec = hn::Vec<Tag<T>>;

/// Lanes of one vector.
template <class T>
inline constexpr size_t kWidth = HWY_LANES(T);

/// Vectors side by side in the inner loops: with 6 rows of accumulators they fill the register file.
#if HWY_TARGET == HWY_AVX2
inline constexpr int kPanel = 2;
#else
inline constexpr int kPanel = 4;
#endif

template <class T>
inline constexpr T kInfinity = std::numeric_limits<T>::infinity();
template <class T>
inline constexpr T kNan = std::numeric_limits<T>::quiet_NaN();

/// a * b + c, rounded once.
template <class V>
HWY_INLINE V fused(V a, V b, V c) {
#if HWY_TARGET == HWY_SCALAR
  return V(std::fma(a.raw, b.raw, c.raw));
#else
  return hn::MulAdd(a, b, c);
#endif
}

/// a > b ? a : b. A NaN in a is dropped, a NaN in b stays.
template <class V>
HWY_INLINE V larger(V a, V b) {
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
  return hn::Max(a, b);  // the instruction's own definition
#else
  return hn::IfThenElse(hn::Gt(a, b), a, b);
#endif
}

/// x less the nearest whole number, ties to even, exactly. `shifted` is x + shift, where shift is even and so large that the sum
/// is whole.
template <class T>
HWY_INLINE Vec<T> less_nearest(Vec<T> x, Vec<T> shifted, T shift) {
#if HWY_TARGET == HWY_AVX3
  (void)shifted;
  (void)shift;
  if constexpr (sizeof(T) == sizeof(float)) {
    return Vec<T>{_mm512_reduce_ps(x.raw, _MM_FROUND_TO_NEAREST_INT)};
  } else {
    return Vec<T>{_mm512_reduce_pd(x.raw, _MM_FROUND_TO_NEAREST_INT)};
  }
#else
  const Tag<T> d;
  return hn::Sub(x, hn::Sub(shifted, hn::Set(d, shift)));
#endif
}

/// Every NaN with the same bits.
template <class T, class V>
HWY_INLINE V canonical(V x) {
  return hn::IfThenElse(hn::IsNaN(x), hn::Set(Tag<T>(), kNan<T>), x);
}

/// Runs F::run<vectors>(lane, args...) over `lanes` lanes, kPanel vectors at a time and fewer where fewer are left.
template <class T, class F, class... Args>
HWY_INLINE void for_panels(size_t lanes, Args... args) {
  for (size_t lane = 0; lane < lanes; lane += static_cast<size_t>(kPanel) * kWidth<T>) {
    const size_t left = lanes - lane;
    if (left <= kWidth<T>) {
      F::template run<1>(lane, args...);
    } else if (kPanel == 2 || left <= 2 * kWidth<T>) {
      F::template run<2>(lane, args...);
    } else {
      F::template run<kPanel>(lane, args...);
    }
  }
}

}  // namespace attn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

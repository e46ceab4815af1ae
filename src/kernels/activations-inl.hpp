// The nonlinear functions of feed-forward networks for one vector target. Included once for each target.
#if defined(ATTN_KERNELS_ACTIVATIONS_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTN_KERNELS_ACTIVATIONS_INL_HPP
#undef ATTN_KERNELS_ACTIVATIONS_INL_HPP
#else
#define ATTN_KERNELS_ACTIVATIONS_INL_HPP
#endif

#include "kernels/activations.hpp"
#include "kernels/math-inl.hpp"

HWY_BEFORE_NAMESPACE();
// A namespace of its own, because the macros of choose.hpp look for a kTable in that of each target.
namespace attn::kernels::activations::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using attn::kernels::HWY_NAMESPACE::exp2_nonpositive;
using attn::kernels::HWY_NAMESPACE::fused;
using attn::kernels::HWY_NAMESPACE::kWidth;
using attn::kernels::HWY_NAMESPACE::logistic;
using attn::kernels::HWY_NAMESPACE::polynomial;
using attn::kernels::HWY_NAMESPACE::Tag;
using attn::kernels::HWY_NAMESPACE::Vec;
using std::size_t;

template <class T>
struct ErrorFunction;

/// erfc(z) = exp(-z^2) Q(s) / (z + center) for z >= 0, s = (z - center) / (z + center). Q is Chebyshev's interpolation in s, made
/// in 50 digits; its relative error is below a quarter of a unit in the last place. Highest power first.
template <>
struct ErrorFunction<float> {
  static constexpr float center = 2.5F;
  static constexpr float q[] = {-0x1.bebfaap-18F, -0x1.2645dep-14F, 0x1.7c1f42p-15F, 0x1.59a884p-11F,
                                -0x1.c53a6p-12F,  -0x1.3a665ep-8F,  0x1.12f5fep-7F,  0x1.d09886p-6F,
                                -0x1.5eb8cep-3F,  0x1.d0cef8p-2F,   -0x1.9bfb54p-1F, 0x1.0dd508p+0F};
  static constexpr float half_log2e_high = 0x1.715476p-1F;
  static constexpr float half_log2e_low = 0x1.4ae0cp-27F;
  static constexpr float farthest = 20;  ///< the result is 0 from here on
};

template <>
struct ErrorFunction<double> {
  static constexpr double center = 3.75;
  static constexpr double q[] = {0x1.e44c9877fcdcfp-32, -0x1.f9949d7755526p-33, -0x1.70f12e0dbca96p-28, 0x1.7d5f294df5245p-29,
                                 0x1.59620d6eee845p-25, -0x1.bd59dee63ab3cp-26, -0x1.1acbf7c687e5dp-22, 0x1.2b34b6c16293dp-22,
                                 0x1.bc6aee44affd3p-20, -0x1.b962700fd9bfbp-19, -0x1.2ac192436371dp-17, 0x1.3a5506e41bdfap-15,
                                 0x1.63789f48d18afp-17, -0x1.6d9525967bef6p-12, 0x1.a0b75abc44d89p-11,  0x1.029006d831689p-10,
                                 -0x1.9ac69568edf24p-7, 0x1.92618b78f8be3p-5,   -0x1.0e3ea224ba9a9p-3,  0x1.1dc271189e21fp-2,
                                 -0x1.f63dd8119622ep-2, 0x1.78fecb4e81b0cp-1,   -0x1.eae02d0a1456ap-1,  0x1.178842825349dp+0};
  static constexpr double half_log2e_high = 0x1.71547652b82fep-1;
  static constexpr double half_log2e_low = 0x1.777d0ffda0d24p-57;
  static constexpr double farthest = 60;
};

/// exp(-x^2 / 2) for x >= 0. The square and its product with log2(e)/2 carry what was rounded off: x^2 is large where the result
/// is small.
template <class T>
HWY_INLINE Vec<T> gaussian(Vec<T> x) {
  using E = ErrorFunction<T>;
  const Tag<T> d;
  const Vec<T> factor = hn::Set(d, -E::half_log2e_high);
  const Vec<T> square = hn::Mul(x, x);
  const Vec<T> square_rest = fused(x, x, hn::Neg(square));
  const Vec<T> exponent = hn::Mul(square, factor);
  const Vec<T> rest =
      fused(square_rest, factor, fused(square, hn::Set(d, -E::half_log2e_low), fused(square, factor, hn::Neg(exponent))));
  const Vec<T> power = exp2_nonpositive<T>(exponent);
  const Vec<T> ln2 = hn::Set(d, attn::kernels::HWY_NAMESPACE::MathConstants<T>::ln2_high);
  return fused(hn::Mul(power, ln2), rest, power);
}

struct Relu {
  template <class T>
  static HWY_INLINE Vec<T> of(Vec<T> x) {
    const Tag<T> d;
    return hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Zero(d), x);  // NaN stays
  }
};

struct Gelu {
  template <class T>
  static HWY_INLINE Vec<T> of(Vec<T> x) {
    using E = ErrorFunction<T>;
    const Tag<T> d;
    const Vec<T> size = hn::Min(hn::Abs(x), hn::Set(d, E::farthest));
    const Vec<T> z = hn::Mul(size, hn::Set(d, T(0.70710678118654752440L)));
    const Vec<T> center = hn::Set(d, E::center);
    const Vec<T> reciprocal = hn::Div(hn::Set(d, T(0.5)), hn::Add(z, center));
    const Vec<T> s = hn::Mul(hn::Mul(hn::Sub(z, center), hn::Set(d, T(2))), reciprocal);
    const Vec<T> tail = hn::Mul(gaussian<T>(size), hn::Mul(polynomial<T>(s, E::q), reciprocal));  // erfc(z) / 2
    return hn::Mul(x, hn::IfThenElse(hn::Lt(x, hn::Zero(d)), tail, hn::Sub(hn::Set(d, T(1)), tail)));
  }
};

struct GeluTanh {
  template <class T>
  static HWY_INLINE Vec<T> of(Vec<T> x) {
    const Tag<T> d;
    constexpr T first = T(1.59576912160573071176L);  // 2 sqrt(2/pi)
    constexpr T third = T(1.59576912160573071176L * 0.044715L);
    const Vec<T> twice = hn::Mul(x, fused(hn::Mul(x, x), hn::Set(d, third), hn::Set(d, first)));
    return hn::Mul(x, logistic<T>(twice));
  }
};

struct Silu {
  template <class T>
  static HWY_INLINE Vec<T> of(Vec<T> x) {
    return hn::Mul(x, logistic<T>(x));
  }
};

template <class F, class T>
void map(T* x, const T* factor, size_t count) {
  const Tag<T> d;
  constexpr size_t width = kWidth<T>;
  size_t i = 0;
  for (; i + width <= count; i += width) {
    Vec<T> y = F::template of<T>(hn::LoadU(d, x + i));
    if (factor != nullptr) y = hn::Mul(y, hn::LoadU(d, factor + i));
    hn::StoreU(y, d, x + i);
  }
  if (i == count) return;
  HWY_ALIGN T rest[width] = {};
  for (size_t j = 0; i + j < count; ++j) rest[j] = x[i + j];
  hn::Store(F::template of<T>(hn::Load(d, rest)), d, rest);
  for (size_t j = 0; i + j < count; ++j) x[i + j] = factor == nullptr ? rest[j] : rest[j] * factor[i + j];
}

template <class T>
inline constexpr ActivationKernels<T> kTable = {
    .relu = map<Relu, T>, .gelu = map<Gelu, T>, .gelu_tanh = map<GeluTanh, T>, .silu = map<Silu, T>};

}  // namespace attn::kernels::activations::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

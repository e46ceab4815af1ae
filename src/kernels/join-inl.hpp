// Joins what two spans of keys gave: running softmaxes and plain sums. Included once for each target.
#if defined(ATTN_KERNELS_JOIN_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTN_KERNELS_JOIN_INL_HPP
#undef ATTN_KERNELS_JOIN_INL_HPP
#else
#define ATTN_KERNELS_JOIN_INL_HPP
#endif

#include "kernels/tile-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace attn::kernels::HWY_NAMESPACE {

/// What both give, or the one that has seen a key. An empty span must not even add its zeros: -0 + 0 is not -0.
template <class T, class M>
HWY_INLINE Vec<T> of_both(M total_empty, M part_empty, Vec<T> total, Vec<T> part, Vec<T> both) {
  return hn::IfThenElse(part_empty, total, hn::IfThenElse(total_empty, part, both));
}

template <class T>
void join_spans(SoftmaxRows<T>& total, T* output, const SoftmaxRows<T>& part, const T* output_part, size_t dim, size_t lanes,
                bool natural) {
  const Tag<T> d;
  for (size_t i = 0; i < lanes; i += kWidth<T>) {
    const Vec<T> sum = hn::Load(d, total.sum + i);
    const Vec<T> other = hn::Load(d, part.sum + i);
    const auto total_empty = hn::Eq(sum, hn::Zero(d));
    const auto part_empty = hn::Eq(other, hn::Zero(d));
    const Vec<T> first = hn::Load(d, total.maximum + i);
    const Vec<T> second = hn::Load(d, part.maximum + i);
    const Vec<T> maximum = larger(second, first);
    const Vec<T> top = usable<T>(maximum);
    const Vec<T> a = natural ? exp_below<T, true, true>(first, top) : exp_below<T, false, true>(first, top);
    const Vec<T> b = natural ? exp_below<T, true, true>(second, top) : exp_below<T, false, true>(second, top);
    hn::Store(of_both<T>(total_empty, part_empty, sum, other, fused(sum, a, hn::Mul(other, b))), d, total.sum + i);
    const Vec<T> joined = of_both<T>(total_empty, part_empty, first, second, maximum);
    hn::Store(joined, d, total.maximum + i);
    hn::Store(joined, d, total.next + i);
    hn::Store(a, d, total.rescale + i);
    for (size_t f = 0; f < dim; ++f) {
      const Vec<T> x = hn::Load(d, output + f * kLanes + i);
      const Vec<T> y = hn::Load(d, output_part + f * kLanes + i);
      hn::Store(of_both<T>(total_empty, part_empty, x, y, fused(x, a, hn::Mul(y, b))), d, output + f * kLanes + i);
    }
  }
}

template <class T>
void add_spans(T* seen, T* output, const T* seen_part, const T* output_part, size_t dim, size_t lanes) {
  const Tag<T> d;
  for (size_t i = 0; i < lanes; i += kWidth<T>) {
    const Vec<T> total = hn::Load(d, seen + i);
    const Vec<T> part = hn::Load(d, seen_part + i);
    const auto total_empty = hn::Eq(total, hn::Zero(d));
    const auto part_empty = hn::Eq(part, hn::Zero(d));
    hn::Store(larger(total, part), d, seen + i);
    for (size_t f = 0; f < dim; ++f) {
      const Vec<T> x = hn::Load(d, output + f * kLanes + i);
      const Vec<T> y = hn::Load(d, output_part + f * kLanes + i);
      hn::Store(of_both<T>(total_empty, part_empty, x, y, hn::Add(x, y)), d, output + f * kLanes + i);
    }
  }
}

}  // namespace attn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

// Steps of recurrent linear attention for one vector target. Included once for each target.
#if defined(ATTN_KERNELS_RECURRENCE_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTN_KERNELS_RECURRENCE_INL_HPP
#undef ATTN_KERNELS_RECURRENCE_INL_HPP
#else
#define ATTN_KERNELS_RECURRENCE_INL_HPP
#endif

#include "kernels/math-inl.hpp"
#include "kernels/recurrence.hpp"

HWY_BEFORE_NAMESPACE();
// A namespace of its own, because the macros of choose.hpp look for a kTable in that of each target.
namespace attn::kernels::recurrence::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
namespace vectors = attn::kernels::HWY_NAMESPACE;
using std::size_t;

/// The range outside of which e^x is infinite or 0.
template <class T>
inline constexpr T kLargestExponent = sizeof(T) == sizeof(float) ? T(90) : T(712);
template <class T>
inline constexpr T kSmallestExponent = sizeof(T) == sizeof(float) ? T(-106) : T(-748);

/// e^x = 2^k e^r with |r| <= ln(2)/2. The power goes in as two factors, each of which is a normal number.
template <class T>
HWY_INLINE vectors::Vec<T> exponential_of(vectors::Vec<T> x) {
  using C = vectors::MathConstants<T>;
  const vectors::Tag<T> d;
  x = vectors::larger(hn::Set(d, kSmallestExponent<T>), x);
  const vectors::Vec<T> largest = hn::Set(d, kLargestExponent<T>);
  x = hn::IfThenElse(hn::Gt(x, largest), largest, x);
  const vectors::Vec<T> rounder = hn::Set(d, C::rounder);
  const vectors::Vec<T> k = hn::Sub(vectors::fused(x, hn::Set(d, C::log2e), rounder), rounder);
  const vectors::Vec<T> r = vectors::fused(k, hn::Set(d, -C::ln2_low), vectors::fused(k, hn::Set(d, -C::ln2_high), x));
  const vectors::Vec<T> e = vectors::fused(r, vectors::polynomial<T>(r, C::expm1), hn::Set(d, T(1)));
  const vectors::Vec<T> half = hn::Sub(vectors::fused(k, hn::Set(d, T(0.5)), rounder), rounder);
  const vectors::Vec<T> shift = hn::Set(d, C::rounder + C::bias);
  const vectors::Vec<T> first = vectors::power_of_two<T>(hn::Add(half, shift));
  const vectors::Vec<T> second = vectors::power_of_two<T>(hn::Add(hn::Sub(k, half), shift));
  // A NaN has made nonsense of the powers; it is in e.
  return vectors::canonical<T>(hn::IfThenElse(hn::IsNaN(x), x, hn::Mul(hn::Mul(e, first), second)));
}

template <class T>
void exponential(T* x, size_t count) {
  const vectors::Tag<T> d;
  constexpr size_t width = vectors::kWidth<T>;
  size_t i = 0;
  for (; i + width <= count; i += width) hn::StoreU(exponential_of<T>(hn::LoadU(d, x + i)), d, x + i);
  if (i == count) return;
  T rest[width] = {};
  for (size_t lane = 0; i + lane < count; ++lane) rest[lane] = x[i + lane];
  hn::StoreU(exponential_of<T>(hn::LoadU(d, rest)), d, rest);
  for (size_t lane = 0; i < count; ++i, ++lane) x[i] = rest[lane];
}

/// sums[v] = the sum over the features of factor * row(feature, v). Additions wait for each other within a chain only.
template <size_t V, class T, class Row>
HWY_INLINE void sum_features(size_t head_dim, const T* factor, const Row& row, vectors::Vec<T>* sums) {
  constexpr size_t chains = 4;
  const vectors::Tag<T> d;
  vectors::Vec<T> chain[chains][V];
  ATTN_UNROLL
  for (size_t c = 0; c < chains; ++c) {  // NOLINT(modernize-loop-convert): unrolling needs the count
    ATTN_UNROLL
    for (size_t v = 0; v < V; ++v) chain[c][v] = hn::Zero(d);
  }
  const auto add = [&](size_t c, size_t feature) {
    const vectors::Vec<T> x = hn::Set(d, factor[feature]);
    ATTN_UNROLL
    for (size_t v = 0; v < V; ++v) chain[c][v] = vectors::fused(x, row(feature, v), chain[c][v]);
  };
  size_t i = 0;
  for (; i + chains <= head_dim; i += chains) {
    ATTN_UNROLL
    for (size_t c = 0; c < chains; ++c) add(c, i + c);
  }
  ATTN_UNROLL
  for (size_t c = 0; c + 1 < chains; ++c) {
    if (i + c < head_dim) add(c, i + c);
  }
  ATTN_UNROLL
  for (size_t v = 0; v < V; ++v) sums[v] = hn::Add(hn::Add(chain[0][v], chain[1][v]), hn::Add(chain[2][v], chain[3][v]));
}

/// All tokens on one panel of columns.
template <class T, bool kGated, bool kDelta>
struct Panel {
  template <size_t V>
  static HWY_INLINE void run(size_t lane, const RecurrenceSteps<T>* s) {
    for (size_t t = 0; t < s->count; ++t) step<V>(lane, *s, t);
  }

  template <size_t V>
  static HWY_INLINE void step(size_t lane, const RecurrenceSteps<T>& s, size_t t) {
    const vectors::Tag<T> d;
    constexpr size_t width = vectors::kWidth<T>;
    const auto place = [&](size_t feature, size_t v) { return s.state + feature * s.columns + lane + v * width; };
    const auto kept = [&](size_t feature, size_t v) { return hn::LoadU(d, place(feature, v)); };
    const T* const gate = kGated ? s.gate + t * s.gate_width : nullptr;
    const size_t gate_step = s.gate_width == 1 ? 0 : 1;
    const auto gated = [&](size_t feature, size_t v) {
      if constexpr (kGated) return hn::Mul(kept(feature, v), hn::Set(d, gate[feature * gate_step]));
      return kept(feature, v);
    };

    const T* const key = s.key + t * s.key_stride;
    vectors::Vec<T> added[V];
    ATTN_UNROLL
    for (size_t v = 0; v < V; ++v) added[v] = hn::LoadU(d, s.value + t * s.columns + lane + v * width);
    if constexpr (kDelta) {
      vectors::Vec<T> recalled[V];
      sum_features<V>(
          s.head_dim, key,
          [&](size_t feature, size_t v) {
            const vectors::Vec<T> row = gated(feature, v);
            if constexpr (kGated) hn::StoreU(row, d, place(feature, v));
            return row;
          },
          recalled);
      const vectors::Vec<T> rate = hn::Set(d, s.rate[t]);
      ATTN_UNROLL
      for (size_t v = 0; v < V; ++v) added[v] = hn::Mul(rate, hn::Sub(added[v], recalled[v]));
    }

    for (size_t head = 0; head < s.group; ++head) {
      const T* const query = s.query[head] + t * s.query_stride;
      vectors::Vec<T> read[V];
      if (head == 0) {
        sum_features<V>(
            s.head_dim, query,
            [&](size_t feature, size_t v) {
              vectors::Vec<T> row;
              if constexpr (kDelta) {
                row = kept(feature, v);
              } else {
                row = gated(feature, v);
              }
              row = vectors::fused(hn::Set(d, key[feature]), added[v], row);
              hn::StoreU(row, d, place(feature, v));
              return row;
            },
            read);
      } else {
        sum_features<V>(s.head_dim, query, kept, read);
      }
      T* const out = s.out + (head * s.count + t) * s.columns + lane;
      ATTN_UNROLL
      for (size_t v = 0; v < V; ++v) hn::StoreU(hn::Mul(hn::Set(d, s.scale), read[v]), d, out + v * width);
    }
  }
};

template <class T>
void advance(const RecurrenceSteps<T>& s) {
  if (s.gate != nullptr && s.rate != nullptr) {
    vectors::for_panels<T, Panel<T, true, true>>(s.columns, &s);
  } else if (s.gate != nullptr) {
    vectors::for_panels<T, Panel<T, true, false>>(s.columns, &s);
  } else if (s.rate != nullptr) {
    vectors::for_panels<T, Panel<T, false, true>>(s.columns, &s);
  } else {
    vectors::for_panels<T, Panel<T, false, false>>(s.columns, &s);
  }
}

template <class T>
inline constexpr RecurrenceKernels<T> kTable = {.advance = advance<T>, .exponential = exponential<T>};

}  // namespace attn::kernels::recurrence::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

// The two products of attention, keys by queries and values by weights, from one micro-kernel. Included once for each target.
#if defined(ATTN_KERNELS_PRODUCT_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTN_KERNELS_PRODUCT_INL_HPP
#undef ATTN_KERNELS_PRODUCT_INL_HPP
#else
#define ATTN_KERNELS_PRODUCT_INL_HPP
#endif

#include "kernels/prefetch-inl.hpp"
#include "kernels/vector-inl.hpp"

#include <type_traits>

HWY_BEFORE_NAMESPACE();
namespace attn::kernels::HWY_NAMESPACE {

/// Rows of accumulators: 6 x kPanel of them, with the lanes' operands and one broadcast, fit the registers of every target.
inline constexpr size_t kRows = 6;

struct Multiply {
  template <class V>
  static HWY_INLINE V add(V x, V lanes, V sum) {
    return fused(x, lanes, sum);
  }
};

struct SquareDifference {
  template <class V>
  static HWY_INLINE V add(V x, V lanes, V sum) {
    const V difference = hn::Sub(lanes, x);
    return fused(difference, difference, sum);
  }
};

/// Steps of a chain between which lines are asked for, and of how many bytes: what the other product needs while these steps
/// last, when there are as many features in a key as in a value.
inline constexpr size_t kStepsBetween = 8;
inline constexpr size_t kBytesBetween = 3 * kLine;

/// sum[r][v] = chain over t < steps of Op(x(r, t), lanes[t][v]), from 0. x(r, t) is x[r * stride + t] when kAlongRows (keys:
/// the chain runs along a row), else x[t * stride + r] (values: it runs down a column).
template <class Op, bool kAlongRows, size_t R, size_t N, class T>
HWY_INLINE void accumulate(const T* HWY_RESTRICT x, size_t stride, const T* HWY_RESTRICT lanes, size_t steps, NextLines<T>& ahead,
                           Vec<T> (&sum)[R][N]) {
  const Tag<T> d;
  ATTN_UNROLL
  for (size_t r = 0; r < R; ++r) {
    ATTN_UNROLL
    for (size_t v = 0; v < N; ++v) sum[r][v] = hn::Zero(d);
  }
  const auto step = [&](size_t at) HWY_ATTR {
    Vec<T> lane[N];
    ATTN_UNROLL
    for (size_t v = 0; v < N; ++v) lane[v] = hn::Load(d, lanes + at * kLanes + v * kWidth<T>);
    ATTN_UNROLL
    for (size_t r = 0; r < R; ++r) {
      const Vec<T> element = hn::Set(d, kAlongRows ? x[r * stride + at] : x[at * stride + r]);
      ATTN_UNROLL
      for (size_t v = 0; v < N; ++v) sum[r][v] = Op::add(element, lane[v], sum[r][v]);
    }
  };
  size_t t = 0;
  for (; t + kStepsBetween <= steps; t += kStepsBetween) {
    ahead.template ask<kBytesBetween>();
    for (size_t s = t; s < t + kStepsBetween; ++s) step(s);
  }
  for (; t < steps; ++t) step(t);
}

/// Features of one chain of a squared distance. All its terms are positive, so a long chain rounds at the size of the whole
/// sum again and again; chains of 16, joined, are 2.4 times as accurate at 64 features.
inline constexpr size_t kDistanceChain = 16;

/// R keys against N vectors of queries.
template <class Op, size_t R, size_t N, class T>
HWY_INLINE void score_rows(const T* keys, size_t stride, size_t dim, const T* query, T* tile, T* maximum, NextLines<T>& ahead) {
  const Tag<T> d;
  constexpr bool kChained = std::is_same_v<Op, SquareDifference>;
  Vec<T> sum[R][N];
  accumulate<Op, true>(keys, stride, query, kChained ? HWY_MIN(dim, kDistanceChain) : dim, ahead, sum);
  ATTN_UNROLL
  for (size_t r = 0; r < R; ++r) {
    ATTN_UNROLL
    for (size_t v = 0; v < N; ++v) hn::Store(sum[r][v], d, tile + r * kLanes + v * kWidth<T>);
  }
  if constexpr (kChained) {
    for (size_t f = kDistanceChain; f < dim; f += kDistanceChain) {
      accumulate<Op, true>(keys + f, stride, query + f * kLanes, HWY_MIN(dim - f, kDistanceChain), ahead, sum);
      ATTN_UNROLL
      for (size_t r = 0; r < R; ++r) {
        ATTN_UNROLL
        for (size_t v = 0; v < N; ++v) {
          T* out = tile + r * kLanes + v * kWidth<T>;
          hn::Store(hn::Add(hn::Load(d, out), sum[r][v]), d, out);
        }
      }
    }
    return;
  }
  if (maximum == nullptr) return;
  ATTN_UNROLL
  for (size_t v = 0; v < N; ++v) {
    Vec<T> top = hn::Load(d, maximum + v * kWidth<T>);
    ATTN_UNROLL
    for (size_t r = 0; r < R; ++r) top = larger(sum[r][v], top);
    hn::Store(top, d, maximum + v * kWidth<T>);
  }
}

/// F::run<R>(first row, args...) over `rows` rows, kRows at a time. One vector of lanes alone takes twice as many rows, since 6
/// chains are too few to hide the latency of a multiply-add.
template <class F, size_t N, class... Args>
HWY_INLINE void for_rows(size_t rows, Args... args) {
  size_t row = 0;
  if constexpr (N == 1) {
    for (; row + 2 * kRows <= rows; row += 2 * kRows) F::template run<2 * kRows>(row, args...);
  }
  for (; row + kRows <= rows; row += kRows) F::template run<kRows>(row, args...);
  switch (rows - row) {
    case 5:
      return F::template run<5>(row, args...);
    case 4:
      return F::template run<4>(row, args...);
    case 3:
      return F::template run<3>(row, args...);
    case 2:
      return F::template run<2>(row, args...);
    case 1:
      return F::template run<1>(row, args...);
    default:
      return;
  }
}

template <class Op, class T, size_t N>
struct ScoreRows {
  template <size_t R>
  static HWY_INLINE void run(size_t j, const T* keys, size_t stride, size_t dim, const T* query, T* tile, T* maximum,
                             NextLines<T>* ahead, size_t count) {
    score_rows<Op, R, N>(keys + j * stride, stride, dim, query, tile + j * kLanes, maximum, *ahead);
    ahead->until(j + R, count);
  }
};

/// All keys of a tile against one panel of queries.
template <class Op, class T>
struct ScorePanel {
  template <size_t N>
  static void run(size_t lane, const T* keys, size_t stride, size_t count, size_t dim, const T* query, T* tile, T* maximum,
                  const Ahead<T>* ahead) {
    NextLines<T> lines(lane == 0 && ahead != nullptr ? *ahead : Ahead<T>());
    T* const top = maximum == nullptr ? nullptr : maximum + lane;
    for_rows<ScoreRows<Op, T, N>, N>(count, keys, stride, dim, query + lane, tile + lane, top, &lines, count);
  }
};

template <class T>
void score_product(const T* keys, size_t stride, size_t count, size_t dim, const T* query, size_t lanes, T* tile, T* maximum,
                   const Ahead<T>& ahead) {
  for_panels<T, ScorePanel<Multiply, T>>(lanes, keys, stride, count, dim, query, tile, maximum, &ahead);
}

template <class T>
void score_distance(const T* keys, size_t stride, size_t count, size_t dim, const T* query, size_t lanes, T* tile) {
  for_panels<T, ScorePanel<SquareDifference, T>>(lanes, keys, stride, count, dim, query, tile, static_cast<T*>(nullptr),
                                                 static_cast<const Ahead<T>*>(nullptr));
}

/// R value features against N vectors of weights. Fresh sums for each tile, joined afterwards, keep the error of long rows small.
template <size_t R, size_t N, class T>
HWY_INLINE void value_rows(const T* values, size_t stride, size_t count, const T* weights, const T* rescale, T* output,
                           NextLines<T>& ahead) {
  const Tag<T> d;
  Vec<T> sum[R][N];
  accumulate<Multiply, false>(values, stride, weights, count, ahead, sum);
  ATTN_UNROLL
  for (size_t v = 0; v < N; ++v) {
    const Vec<T> factor = hn::Load(d, rescale + v * kWidth<T>);
    ATTN_UNROLL
    for (size_t r = 0; r < R; ++r) {
      T* out = output + r * kLanes + v * kWidth<T>;
      hn::Store(fused(hn::Load(d, out), factor, sum[r][v]), d, out);
    }
  }
}

template <class T, size_t N>
struct ValueRows {
  template <size_t R>
  static HWY_INLINE void run(size_t f, const T* values, size_t stride, size_t count, const T* weights, const T* rescale,
                             T* output, NextLines<T>* ahead, size_t dim) {
    value_rows<R, N>(values + f, stride, count, weights, rescale, output + f * kLanes, *ahead);
    ahead->until(f + R, dim);
  }
};

/// All features of the values against one panel of weights.
template <class T>
struct ValuePanel {
  template <size_t N>
  static void run(size_t lane, const T* weights, const T* values, size_t stride, size_t count, size_t dim, const T* rescale,
                  T* output, const Ahead<T>* ahead) {
    NextLines<T> lines(lane == 0 && ahead != nullptr ? *ahead : Ahead<T>());
    for_rows<ValueRows<T, N>, N>(dim, values, stride, count, weights + lane, rescale + lane, output + lane, &lines, dim);
  }
};

template <class T>
void value_product(const T* weights, const T* values, size_t stride, size_t count, size_t dim, size_t lanes, const T* rescale,
                   T* output, const Ahead<T>& ahead) {
  for_panels<T, ValuePanel<T>>(lanes, weights, values, stride, count, dim, rescale, output, &ahead);
}

/// The rare case of NaN or infinity in the values of a tile that hides some keys from some queries: one feature at a time.
template <class T>
struct ValueSelectPanel {
  template <size_t N>
  static void run(size_t lane, const T* weights, const T* visible, const T* values, size_t stride, size_t count, size_t dim,
                  const T* rescale, T* output) {
    const Tag<T> d;
    for (size_t f = 0; f < dim; ++f) {
      for (size_t at = lane; at < lane + N * kWidth<T>; at += kWidth<T>) {
        Vec<T> sum = hn::Zero(d);
        for (size_t j = 0; j < count; ++j) {
          const auto masked = hn::Eq(hn::Load(d, visible + j * kLanes + at), hn::Zero(d));
          const Vec<T> next = fused(hn::Set(d, values[j * stride + f]), hn::Load(d, weights + j * kLanes + at), sum);
          sum = hn::IfThenElse(masked, sum, next);
        }
        T* out = output + f * kLanes + at;
        hn::Store(fused(hn::Load(d, out), hn::Load(d, rescale + at), sum), d, out);
      }
    }
  }
};

template <class T>
void value_product_select(const T* weights, const T* visible, const T* values, size_t stride, size_t count, size_t dim,
                          size_t lanes, const T* rescale, T* output) {
  for_panels<T, ValueSelectPanel<T>>(lanes, weights, visible, values, stride, count, dim, rescale, output);
}

}  // namespace attn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

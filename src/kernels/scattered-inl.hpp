// Rows that lie anywhere in memory: their products with one query, and their weighted sum. Included once for each target.
#if defined(ATTN_KERNELS_SCATTERED_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTN_KERNELS_SCATTERED_INL_HPP
#undef ATTN_KERNELS_SCATTERED_INL_HPP
#else
#define ATTN_KERNELS_SCATTERED_INL_HPP
#endif

#include "kernels/vector-inl.hpp"

#include <cstring>

HWY_BEFORE_NAMESPACE();
namespace attn::kernels::HWY_NAMESPACE {

inline constexpr size_t kChains = 16;  ///< of a product, whatever the width of vectors
template <class T>
inline constexpr size_t kChainVectors = kChains / kWidth<T>;

/// a[i] + a[i + n / 2], and so on until one number is left.
template <class T>
HWY_INLINE T sum_of_halves(Vec<T> x) {
  constexpr size_t few = kWidth<T> * sizeof(T) > 16 ? 16 / sizeof(T) : kWidth<T>;
  alignas(16) T last[few];
#if HWY_TARGET == HWY_AVX3
  const hn::Half<Tag<T>> half;
  const hn::Half<decltype(half)> quarter;
  const auto two = hn::Add(hn::LowerHalf(half, x), hn::UpperHalf(half, x));
  hn::Store(hn::Add(hn::LowerHalf(quarter, two), hn::UpperHalf(quarter, two)), quarter, last);
#elif HWY_TARGET == HWY_AVX2
  const hn::Half<Tag<T>> half;
  hn::Store(hn::Add(hn::LowerHalf(half, x), hn::UpperHalf(half, x)), half, last);
#else
  hn::Store(x, Tag<T>(), last);
#endif
  for (size_t n = few / 2; n > 0; n /= 2)
    for (size_t i = 0; i < n; ++i) last[i] += last[i + n];
  return last[0];
}

/// Calls f(first feature, pointer) for all whole pieces of `piece` features of a row, and for the rest with zeros behind it.
template <class T, size_t kPiece, class F>
HWY_INLINE void for_pieces(size_t dim, const F& f) {
  size_t d = 0;
  for (; d + kPiece <= dim; d += kPiece) f(d, kPiece);
  if (d < dim) f(d, dim - d);
}

/// `count` <= kPiece numbers where they are, or, if they are fewer, copied to `room` with zeros behind them.
template <class T, size_t kPiece>
HWY_INLINE const T* whole_piece(const T* from, size_t count, T (&room)[kPiece]) {
  if (count == kPiece) return from;
  std::memcpy(room, from, count * sizeof(T));
  std::memset(room + count, 0, (kPiece - count) * sizeof(T));
  return room;
}

/// Products of R rows with the query.
template <class T, size_t R>
HWY_INLINE void scattered_products(const T* const* rows, size_t dim, const T* query, T* products) {
  const Tag<T> tag;
  Vec<T> sum[R][kChainVectors<T>];
  ATTN_UNROLL
  for (size_t r = 0; r < R; ++r) {
    ATTN_UNROLL
    for (Vec<T>& one : sum[r]) one = hn::Zero(tag);
  }
  for_pieces<T, kChains>(dim, [&](size_t d, size_t count) HWY_ATTR {
    alignas(64) T room[2][kChains];
    const T* const left = whole_piece(query + d, count, room[0]);
    ATTN_UNROLL
    for (size_t r = 0; r < R; ++r) {
      const T* const right = whole_piece(rows[r] + d, count, room[1]);
      ATTN_UNROLL
      for (size_t v = 0; v < kChainVectors<T>; ++v)
        sum[r][v] = fused(hn::LoadU(tag, left + v * kWidth<T>), hn::LoadU(tag, right + v * kWidth<T>), sum[r][v]);
    }
  });
  ATTN_UNROLL
  for (size_t r = 0; r < R; ++r) {
    ATTN_UNROLL
    for (size_t n = kChainVectors<T> / 2; n > 0; n /= 2)
      for (size_t v = 0; v < n; ++v) sum[r][v] = hn::Add(sum[r][v], sum[r][v + n]);
    products[r] = sum_of_halves<T>(sum[r][0]);
  }
}

template <class T>
void scattered_score_product(const T* const* keys, size_t count, size_t dim, const T* query, T* scores) {
  size_t n = 0;
  for (; n + 4 <= count; n += 4) scattered_products<T, 4>(keys + n, dim, query, scores + n);
  for (; n < count; ++n) scattered_products<T, 1>(keys + n, dim, query, scores + n);
}

/// N vectors of the output from feature f on, `features` of them in use.
template <class T, size_t N>
HWY_INLINE void scattered_sums(const T* weights, const T* const* values, size_t count, size_t f, size_t features, T* output) {
  const Tag<T> tag;
  constexpr size_t piece = N * kWidth<T>;
  alignas(64) T room[piece];
  const T* const before = whole_piece(output + f, features, room);
  Vec<T> sum[N];
  ATTN_UNROLL
  for (size_t v = 0; v < N; ++v) sum[v] = hn::LoadU(tag, before + v * kWidth<T>);
  for (size_t j = 0; j < count; ++j) {
    const auto weight = hn::Set(tag, weights[j]);
    const T* const value = whole_piece(values[j] + f, features, room);
    ATTN_UNROLL
    for (size_t v = 0; v < N; ++v) sum[v] = fused(weight, hn::LoadU(tag, value + v * kWidth<T>), sum[v]);
  }
  T* const to = features == piece ? output + f : room;
  ATTN_UNROLL
  for (size_t v = 0; v < N; ++v) hn::StoreU(sum[v], tag, to + v * kWidth<T>);
  if (features < piece) std::memcpy(output + f, room, features * sizeof(T));
}

template <class T>
void scattered_value_product(const T* weights, const T* const* values, size_t count, size_t dim, T* output) {
  constexpr size_t wide = 4 * kWidth<T>;
  size_t f = 0;
  for (; f + wide <= dim; f += wide) scattered_sums<T, 4>(weights, values, count, f, wide, output);
  for (; f < dim; f += kWidth<T>) scattered_sums<T, 1>(weights, values, count, f, HWY_MIN(kWidth<T>, dim - f), output);
}

}  // namespace attn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

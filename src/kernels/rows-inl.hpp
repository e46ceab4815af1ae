// Between rows in memory and lanes: the transposed query block, the output's way back, and the search for NaN and infinity.
// Included once for each target.
#if defined(ATTN_KERNELS_ROWS_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTN_KERNELS_ROWS_INL_HPP
#undef ATTN_KERNELS_ROWS_INL_HPP
#else
#define ATTN_KERNELS_ROWS_INL_HPP
#endif

#include "kernels/quotient-inl.hpp"
#include "kernels/vector-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace attn::kernels::HWY_NAMESPACE {

// Squares of one 128-bit vector a side: 4 x 4 floats, 2 x 2 doubles, transposed by interleaving.
#if HWY_TARGET == HWY_SCALAR
template <class T>
using SquareTag = Tag<T>;
template <class T>
inline constexpr size_t kSquare = 1;
#else
template <class T>
using SquareTag = hn::Full128<T>;
template <class T>
inline constexpr size_t kSquare = 16 / sizeof(T);
#endif
template <class T>
using SquareVec = hn::Vec<SquareTag<T>>;

/// Transposes the squares of vectors of one square or of several side by side, each square by itself.
template <class D, class V>
HWY_INLINE void transpose(D /*d*/, V (&)[1]) {}

#if HWY_TARGET != HWY_SCALAR
template <class D, class V>
HWY_INLINE void transpose(D d, V (&row)[2]) {
  const V low = hn::InterleaveLower(d, row[0], row[1]);
  row[1] = hn::InterleaveUpper(d, row[0], row[1]);
  row[0] = low;
}

template <class D, class V>
HWY_INLINE void transpose(D d, V (&row)[4]) {
  const V a = hn::InterleaveLower(d, row[0], row[2]);
  const V b = hn::InterleaveLower(d, row[1], row[3]);
  const V e = hn::InterleaveUpper(d, row[0], row[2]);
  const V f = hn::InterleaveUpper(d, row[1], row[3]);
  row[0] = hn::InterleaveLower(d, a, b);
  row[1] = hn::InterleaveUpper(d, a, b);
  row[2] = hn::InterleaveLower(d, e, f);
  row[3] = hn::InterleaveUpper(d, e, f);
}
#endif

/// One vector for each feature of a square: feature f + s of the rows row(0), row(1), .. in natural order.
template <class D, class T, class Row>
HWY_INLINE hn::Vec<D> square_pieces(D d, const Row& row, size_t first, size_t f) {
#if HWY_TARGET != HWY_SCALAR
#if HWY_TARGET == HWY_AVX3
  // A load that puts its four floats at their place takes one instruction of any kind; joining halves needs the unit of shuffles.
  if constexpr (hn::MaxLanes(D()) == 16) {
    __m512 x = _mm512_castps128_ps512(_mm_loadu_ps(row(first) + f));
    x = _mm512_mask_broadcast_f32x4(x, 0x00f0, _mm_loadu_ps(row(first + 4) + f));
    x = _mm512_mask_broadcast_f32x4(x, 0x0f00, _mm_loadu_ps(row(first + 8) + f));
    x = _mm512_mask_broadcast_f32x4(x, 0xf000, _mm_loadu_ps(row(first + 12) + f));
    return hn::Vec<D>{x};
  }
#endif
  if constexpr (hn::MaxLanes(D()) > kSquare<T>) {
    const hn::Half<D> half;
    // Rows 4 apart (floats) lie in neighbouring squares, so that transposing the squares gives the natural order.
    return hn::Combine(d, square_pieces<hn::Half<D>, T>(half, row, first + hn::MaxLanes(D()) / 2, f),
                       square_pieces<hn::Half<D>, T>(half, row, first, f));
  }
#endif
  return hn::LoadU(d, row(first) + f);
}

/// column[s] holds feature f + s of the rows row(0) to row(kWidth - 1).
template <class T, class Row>
HWY_INLINE void load_square(const Row& row, size_t f, Vec<T> (&column)[kSquare<T>]) {
  const Tag<T> d;
  ATTN_UNROLL
  for (size_t r = 0; r < kSquare<T>; ++r) column[r] = square_pieces<Tag<T>, T>(d, row, r, f);
  transpose(d, column);
}

/// One vector of lanes from `count` rows times factor; the lanes after them become 0.
template <class T, class Row>
HWY_INLINE void load_lanes(const Row& row, size_t count, size_t dim, T factor, T* out) {
  const Tag<T> d;
  constexpr size_t kS = kSquare<T>;
  const Vec<T> scale = hn::Set(d, factor);
  const auto own = hn::FirstN(d, count);
  for (size_t next = 0; dim >= kS && next < dim; next += kS) {
    const size_t f = HWY_MIN(next, dim - kS);  // the last features may be loaded twice
    Vec<T> column[kS];
    load_square<T>(row, f, column);
    ATTN_UNROLL
    for (size_t s = 0; s < kS; ++s) hn::Store(hn::IfThenElseZero(own, hn::Mul(column[s], scale)), d, out + (f + s) * kLanes);
  }
  for (size_t f = 0; dim < kS && f < dim; ++f)
    for (size_t i = 0; i < kWidth<T>; ++i) out[f * kLanes + i] = i < count ? row(i)[f] * factor : 0;
}

template <class T>
void load_queries(const T* rows, size_t stride, size_t queries, size_t dim, T factor, T* out) {
  size_t i = 0;
  for (; i + kWidth<T> <= queries; i += kWidth<T>) {
    const T* first = rows + i * stride;
    load_lanes<T>([=](size_t r) { return first + r * stride; }, kWidth<T>, dim, factor, out + i);
  }
  if (i < queries) {
    const size_t left = queries - i;
    const T* first = rows + i * stride;
    load_lanes<T>([=](size_t r) { return first + HWY_MIN(r, left - 1) * stride; }, left, dim, factor, out + i);
    i += kWidth<T>;
  }
  const Tag<T> d;
  for (; i < kLanes; i += kWidth<T>)
    for (size_t f = 0; f < dim; ++f) hn::Store(hn::Zero(d), d, out + f * kLanes + i);
}

/// x / by, 0 where `by` is 0, NaN always with the same bits.
template <class T>
HWY_INLINE T quotient(T x, T by) {
  if (by == 0) return 0;
  const T result = x / by;
  // Only NaN differs from itself; std::isnan might be linked from code of another target.
  return result == result ? result : kNan<T>;  // NOLINT(misc-redundant-expression)
}

/// As many features as D has lanes, of kSquare<T> queries and divided, to rows `stride` apart.
template <class D, class T>
HWY_INLINE void store_square(D d, const T* output, const Quotient<D>& quotient, T* rows, size_t stride) {
  constexpr size_t kS = kSquare<T>;
  const auto feature = [output](size_t f) { return output + f * kLanes; };
  hn::Vec<D> row[kS];
  ATTN_UNROLL
  for (size_t r = 0; r < kS; ++r) row[r] = square_pieces<D, T>(d, feature, r, 0);
  quotient.divide(row);
  transpose(d, row);
  ATTN_UNROLL
  for (size_t r = 0; r < kS; ++r) hn::StoreU(row[r], d, rows + r * stride);
}

/// All features of kSquare<T> queries, at least as many as D has lanes; the last ones may be stored twice.
template <class D, class T>
HWY_INLINE void store_squares(D d, const T* output, const T* divisor, size_t dim, T* rows, size_t stride) {
  constexpr size_t kN = hn::MaxLanes(D());
  const Quotient<D> quotient(hn::LoadDup128(d, divisor));
  for (size_t next = 0; next < dim; next += kN) {
    const size_t f = HWY_MIN(next, dim - kN);
    store_square<D, T>(d, output + f * kLanes, quotient, rows + f, stride);
  }
}

template <class T>
void store_rows(const T* output, const T* divisor, size_t queries, size_t dim, T* rows, size_t stride) {
  constexpr size_t kS = kSquare<T>;
  if (queries < kS || dim < kS) {
    for (size_t i = 0; i < queries; ++i)
      for (size_t f = 0; f < dim; ++f) rows[i * stride + f] = quotient(output[f * kLanes + i], divisor[i]);
    return;
  }
  for (size_t next = 0; next < queries; next += kS) {
    const size_t i = HWY_MIN(next, queries - kS);  // the last queries may be stored twice
    if (dim < kWidth<T>)
      store_squares<SquareTag<T>, T>({}, output + i, divisor + i, dim, rows + i * stride, stride);
    else
      store_squares<Tag<T>, T>({}, output + i, divisor + i, dim, rows + i * stride, stride);
  }
}

template <class T>
bool all_finite(const T* rows, size_t stride, size_t count, size_t dim) {
  const Tag<T> d;
  // 0 * x is 0 for finite x and NaN for all else, and NaN stays in a sum.
  Vec<T> sum = hn::Zero(d);
  T rest = 0;
  for (size_t j = 0; j < count; ++j) {
    const T* row = rows + j * stride;
    size_t f = 0;
    for (; f + kWidth<T> <= dim; f += kWidth<T>) sum = fused(hn::LoadU(d, row + f), hn::Zero(d), sum);
    for (; f < dim; ++f) rest += row[f] * 0;
  }
  return hn::AllFalse(d, hn::IsNaN(sum)) && rest == 0;
}

template <class T>
bool any_visible(const T* rows, size_t stride, size_t count, size_t dim) {
  const Tag<T> d;
  for (size_t i = 0; i < count; ++i) {
    const T* row = rows + i * stride;
    size_t f = 0;
    for (; f + kWidth<T> <= dim; f += kWidth<T>)
      if (!hn::AllTrue(d, hn::Eq(hn::LoadU(d, row + f), hn::Set(d, -kInfinity<T>)))) return true;
    for (; f < dim; ++f)
      if (row[f] != -kInfinity<T>) return true;
  }
  return false;
}

}  // namespace attn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

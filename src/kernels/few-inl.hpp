// The two products for few queries, as fast as keys and values come from memory: lanes are keys, then features.
// Included once for each target.
#if defined(ATTN_KERNELS_FEW_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTN_KERNELS_FEW_INL_HPP
#undef ATTN_KERNELS_FEW_INL_HPP
#else
#define ATTN_KERNELS_FEW_INL_HPP
#endif

#include "kernels/prefetch-inl.hpp"
#include "kernels/product-inl.hpp"
#include "kernels/rows-inl.hpp"
#include "kernels/tile-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace attn::kernels::HWY_NAMESPACE {

/// sum[q] += key feature * query[q][f], for a square of features from f on, the first `from` of them left out.
template <class T, size_t Q>
HWY_INLINE void add_columns(const Vec<T> (&column)[kSquare<T>], size_t from, const T* const (&query)[Q], size_t f,
                            Vec<T> (&sum)[Q]) {
  const Tag<T> d;
  ATTN_UNROLL
  for (size_t s = 0; s < kSquare<T>; ++s) {
    if (s < from) continue;
    ATTN_UNROLL
    for (size_t q = 0; q < Q; ++q) sum[q] = fused(column[s], hn::Set(d, query[q][f + s]), sum[q]);
  }
}

/// Rows of keys at one distance, of which a square of features is taken at a time. A few pointers and multiples of the distance,
/// which stay in registers where kWidth pointers would not.
template <class T>
class KeyRows {
 public:
  HWY_INLINE KeyRows(const T* first, size_t stride) : step_(kSquare<T> * stride) {
    ATTN_UNROLL
    for (size_t r = 0; r < kSquare<T>; ++r) first_[r] = first + r * stride;
  }
  HWY_INLINE const T* operator()(size_t k) const { return first_[k % kSquare<T>] + k / kSquare<T> * step_; }
  HWY_INLINE void move(std::ptrdiff_t features) {
    ATTN_UNROLL
    for (const T*& row : first_) row += features;
  }

 private:
  const T* first_[kSquare<T>];
  const size_t step_;
};

/// Fewer rows than kWidth: the last one stands for those that are not there.
template <class T>
class FewKeyRows {
 public:
  HWY_INLINE FewKeyRows(const T* first, size_t stride, size_t count) : first_(first), stride_(stride), last_(count - 1) {}
  HWY_INLINE const T* operator()(size_t k) const { return first_ + HWY_MIN(k, last_) * stride_; }
  HWY_INLINE void move(std::ptrdiff_t features) { first_ += features; }

 private:
  const T* first_;
  const size_t stride_;
  const size_t last_;
};

/// Asks for what the next product needs, and for the next keys of this one to come to the first cache: their lines are wanted all
/// at a time, as many as there are keys in a vector.
template <class T>
struct KeyLines {
  HWY_INLINE KeyLines(const T* keys, size_t stride, size_t count, size_t dim, const Ahead<T>& ahead)
      : next(ahead), own(keys + HWY_MIN(kWidth<T>, count) * stride, stride, count - HWY_MIN(kWidth<T>, count), dim) {}
  template <size_t kBytes>
  HWY_INLINE void ask() {
    next.template ask<kBytes>();
    own.template ask<kBytes>();
  }

  NextLines<T> next;
  Lines<T, kFirstCache, 1> own;
};

/// Scores of kWidth keys against Q queries.
template <class T, size_t Q, class Rows>
HWY_INLINE void few_scores(Rows row, size_t dim, const T* const (&query)[Q], KeyLines<T>& lines, Vec<T> (&sum)[Q]) {
  const Tag<T> d;
  constexpr size_t kS = kSquare<T>;
  ATTN_UNROLL
  for (size_t q = 0; q < Q; ++q) sum[q] = hn::Zero(d);
  Vec<T> column[kS];
  size_t f = 0;
  for (; f + kS <= dim; f += kS) {
    load_square<T>(row, 0, column);
    row.move(kS);
    add_columns<T, Q>(column, 0, query, f, sum);
    lines.template ask<kWidth<T> * kS * sizeof(T)>();  // as many as have just been read
  }
  const size_t rest = dim - f;
  if (rest == 0) return;
  if (dim >= kS) {  // the square that ends with the row, less what has been added
    row.move(static_cast<std::ptrdiff_t>(rest) - static_cast<std::ptrdiff_t>(kS));
    load_square<T>(row, 0, column);
    return add_columns<T, Q>(column, kS - rest, query, dim - kS, sum);
  }
  for (; f < dim; ++f) {
    HWY_ALIGN T gathered[kWidth<T>];
    for (size_t k = 0; k < kWidth<T>; ++k) gathered[k] = row(k)[f];
    ATTN_UNROLL
    for (size_t q = 0; q < Q; ++q) sum[q] = fused(hn::Load(d, gathered), hn::Set(d, query[q][f]), sum[q]);
  }
}

/// The squares of x one after the other, each to its row.
template <class T, class D>
HWY_INLINE void store_squares(D d, hn::Vec<D> x, T* out, [[maybe_unused]] size_t stride) {
#if HWY_TARGET != HWY_SCALAR
  if constexpr (hn::MaxLanes(D()) > kSquare<T>) {
    const hn::Half<D> half;
    store_squares<T>(half, hn::LowerHalf(half, x), out, stride);
    store_squares<T>(half, hn::UpperHalf(half, x), out + hn::MaxLanes(half) / kSquare<T> * stride, stride);
    return;
  }
#endif
  hn::Store(x, d, out);
}

/// Into the lanes of the tile; `top` takes the largest of each lane, NaN left aside.
template <class T, size_t Q>
HWY_INLINE void few_store(const Vec<T> (&sum)[Q], size_t keys, T* tile, Vec<T> (&top)[Q]) {
  const Tag<T> d;
  ATTN_UNROLL
  for (size_t q = 0; q < Q; ++q) top[q] = larger(sum[q], top[q]);
  constexpr size_t kS = kSquare<T>;
  if (Q % kS == 0 && keys == kWidth<T>) {
    ATTN_UNROLL
    for (size_t q = 0; q < Q / kS * kS; q += kS) {
      Vec<T> row[kS];
      ATTN_UNROLL
      for (size_t s = 0; s < kS; ++s) row[s] = sum[q + s];
      transpose(d, row);
      ATTN_UNROLL
      for (size_t s = 0; s < kS; ++s) store_squares<T>(d, row[s], tile + s * kLanes + q, kS * kLanes);
    }
    return;
  }
  HWY_ALIGN T scores[Q][kWidth<T>];
  ATTN_UNROLL
  for (size_t q = 0; q < Q; ++q) hn::Store(sum[q], d, scores[q]);
  for (size_t k = 0; k < keys; ++k) {
    ATTN_UNROLL
    for (size_t q = 0; q < Q; ++q) tile[k * kLanes + q] = scores[q][k];
  }
}

/// The largest of a lane as a walk down the tile finds it, which matters for the sign of a zero only.
template <class T>
HWY_INLINE T few_maximum(const T* tile, size_t count, T largest, T maximum) {
  if (largest != 0) return largest > maximum ? largest : maximum;
  for (size_t j = 0; j < count; ++j) maximum = tile[j * kLanes] > maximum ? tile[j * kLanes] : maximum;
  return maximum;
}

template <class T, size_t Q>
void few_score_of(const T* keys, size_t stride, size_t count, size_t dim, const T* query_rows, size_t lanes, T* tile, T* maximum,
                  const Ahead<T>& ahead) {
  const Tag<T> d;
  constexpr size_t kW = kWidth<T>;
  const T* query[Q];
  for (size_t q = 0; q < Q; ++q) query[q] = query_rows + HWY_MIN(q, lanes - 1) * dim;
  Vec<T> top[Q];
  Vec<T> sum[Q];
  ATTN_UNROLL
  for (size_t q = 0; q < Q; ++q) top[q] = hn::Set(d, -kInfinity<T>);
  KeyLines<T> lines(keys, stride, count, dim, ahead);
  if (count < kW) {
    few_scores<T, Q>(FewKeyRows<T>(keys, stride, count), dim, query, lines, sum);
    few_store<T, Q>(sum, count, tile, top);
  } else {
    for (size_t next = 0; next < count; next += kW) {
      // The last keys may be scored twice.
      const size_t j = HWY_MIN(next, count - kW);
      few_scores<T, Q>(KeyRows<T>(keys + j * stride, stride), dim, query, lines, sum);
      few_store<T, Q>(sum, kW, tile + j * kLanes, top);
    }
  }
  lines.next.until(1, 1);
  if (maximum == nullptr) return;
  for (size_t q = 0; q < HWY_MIN(Q, lanes); ++q)
    maximum[q] = few_maximum(tile + q, count, hn::GetLane(hn::MaxOfLanes(d, top[q])), maximum[q]);
}

template <class T>
void few_score_product(const T* keys, size_t stride, size_t count, size_t dim, const T* query_rows, size_t lanes, T* tile,
                       T* maximum, const Ahead<T>& ahead) {
  if (count == 0) return;
  const auto run = lanes == 1   ? few_score_of<T, 1>
                   : lanes == 2 ? few_score_of<T, 2>
                   : lanes <= 4 ? few_score_of<T, 4>
                                : few_score_of<T, 8>;
  run(keys, stride, count, dim, query_rows, lanes, tile, maximum, ahead);
}

/// Rows of values taken at a time, and the features whose sums are held meanwhile, with room for one vector more.
inline constexpr size_t kFewRows = 8;
inline constexpr size_t kFewFeatures = 512;
template <class T>
inline constexpr size_t kFewSums = kFewFeatures + kWidth<T>;

/// sums[q][f ..] += the rows' values * weights, for Q queries and V vectors of features. `fresh` begins at 0.
template <class D, size_t Q, size_t V, class T>
HWY_INLINE void few_value_panel(const T* HWY_RESTRICT weights, const T* HWY_RESTRICT values, size_t stride, size_t count,
                                bool fresh, T* HWY_RESTRICT sums, NextLines<T>& next) {
  const D d;
  constexpr size_t kW = hn::MaxLanes(D());
  hn::Vec<D> sum[Q][V];
  ATTN_UNROLL
  for (size_t q = 0; q < Q; ++q) {
    ATTN_UNROLL
    for (size_t v = 0; v < V; ++v) sum[q][v] = fresh ? hn::Zero(d) : hn::LoadU(d, sums + q * kFewSums<T> + v * kW);
  }
  for (size_t j = 0; j < count; ++j) {
    next.template ask<V * kW * sizeof(T)>();
    hn::Vec<D> value[V];
    ATTN_UNROLL
    for (size_t v = 0; v < V; ++v) value[v] = hn::LoadU(d, values + j * stride + v * kW);
    ATTN_UNROLL
    for (size_t q = 0; q < Q; ++q) {
      const hn::Vec<D> weight = hn::Set(d, weights[j * kLanes + q]);
      ATTN_UNROLL
      for (size_t v = 0; v < V; ++v) sum[q][v] = fused(value[v], weight, sum[q][v]);
    }
  }
  ATTN_UNROLL
  for (size_t q = 0; q < Q; ++q) {
    ATTN_UNROLL
    for (size_t v = 0; v < V; ++v) hn::StoreU(sum[q][v], d, sums + q * kFewSums<T> + v * kW);
  }
}

/// Vectors of features that Q queries take at a time: sums for all of them fit the registers.
template <size_t Q>
inline constexpr size_t kFewVectors = HWY_MAX(size_t{1}, HWY_MIN(size_t{8}, size_t{4} * kPanel / Q));

/// All whole vectors of features of some rows, the widest panels first. Returns how many features those are.
template <class D, size_t Q, size_t V, class T>
HWY_INLINE size_t few_value_panels(size_t f, const T* weights, const T* values, size_t stride, size_t count, size_t dim,
                                   bool fresh, T* sums, NextLines<T>& next) {
  constexpr size_t kW = hn::MaxLanes(D());
  for (; f + V * kW <= dim; f += V * kW) few_value_panel<D, Q, V>(weights, values + f, stride, count, fresh, sums + f, next);
  if constexpr (V > 1) return few_value_panels<D, Q, V / 2>(f, weights, values, stride, count, dim, fresh, sums, next);
  return f;
}

/// Values of up to kFewFeatures features, at least one vector of them. Rows are taken in blocks, so that all memory is read in
/// order.
template <class D, size_t Q, class T>
HWY_INLINE void few_value_chunk(const T* weights, const T* values, size_t stride, size_t count, size_t dim, size_t lanes,
                                const T* rescale, T* output_rows, size_t output_stride, NextLines<T>& next) {
  constexpr size_t kW = hn::MaxLanes(D());
  const D d;
  HWY_ALIGN T sums[Q * kFewSums<T>];
  const size_t whole = dim / kW * kW;
  const size_t rest = dim - whole;
  size_t j = 0;
  do {  // there is at least one row: else the compiler sees sums that nothing was written to
    const size_t rows = HWY_MIN(kFewRows, count - j);
    const T* block = values + j * stride;
    const T* weight = weights + j * kLanes;
    few_value_panels<D, Q, kFewVectors<Q>>(0, weight, block, stride, rows, dim, j == 0, static_cast<T*>(sums), next);
    // The vector that ends with the row holds features of the one before it, too; they are left out below.
    if (rest != 0) few_value_panel<D, Q, 1>(weight, block + dim - kW, stride, rows, j == 0, sums + whole, next);
    j += kFewRows;
  } while (j < count);
  for (size_t q = 0; q < HWY_MIN(Q, lanes); ++q) {
    T* out = output_rows + q * output_stride;
    const T* sum = sums + q * kFewSums<T>;
    const hn::Vec<D> factor = hn::Set(d, rescale[q]);
    for (size_t f = 0; f < whole; f += kW) hn::StoreU(fused(hn::LoadU(d, out + f), factor, hn::LoadU(d, sum + f)), d, out + f);
    const hn::CappedTag<T, 1> one;
    for (size_t f = 0; f < rest; ++f) {
      const auto x = hn::LoadU(one, sum + whole + kW - rest + f);
      hn::StoreU(fused(hn::LoadU(one, out + whole + f), hn::Set(one, rescale[q]), x), one, out + whole + f);
    }
  }
}

template <class T, size_t Q>
void few_value_of(const T* weights, const T* values, size_t stride, size_t count, size_t dim, size_t lanes, const T* rescale,
                  T* output_rows, const Ahead<T>& ahead) {
  NextLines<T> next(ahead);
  for (size_t f = 0; f < dim; f += kFewFeatures) {
    const size_t width = HWY_MIN(dim - f, kFewFeatures);
    const T* const from = values + f;
    T* const to = output_rows + f;
    if (width >= kWidth<T>) {
      few_value_chunk<Tag<T>, Q>(weights, from, stride, count, width, lanes, rescale, to, dim, next);
    } else if (width >= kSquare<T>) {
      few_value_chunk<SquareTag<T>, Q>(weights, from, stride, count, width, lanes, rescale, to, dim, next);
    } else {
      few_value_chunk<hn::CappedTag<T, 1>, Q>(weights, from, stride, count, width, lanes, rescale, to, dim, next);
    }
  }
  next.until(1, 1);
}

template <class T>
void few_value_product(const T* weights, const T* values, size_t stride, size_t count, size_t dim, size_t lanes, const T* rescale,
                       T* output_rows, const Ahead<T>& ahead) {
  if (count == 0) return;
  const auto run = lanes == 1   ? few_value_of<T, 1>
                   : lanes == 2 ? few_value_of<T, 2>
                   : lanes <= 4 ? few_value_of<T, 4>
                                : few_value_of<T, 8>;
  run(weights, values, stride, count, dim, lanes, rescale, output_rows, ahead);
}

/// exp(logit - maximum) of one lane of a tile, in a row of its own first.
template <class T, bool kNatural>
HWY_INLINE void few_exponentials(const T* tile, size_t count, T maximum, T* HWY_RESTRICT row) {
  const Tag<T> d;
  const Vec<T> top = usable<T>(hn::Set(d, maximum));
  for (size_t j = 0; j < count; ++j) row[j] = tile[j * kLanes];
  for (size_t j = 0; j < count; j += kWidth<T>) hn::Store(exp_below<T, kNatural, true>(hn::Load(d, row + j), top), d, row + j);
}

/// exp(logit - maximum) of as many lanes as a square has, for several keys in one vector, and the sum over keys of each lane.
template <class T, bool kNatural>
HWY_INLINE void few_squares(T* tile, size_t count, const T* maximum, T* sums) {
  const Tag<T> d;
  const SquareTag<T> square;
  constexpr size_t kS = kSquare<T>;
  constexpr size_t kKeysAtOnce = kWidth<T> / kS;
  HWY_ALIGN T all[kWidth<T>];
  for (size_t i = 0; i < kWidth<T>; ++i) all[i] = maximum[i % kS];
  const Vec<T> top = usable<T>(hn::Load(d, all));
  SquareVec<T> sum = hn::Zero(square);
  for (size_t j = 0; j < count; j += kKeysAtOnce) {
    const size_t left = HWY_MIN(count - j, kKeysAtOnce);
    const T* const first = tile + j * kLanes;
    const auto row = [=](size_t piece) { return first + HWY_MIN(piece / kS, left - 1) * kLanes; };
    const Vec<T> p = exp_below<T, kNatural, true>(square_pieces<Tag<T>, T>(d, row, 0, 0), top);
    HWY_ALIGN T weights[kWidth<T>];
    hn::Store(p, d, weights);
    for (size_t k = 0; k < left; ++k) {
      const SquareVec<T> weight = hn::Load(square, weights + k * kS);
      hn::Store(weight, square, tile + (j + k) * kLanes);
      sum = hn::Add(sum, weight);
    }
  }
  hn::Store(sum, square, sums);
}

template <class T>
void few_softmax_step(T* tile, size_t count, size_t lanes, bool natural, SoftmaxRows<T>& rows) {
  HWY_ALIGN T sums[kWidth<T>] = {};
  if (lanes == 1) {
    HWY_ALIGN T row[kKeys] = {};
    if (natural) {
      few_exponentials<T, true>(tile, count, rows.next[0], row);
    } else {
      few_exponentials<T, false>(tile, count, rows.next[0], row);
    }
    for (size_t j = 0; j < count; ++j) {
      sums[0] += row[j];
      tile[j * kLanes] = row[j];
    }
  } else if (lanes <= kSquare<T> && 2 * kSquare<T> <= kWidth<T>) {
    if (natural) {
      few_squares<T, true>(tile, count, rows.next, sums);
    } else {
      few_squares<T, false>(tile, count, rows.next, sums);
    }
  } else {  // a vector of lanes is as good
    return softmax_step(tile, count, lanes, natural, rows);
  }
  join_step(static_cast<const T*>(sums), lanes, natural, rows);
}

template <class T>
void scale_rows(const T* rows, size_t stride, size_t queries, size_t dim, T factor, T* out) {
  const Tag<T> d;
  for (size_t i = 0; i < queries; ++i) {
    size_t f = 0;
    for (; f + kWidth<T> <= dim; f += kWidth<T>)
      hn::StoreU(hn::Mul(hn::LoadU(d, rows + i * stride + f), hn::Set(d, factor)), d, out + i * dim + f);
    for (; f < dim; ++f) out[i * dim + f] = rows[i * stride + f] * factor;
  }
}

}  // namespace attn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

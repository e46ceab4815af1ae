// What is learned of a tile besides the output: sums that entropy and distance come from, largest logits, logits above a
// threshold. Included once for each target.
#if defined(ATTN_KERNELS_NOTES_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTN_KERNELS_NOTES_INL_HPP
#undef ATTN_KERNELS_NOTES_INL_HPP
#else
#define ATTN_KERNELS_NOTES_INL_HPP
#endif

#include "kernels/log-inl.hpp"

#include <cstdint>
#include <cstring>

HWY_BEFORE_NAMESPACE();
namespace attn::kernels::HWY_NAMESPACE {

/// x ln x; 0 for 0, NaN below.
template <class T>
HWY_INLINE Vec<T> x_log_x(Vec<T> x) {
  const Tag<T> d;
  const Vec<T> product = hn::Mul(x, log_positive<T>(x));
  const Vec<T> real = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Set(d, kNan<T>), product);
  return hn::IfThenElse(hn::Eq(x, hn::Zero(d)), hn::Zero(d), real);
}

template <class T>
struct RowSumsPanel {
  template <size_t N>
  static void run(size_t lane, const T* tile, size_t count, const T* position, const TileSums<T>* sums) {
    const Tag<T> d;
    Vec<T> mass[N];
    Vec<T> information[N];
    Vec<T> distance[N];
    ATTN_UNROLL
    for (size_t v = 0; v < N; ++v) mass[v] = information[v] = distance[v] = hn::Zero(d);
    for (size_t j = 0; j < count; ++j) {
      const Vec<T> row = hn::Set(d, static_cast<T>(j));
      ATTN_UNROLL
      for (size_t v = 0; v < N; ++v) {
        const size_t at = lane + v * kWidth<T>;
        const Vec<T> x = hn::Load(d, tile + j * kLanes + at);
        mass[v] = hn::Add(mass[v], x);
        information[v] = hn::Add(information[v], x_log_x<T>(x));
        distance[v] = fused(x, hn::Abs(hn::Sub(hn::Load(d, position + at), row)), distance[v]);
      }
    }
    ATTN_UNROLL
    for (size_t v = 0; v < N; ++v) {
      const size_t at = lane + v * kWidth<T>;
      hn::Store(mass[v], d, sums->mass + at);
      hn::Store(information[v], d, sums->information + at);
      hn::Store(distance[v], d, sums->distance + at);
    }
  }
};

template <class T>
void row_sums(const T* tile, size_t count, size_t lanes, const T* position, const TileSums<T>& sums) {
  for_panels<T, RowSumsPanel<T>>(lanes, tile, count, position, &sums);
}

/// Bit i is lane i of the mask.
template <class T, class M>
HWY_INLINE std::uint64_t bits_of(M mask) {
  std::uint8_t bytes[sizeof(std::uint64_t)] = {};
  hn::StoreMaskBits(Tag<T>(), mask, bytes);
  std::uint64_t bits = 0;
  std::memcpy(&bits, bytes, sizeof(bits));
  return bits;
}

/// Only the lanes that stand for queries.
HWY_INLINE std::uint64_t first_bits(size_t lanes) { return lanes >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << lanes) - 1; }

/// The first row of each lane in `more` that holds `top`.
template <class T, class M>
HWY_INLINE Vec<T> first_row_of(const T* column, size_t count, M more, Vec<T> top) {
  const Tag<T> d;
  Vec<T> where = hn::Zero(d);
  auto open = more;
  for (size_t j = 0; j < count && !hn::AllFalse(d, open); ++j) {
    const auto here = hn::And(open, hn::Eq(hn::Load(d, column + j * kLanes), top));
    where = hn::IfThenElse(here, hn::Set(d, static_cast<T>(j)), where);
    open = hn::AndNot(here, open);
  }
  return where;
}

template <class T>
struct LargestPanel {
  template <size_t N>
  static void run(size_t lane, const T* tile, size_t count, T* best, T* row, std::uint64_t* found) {
    const Tag<T> d;
    Vec<T> top[N];
    ATTN_UNROLL
    for (size_t v = 0; v < N; ++v) top[v] = hn::Load(d, best + lane + v * kWidth<T>);
    for (size_t j = 0; j < count; ++j) {
      ATTN_UNROLL
      for (size_t v = 0; v < N; ++v) top[v] = larger(hn::Load(d, tile + j * kLanes + lane + v * kWidth<T>), top[v]);
    }
    ATTN_UNROLL
    for (size_t v = 0; v < N; ++v) {
      const size_t at = lane + v * kWidth<T>;
      const auto more = hn::Gt(top[v], hn::Load(d, best + at));
      if (hn::AllFalse(d, more)) continue;
      hn::Store(first_row_of<T>(tile + at, count, more, top[v]), d, row + at);
      hn::Store(top[v], d, best + at);
      *found |= bits_of<T>(more) << at;
    }
  }
};

template <class T>
std::uint64_t largest(const T* tile, size_t count, size_t lanes, T* best, T* row) {
  std::uint64_t found = 0;
  for_panels<T, LargestPanel<T>>(lanes, tile, count, best, row, &found);
  return found & first_bits(lanes);
}

/// `threshold(j, i)`: the vector that lanes i.. of row j are held to.
template <class T, class Threshold>
HWY_INLINE bool above_bits(const T* tile, size_t count, size_t lanes, const Threshold& threshold, std::uint64_t* bits) {
  const Tag<T> d;
  const std::uint64_t own = first_bits(lanes);
  std::uint64_t any = 0;
  for (size_t j = 0; j < count; ++j) {
    std::uint64_t row = 0;
    for (size_t i = 0; i < lanes; i += kWidth<T>)
      row |= bits_of<T>(hn::Gt(hn::Load(d, tile + j * kLanes + i), threshold(j, i))) << i;
    bits[j] = row & own;
    any |= bits[j];
  }
  return any != 0;
}

template <class T>
struct OfLane {
  const T* threshold;
  HWY_INLINE Vec<T> operator()(size_t /*row*/, size_t lane) const { return hn::Load(Tag<T>(), threshold + lane); }
};

template <class T>
struct OfRow {
  const T* threshold;
  HWY_INLINE Vec<T> operator()(size_t row, size_t /*lane*/) const { return hn::Set(Tag<T>(), threshold[row]); }
};

template <class T>
bool above(const T* tile, size_t count, size_t lanes, const T* threshold, std::uint64_t* bits) {
  return above_bits<T>(tile, count, lanes, OfLane<T>{threshold}, bits);
}

template <class T>
bool rows_above(const T* tile, size_t count, size_t lanes, const T* threshold, std::uint64_t* bits) {
  return above_bits<T>(tile, count, lanes, OfRow<T>{threshold}, bits);
}

struct SumOf {
  template <class V>
  static HWY_INLINE V join(V sum, V x) {
    return hn::Add(sum, x);
  }
};

struct LargestOf {
  template <class V>
  static HWY_INLINE V join(V top, V x) {
    return hn::IfThenElse(hn::Or(hn::Gt(x, top), hn::IsNaN(x)), x, top);
  }
};

/// One number for each lane from all rows, joined in their order.
template <class T, class F>
struct JoinedRowsPanel {
  template <size_t N>
  static void run(size_t lane, const T* tile, size_t count, T* out) {
    const Tag<T> d;
    Vec<T> joined[N];
    ATTN_UNROLL
    for (size_t v = 0; v < N; ++v) joined[v] = hn::Load(d, tile + lane + v * kWidth<T>);
    for (size_t j = 1; j < count; ++j) {
      ATTN_UNROLL
      for (size_t v = 0; v < N; ++v) joined[v] = F::join(joined[v], hn::Load(d, tile + j * kLanes + lane + v * kWidth<T>));
    }
    ATTN_UNROLL
    for (size_t v = 0; v < N; ++v) hn::Store(joined[v], d, out + lane + v * kWidth<T>);
  }
};

template <class T>
void key_sums(const T* tile, size_t count, size_t lanes, T* out) {
  for_panels<T, JoinedRowsPanel<T, SumOf>>(lanes, tile, count, out);
}

template <class T>
void key_maxima(const T* tile, size_t count, size_t lanes, T* out) {
  for_panels<T, JoinedRowsPanel<T, LargestOf>>(lanes, tile, count, out);
}

}  // namespace attn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

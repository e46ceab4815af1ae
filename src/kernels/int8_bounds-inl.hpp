// Bounds on scores from 8-bit integers, and what is told from them, for one vector target; the table of all kernels of 8-bit
// integers. Included once for each target, after int8-inl.hpp.
#if defined(ATTN_KERNELS_INT8_BOUNDS_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTN_KERNELS_INT8_BOUNDS_INL_HPP
#undef ATTN_KERNELS_INT8_BOUNDS_INL_HPP
#else
#define ATTN_KERNELS_INT8_BOUNDS_INL_HPP
#endif

#include "kernels/int8-inl.hpp"

#include <algorithm>
#include <bit>
#include <limits>

HWY_BEFORE_NAMESPACE();
namespace attn::kernels::int8::HWY_NAMESPACE {

/// Numbers below 2^31 that are not negative, towards zero; of others anything.
HWY_INLINE Ints whole(Vec<float> x) {
#if HWY_TARGET == HWY_AVX3
  return Ints{_mm512_cvttps_epi32(x.raw)};  // Highway's own looks for overflow, too
#else
  return hn::ConvertTo(kInts, x);
#endif
}

using Shorts = hn::Rebind<std::uint16_t, Tag<float>>;

/// Numbers as the next bfloat16 that is not smaller. NaN stays NaN.
HWY_INLINE void store_bounds(Vec<float> x, std::uint16_t* to) {
  const auto bits =
      hn::BitCast(kBits, hn::IfThenElse(hn::IsNaN(x), hn::Set(kFloats, std::numeric_limits<float>::quiet_NaN()), x));
  const auto is_negative = hn::BitCast(kBits, hn::BroadcastSignBit(hn::BitCast(kInts, bits)));
  const auto up = hn::Add(bits, hn::AndNot(is_negative, hn::Set(kBits, 0xFFFFU)));
  hn::StoreU(hn::DemoteTo(Shorts(), hn::BitCast(kInts, hn::ShiftRight<16>(up))), Shorts(), to);
}

HWY_INLINE Vec<float> load_bounds(const std::uint16_t* from) {
  return hn::BitCast(kFloats, hn::ShiftLeft<16>(hn::PromoteTo(kBits, hn::LoadU(Shorts(), from))));
}

/// How far the scores of a group of keys and the queries from lane `at` on may be below the exact ones.
HWY_INLINE Vec<float> own(const KeyErrors& errors, size_t group, const Int8Queries& queries, size_t at) {
  const auto of_queries = hn::Mul(hn::Load(kFloats, queries.lost + at), hn::Set(kFloats, errors.longest[group]));
  return fused(hn::Load(kFloats, queries.norm + at), hn::Set(kFloats, errors.lost[group]), of_queries);
}

/// Which pairs are left out, one row and vector after the other: bit i of rows[j] is lane i. Bits are put down without asking
/// whether any matters: what a wrong guess of a branch costs is as much as a row.
struct Sifting {
  Sifting(const Sieve& where, size_t count) : sieve(where) { std::fill_n(rows, count, std::uint64_t{0}); }

  const Sieve& sieve;
  std::uint64_t rows[kKeys];

  /// Of row j and the vector from `lane` on, whose exponents are y before the smallest: what is added to the sums.
  HWY_INLINE Vec<float> take(size_t j, size_t lane, Vec<float> exponents, Vec<float> limit) {
    const auto y = larger(hn::Set(kFloats, kSiftLeast), exponents);
    const auto left_out = hn::Lt(y, limit);
    if constexpr (kLanesOfVector % 8 == 0) {
      hn::StoreMaskBits(kFloats, left_out, reinterpret_cast<std::uint8_t*>(rows + j) + lane / 8);
    } else {
      std::uint8_t bits[8] = {};
      hn::StoreMaskBits(kFloats, left_out, bits);
      rows[j] |= std::uint64_t{bits[0]} << lane;
    }
    // NaN is never left out, and no whole number either.
    return hn::BitCast(kFloats, whole(hn::IfThenElseZero(left_out, y)));
  }

  /// What was not left out of the first `count` rows.
  size_t find(size_t count, size_t lanes) const {
    const std::uint64_t there = ~std::uint64_t{0} >> (kLanes - lanes);
    std::int32_t* to = sieve.found;
    for (size_t j = 0; j < count; ++j) {
      const auto first = static_cast<std::int32_t>(j * kLanes);
      std::uint64_t left = ~rows[j] & there;
      // Most rows have two at most: they are put down whether there or not.
      for (int n = 0; n < 2; ++n) {
        *to = first + std::countr_zero(left);
        to += left != 0 ? 1 : 0;
        left &= left - 1;
      }
      for (; left != 0; left &= left - 1) *to++ = first + std::countr_zero(left);
    }
    return static_cast<size_t>(to - sieve.found);
  }
};

inline size_t sift(const std::uint16_t* HWY_RESTRICT bounds, size_t count, size_t lanes, const Sieve& sieve) {
  constexpr size_t kLine = 64 / sizeof(std::uint16_t);
  Sifting sifting(sieve, count);
  for (size_t lane = 0; lane < lanes; lane += kLanesOfVector) {
    const auto shift = hn::Load(kFloats, sieve.shift + lane);
    const auto limit = hn::Load(kFloats, sieve.limit + lane);
    auto total = hn::Load(kFloats, sieve.sum + lane);
    for (size_t j = 0; j < count; ++j) {
      // The rows of the next call, which the processor does not guess.
      if (lane % kLine == 0) __builtin_prefetch(bounds + (j + kKeys) * kLanes + lane);
      const auto bound = load_bounds(bounds + j * kLanes + lane);
      total = hn::Add(total, sifting.take(j, lane, fused(bound, hn::Set(kFloats, kSiftStep), shift), limit));
    }
    hn::Store(total, kFloats, sieve.sum + lane);
  }
  return sifting.find(count, lanes);
}

inline void tails(const std::uint16_t* bounds, size_t count, size_t lanes, float step, const float* shift, const float* limits,
                  float* sums) {
  for (size_t lane = 0; lane < lanes; lane += kLanesOfVector) {
    const auto raised = hn::Load(kFloats, shift + lane);
    Vec<float> limit[kTails];
    Vec<float> sum[kTails];
    ATTN_UNROLL
    for (size_t n = 0; n < kTails; ++n) {
      limit[n] = hn::Load(kFloats, limits + n * kLanes + lane);
      sum[n] = hn::Load(kFloats, sums + n * kLanes + lane);
    }
    for (size_t j = 0; j < count; ++j) {
      const auto bound = load_bounds(bounds + j * kLanes + lane);
      // In this order NaN becomes the least, so that no conversion meets it.
      const auto finite = larger(bound, hn::Set(kFloats, std::numeric_limits<float>::lowest()));  // -infinity times 0 is none
      const auto y = larger(fused(finite, hn::Set(kFloats, step), raised), hn::Set(kFloats, kSiftLeast));
      const auto number =
          hn::BitCast(kFloats, whole(hn::IfThenElse(hn::Lt(y, hn::Set(kFloats, kSiftMost)), y, hn::Set(kFloats, kSiftMost))));
      ATTN_UNROLL
      for (size_t n = 0; n < kTails; ++n) sum[n] = hn::Add(sum[n], hn::IfThenElseZero(hn::Lt(bound, limit[n]), number));
    }
    ATTN_UNROLL
    for (size_t n = 0; n < kTails; ++n) hn::Store(sum[n], kFloats, sums + n * kLanes + lane);
  }
}

template <class Way, size_t N>
struct PeakRows {
  template <size_t R>
  static HWY_INLINE void run(size_t row, const Int8Rows& keys, const KeyErrors& errors, const Int8Queries& queries, size_t lane,
                             std::uint16_t* peaks, float* maximum) {
    Ints sum[R][N];
    dot_rows<Way>(keys, row, queries.data + lane * kQuad, sum);
    const size_t group = row / kGroup;
    ATTN_UNROLL
    for (size_t v = 0; v < N; ++v) {
      const size_t at = lane + v * kLanesOfVector;
      Ints top = sum[0][v];
      ATTN_UNROLL
      for (size_t r = 1; r < R; ++r) top = hn::Max(top, sum[r][v]);
      const auto product = hn::Mul(hn::ConvertTo(kFloats, top), hn::Set(kFloats, keys.scale[row]));
      auto peak = fused(product, hn::Load(kFloats, queries.scale + at), own(errors, group, queries, at));
      std::uint16_t* const to = peaks + group * kLanes + at;
      if (R < kGroup && row % kGroup != 0) peak = larger(load_bounds(to), peak);
      store_bounds(peak, to);
      hn::Store(larger(peak, hn::Load(kFloats, maximum + at)), kFloats, maximum + at);
    }
  }
};

template <class Way>
struct PeakPanel {
  template <size_t N>
  static void run(size_t lane, const Int8Rows* keys, size_t count, const KeyErrors* errors, const Int8Queries* queries,
                  std::uint16_t* peaks, float* maximum) {
    for_rows<PeakRows<Way, N>>(count, *keys, *errors, *queries, lane, peaks, maximum);
  }
};

template <class Way>
void peaks(const Int8Rows& keys, size_t count, const KeyErrors& errors, const Int8Queries& queries, size_t lanes,
           std::uint16_t* peaks, float* maximum) {
  for_panels<float, PeakPanel<Way>>(lanes, &keys, count, &errors, &queries, peaks, maximum);
}

inline void peaks_of(const float* tile, size_t count, const KeyErrors& errors, const Int8Queries& queries, size_t lanes,
                     std::uint16_t* peaks, float* maximum) {
  for (size_t lane = 0; lane < lanes; lane += kLanesOfVector) {
    auto top = hn::Load(kFloats, maximum + lane);
    for (size_t j = 0; j < count; j += kGroup) {
      auto peak = hn::Load(kFloats, tile + j * kLanes + lane);
      for (size_t r = j + 1; r < std::min(j + kGroup, count); ++r) {
        const auto score = hn::Load(kFloats, tile + r * kLanes + lane);
        peak = hn::IfThenElse(hn::Or(hn::Gt(score, peak), hn::IsNaN(score)), score, peak);
      }
      peak = hn::Add(peak, own(errors, j / kGroup, queries, lane));
      store_bounds(peak, peaks + j / kGroup * kLanes + lane);
      top = larger(peak, top);
    }
    hn::Store(top, kFloats, maximum + lane);
  }
}

#if HWY_TARGET == HWY_SCALAR
/// to[r] = the sum of the elements of rows[r], 0 from kGroup to kGroupRoom.
HWY_INLINE void sums_of_rows(const Ints (&rows)[kGroup], std::int32_t (&to)[kGroupRoom]) {
  for (size_t r = 0; r < kGroupRoom; ++r) to[r] = r < kGroup ? hn::GetLane(rows[r]) : 0;
}
#else
/// The sum of a vector's blocks of 128 bits.
template <class V>
HWY_INLINE auto sum_of_blocks(V x) {
  const hn::DFromV<V> integers;
  if constexpr (hn::MaxLanes(integers) == 4) {
    return x;
  } else {
    const hn::Half<hn::DFromV<V>> half;
    return sum_of_blocks(hn::Add(hn::LowerHalf(half, x), hn::UpperHalf(half, x)));
  }
}

/// The sums of the elements of four vectors, side by side.
HWY_INLINE auto sums_of_four(Ints a, Ints b, Ints c, Ints d) {
  const hn::RepartitionToWide<decltype(kInts)> wide;
  // Of each block of 128 bits two elements of two rows, then one of each row.
  const auto ab = hn::BitCast(wide, hn::Add(hn::InterleaveLower(kInts, a, b), hn::InterleaveUpper(kInts, a, b)));
  const auto cd = hn::BitCast(wide, hn::Add(hn::InterleaveLower(kInts, c, d), hn::InterleaveUpper(kInts, c, d)));
  return sum_of_blocks(
      hn::Add(hn::BitCast(kInts, hn::InterleaveLower(wide, ab, cd)), hn::BitCast(kInts, hn::InterleaveUpper(wide, ab, cd))));
}

/// to[r] = the sum of the elements of rows[r], 0 from kGroup to kGroupRoom.
HWY_INLINE void sums_of_rows(const Ints (&rows)[kGroup], std::int32_t (&to)[kGroupRoom]) {
  static_assert(kGroup == 6 && kGroupRoom == 8);
  const hn::Full128<std::int32_t> four;
  hn::Store(sums_of_four(rows[0], rows[1], rows[2], rows[3]), four, to);
  hn::Store(sums_of_four(rows[4], rows[5], hn::Zero(kInts), hn::Zero(kInts)), four, to + 4);
}
#endif

template <class Way>
void dots(const Int8Rows& keys, const std::uint32_t* first, size_t count, const Int8FineQuery& query, float* scores) {
  constexpr size_t ahead = 6;  // groups whose rows are asked for before they are needed
  constexpr size_t line = 64;
  const hn::CappedTag<std::int32_t, kGroupRoom> integers;
  const hn::CappedTag<float, kGroupRoom> floats;
  const size_t bytes = keys.quads * kQuad;
  const auto low_bits = static_cast<int>(query.low_bits);
  for (size_t n = 0; n < count; ++n) {
    const std::int8_t* const rows = keys.data + first[n] * bytes;
    const std::int8_t* const next = keys.data + first[std::min(n + ahead, count - 1)] * bytes;
    for (size_t b = 0; b < kGroup * bytes; b += line) __builtin_prefetch(next + b);
    Ints sum[kGroup];
    Ints low[kGroup];
    ATTN_UNROLL
    for (size_t r = 0; r < kGroup; ++r) sum[r] = low[r] = hn::Zero(kInts);
    for (size_t t = 0; t < keys.quads; t += kLanesOfVector) {
      const auto left = Way::left(hn::Load(kInts, reinterpret_cast<const std::int32_t*>(query.high) + t));
      const auto rest = Way::left(hn::Load(kInts, reinterpret_cast<const std::int32_t*>(query.low) + t));
      ATTN_UNROLL
      for (size_t r = 0; r < kGroup; ++r) {
        // What lies beyond a row meets zeros of the query.
        const auto row = Way::right(hn::LoadU(kInts, reinterpret_cast<const std::int32_t*>(rows + r * bytes) + t));
        sum[r] = Way::add(sum[r], left, row);
        low[r] = Way::add(low[r], rest, row);
      }
    }
    ATTN_UNROLL
    for (size_t r = 0; r < kGroup; ++r) sum[r] = hn::Add(hn::ShiftLeftSame(sum[r], low_bits), low[r]);
    alignas(16) std::int32_t sums[kGroupRoom];
    sums_of_rows(sum, sums);
    const auto factor = hn::Set(floats, keys.scale[first[n]] * query.scale);
    float* const to = scores + n * kGroupRoom;
    ATTN_UNROLL
    for (size_t r = 0; r < kGroupRoom; r += hn::MaxLanes(floats)) {
      const auto offset = hn::ShiftLeftSame(hn::LoadU(integers, keys.offset + first[n] + r), low_bits);
      const auto total = hn::Add(hn::LoadU(integers, sums + r), offset);
      hn::Store(hn::Mul(hn::ConvertTo(floats, total), factor), floats, to + r);
    }
    for (size_t r = kGroup; r < kGroupRoom; ++r) to[r] = -std::numeric_limits<float>::infinity();
  }
}

inline size_t pick(float* scores, const float* own, size_t count, const PickLimits& limits, std::int32_t* found, float* sums) {
  const hn::CappedTag<float, kGroupRoom> floats;  // so that a sum is of the same keys on all targets
  const hn::CappedTag<std::int32_t, kGroupRoom> integers;
  const size_t width = hn::Lanes(floats);
  std::int32_t* to = found;
  for (size_t n = 0; n < count; ++n) {
    std::uint32_t kept = 0;
    for (size_t r = 0; r < kGroupRoom; r += width) {
      float* const at = scores + n * kGroupRoom + r;
      const auto bound = hn::Add(hn::Load(floats, at), hn::Set(floats, own[n]));
      hn::Store(bound, floats, at);
      const auto goes = hn::Lt(bound, hn::Set(floats, limits.least));
      auto y = fused(bound, hn::Set(floats, kSiftStep), hn::Set(floats, limits.shift));
      // In this order NaN becomes the least, so that no conversion meets it.
      y = larger(y, hn::Set(floats, kSiftLeast));
      y = hn::IfThenElse(hn::Lt(y, hn::Set(floats, kSiftMost)), y, hn::Set(floats, kSiftMost));
      const auto number = hn::BitCast(floats, hn::ConvertTo(integers, y));
      hn::Store(hn::Add(hn::Load(floats, sums + r), hn::IfThenElseZero(goes, number)), floats, sums + r);
      std::uint8_t bits[8] = {};
      hn::StoreMaskBits(floats, hn::Not(goes), bits);
      kept |= std::uint32_t{bits[0]} << r;
    }
    for (; kept != 0; kept &= kept - 1) *to++ = static_cast<std::int32_t>(n * kGroupRoom) + std::countr_zero(kept);
  }
  return static_cast<size_t>(to - found);
}

/// `Way` is float for what every processor has, double for VNNI: the macros of choose.hpp ask for a table of a type.
template <class T>
using WayOf = std::conditional_t<std::is_same_v<T, double>, Vnni, Plain>;

template <class T>
inline constexpr Int8Kernels kTable = {.score = score<WayOf<T>>,
                                       .pack_weights = pack_weights,
                                       .add_values = add_values<WayOf<T>>,
                                       .peaks = peaks<WayOf<T>>,
                                       .peaks_of = peaks_of,
                                       .sift = sift,
                                       .tails = tails,
                                       .dots = dots<WayOf<T>>,
                                       .pick = pick};

}  // namespace attn::kernels::int8::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

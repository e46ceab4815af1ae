// Products of 8-bit integers for one vector target. Included once for each target.
#if defined(ATTN_KERNELS_INT8_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTN_KERNELS_INT8_INL_HPP
#undef ATTN_KERNELS_INT8_INL_HPP
#else
#define ATTN_KERNELS_INT8_INL_HPP
#endif

#include "kernels/int8.hpp"
#include "kernels/vector-inl.hpp"

#include <cstring>

HWY_BEFORE_NAMESPACE();
// A namespace of its own, because the macros of choose.hpp look for a kTable in that of each target.
namespace attn::kernels::int8::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using attn::kernels::HWY_NAMESPACE::for_panels;
using attn::kernels::HWY_NAMESPACE::fused;
using attn::kernels::HWY_NAMESPACE::kWidth;
using attn::kernels::HWY_NAMESPACE::larger;
using attn::kernels::HWY_NAMESPACE::Tag;
using attn::kernels::HWY_NAMESPACE::Vec;
using std::size_t;

using Ints = Vec<std::int32_t>;
inline constexpr Tag<std::int32_t> kInts;
inline constexpr Tag<std::uint32_t> kBits;
inline constexpr Tag<float> kFloats;
inline constexpr size_t kLanesOfVector = kWidth<float>;

/// Products of groups of four by what every target has. `Left` is unsigned, `Right` signed.
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
/// Sums of two products of 16-bit integers: exact, as the instruction for 8 bits is not, which saturates.
struct Plain {
  struct Operand {
    Ints even;
    Ints odd;
  };
  static HWY_INLINE Operand left(Ints x) {
    return {hn::And(x, hn::Set(kInts, 0x00FF00FF)), hn::And(hn::ShiftRight<8>(x), hn::Set(kInts, 0x00FF00FF))};
  }
  static HWY_INLINE Operand right(Ints x) {
    const Tag<std::int16_t> shorts;
    const auto halves = hn::BitCast(shorts, x);
    return {hn::BitCast(kInts, hn::ShiftRight<8>(hn::ShiftLeft<8>(halves))), hn::BitCast(kInts, hn::ShiftRight<8>(halves))};
  }
  static HWY_INLINE Ints pairs(Ints a, Ints b) {
#if HWY_TARGET == HWY_AVX3
    return Ints{_mm512_madd_epi16(a.raw, b.raw)};
#else
    return Ints{_mm256_madd_epi16(a.raw, b.raw)};
#endif
  }
  static HWY_INLINE Ints add(Ints sum, const Operand& a, const Operand& b) {
    return hn::Add(sum, hn::Add(pairs(a.even, b.even), pairs(a.odd, b.odd)));
  }
};
#else
struct Plain {
  struct Operand {
    // Vectors of NEON have constructors, and g++ would compile an implicit one of this without the target's instructions.
    HWY_INLINE Operand() = default;
    HWY_INLINE Operand(Ints a, Ints b, Ints c, Ints d) : byte{a, b, c, d} {}

    Ints byte[kQuad];
  };
  static HWY_INLINE Operand left(Ints x) {
    const Ints mask = hn::Set(kInts, 255);
    return {hn::And(x, mask), hn::And(hn::ShiftRight<8>(x), mask), hn::And(hn::ShiftRight<16>(x), mask),
            hn::And(hn::ShiftRight<24>(x), mask)};
  }
  static HWY_INLINE Operand right(Ints x) {
    return {hn::ShiftRight<24>(hn::ShiftLeft<24>(x)), hn::ShiftRight<24>(hn::ShiftLeft<16>(x)),
            hn::ShiftRight<24>(hn::ShiftLeft<8>(x)), hn::ShiftRight<24>(x)};
  }
  static HWY_INLINE Ints add(Ints sum, const Operand& a, const Operand& b) {
    ATTN_UNROLL
    for (size_t i = 0; i < kQuad; ++i) sum = hn::Add(sum, hn::Mul(a.byte[i], b.byte[i]));
    return sum;
  }
};
#endif

/// The same by one instruction where there is one.
#if HWY_TARGET == HWY_AVX3
struct Vnni {
  using Operand = Ints;
  static HWY_INLINE Ints left(Ints x) { return x; }
  static HWY_INLINE Ints right(Ints x) { return x; }
  static HWY_INLINE Ints add(Ints sum, Ints a, Ints b) {
    // Not among the instructions that the target is compiled for, so that processors without it share all else.
    asm("vpdpbusd %2, %1, %0" : "+v"(sum.raw) : "v"(a.raw), "v"(b.raw));  // NOLINT(hicpp-no-assembler)
    return sum;
  }
};
#else
using Vnni = Plain;
#endif

/// sum[r][v] += products over `quads` groups: of lanes[t][..] with the four numbers at x + r * row + t * step.
template <class Way, size_t R, size_t N>
HWY_INLINE void accumulate(const std::int8_t* HWY_RESTRICT x, size_t row, size_t step, const std::uint8_t* HWY_RESTRICT lanes,
                           size_t quads, Ints (&sum)[R][N]) {
  for (size_t t = 0; t < quads; ++t) {
    typename Way::Operand lane[N];
    ATTN_UNROLL
    for (size_t v = 0; v < N; ++v) {
      const auto* at = reinterpret_cast<const std::int32_t*>(lanes) + t * kLanes + v * kLanesOfVector;
      lane[v] = Way::left(hn::Load(kInts, at));
    }
    ATTN_UNROLL
    for (size_t r = 0; r < R; ++r) {
      std::int32_t four = 0;
      std::memcpy(&four, x + r * row + t * step, sizeof four);
      const typename Way::Operand element = Way::right(hn::Set(kInts, four));
      ATTN_UNROLL
      for (size_t v = 0; v < N; ++v) sum[r][v] = Way::add(sum[r][v], lane[v], element);
    }
  }
}

/// Calls F::run<R>(first row, args...) over `rows` rows, six at a time, then one at a time.
template <class F, class... Args>
HWY_INLINE void for_rows(size_t rows, const Args&... args) {
  size_t row = 0;
  for (; row + 6 <= rows; row += 6) F::template run<6>(row, args...);
  if (row + 4 <= rows) {
    F::template run<4>(row, args...);
    row += 4;
  }
  for (; row < rows; ++row) F::template run<1>(row, args...);
}

/// R keys, from `row` on, against N vectors of queries, in whole numbers.
template <class Way, size_t R, size_t N>
HWY_INLINE void dot_rows(const Int8Rows& keys, size_t row, const std::uint8_t* query, Ints (&sum)[R][N]) {
  const size_t bytes = keys.quads * kQuad;
  ATTN_UNROLL
  for (size_t r = 0; r < R; ++r) {
    ATTN_UNROLL
    for (size_t v = 0; v < N; ++v) sum[r][v] = hn::Set(kInts, keys.offset[row + r]);
  }
  accumulate<Way>(keys.data + row * bytes, bytes, kQuad, query, keys.quads, sum);
}

template <class Way, size_t N>
struct ScoreRows {
  template <size_t R>
  static HWY_INLINE void run(size_t row, const Int8Rows& keys, const std::uint8_t* query, const float* query_scale, float* tile,
                             float* maximum) {
    Ints sum[R][N];
    dot_rows<Way>(keys, row, query, sum);
    ATTN_UNROLL
    for (size_t v = 0; v < N; ++v) {
      const auto factor = hn::Load(kFloats, query_scale + v * kLanesOfVector);
      auto top = maximum == nullptr ? hn::Zero(kFloats) : hn::Load(kFloats, maximum + v * kLanesOfVector);
      ATTN_UNROLL
      for (size_t r = 0; r < R; ++r) {
        const auto score = hn::Mul(hn::Mul(hn::ConvertTo(kFloats, sum[r][v]), hn::Set(kFloats, keys.scale[row + r])), factor);
        hn::Store(score, kFloats, tile + (row + r) * kLanes + v * kLanesOfVector);
        top = larger(score, top);
      }
      if (maximum != nullptr) hn::Store(top, kFloats, maximum + v * kLanesOfVector);
    }
  }
};

template <class Way>
struct ScorePanel {
  template <size_t N>
  static void run(size_t lane, const Int8Rows* keys, size_t count, const std::uint8_t* query, const float* query_scale,
                  float* tile, float* maximum) {
    for_rows<ScoreRows<Way, N>>(count, *keys, query + lane * kQuad, query_scale + lane, tile + lane,
                                maximum == nullptr ? nullptr : maximum + lane);
  }
};

template <class Way>
void score(const Int8Rows& keys, size_t count, const std::uint8_t* query, const float* query_scale, size_t lanes, float* tile,
           float* maximum) {
  for_panels<float, ScorePanel<Way>>(lanes, &keys, count, query, query_scale, tile, maximum);
}

/// weight * scale, 0 where the weight is 0.
HWY_INLINE Vec<float> scaled_weight(const float* weight, float scale) {
  const auto w = hn::Load(kFloats, weight);
  return hn::IfThenZeroElse(hn::Eq(w, hn::Zero(kFloats)), hn::Mul(w, hn::Set(kFloats, scale)));
}

inline void pack_weights(const float* weights, const float* value_scale, size_t count, size_t lead, size_t lanes,
                         std::uint8_t* packed, float* unit) {
  const auto magic = hn::Set(kFloats, 0x1p23F);  // adding it leaves the nearest integer in the low bits
  const size_t quads = (lead + count + kQuad - 1) / kQuad;
  for (size_t lane = 0; lane < lanes; lane += kLanesOfVector) {
    // As integers, numbers that are not negative have their order, infinity and NaN above all of them.
    auto top = hn::Zero(kBits);
    for (size_t j = 0; j < count; ++j)
      top = hn::Max(top, hn::BitCast(kBits, scaled_weight(weights + j * kLanes + lane, value_scale[j])));
    const auto largest = hn::BitCast(kFloats, top);
    const auto is_small = hn::Lt(largest, hn::Set(kFloats, 0x1p-118F));
    hn::Store(hn::IfThenZeroElse(is_small, hn::Div(largest, hn::Set(kFloats, 255.0F))), kFloats, unit + lane);
    const auto inverse = hn::IfThenZeroElse(is_small, hn::Div(hn::Set(kFloats, 255.0F), largest));
    for (size_t t = 0; t < quads; ++t) {
      auto four = hn::Zero(kBits);
      ATTN_UNROLL
      for (size_t i = 0; i < kQuad; ++i) {
        const size_t j = t * kQuad + i - lead;  // beyond all rows where it is before the first
        if (j >= count) continue;
        const auto x = fused(scaled_weight(weights + j * kLanes + lane, value_scale[j]), inverse, magic);
        const auto integer = hn::And(hn::BitCast(kBits, x), hn::Set(kBits, 255U));
        four = hn::Or(four, hn::ShiftLeftSame(integer, static_cast<int>(8 * i)));
      }
      hn::Store(four, kBits, reinterpret_cast<std::uint32_t*>(packed) + t * kLanes + lane);
    }
  }
}

template <class Way, size_t N>
struct ValueRows {
  template <size_t R>
  static HWY_INLINE void run(size_t row, const std::uint8_t* packed, const std::int8_t* values, size_t quads, size_t dim,
                             const float* unit, const float* rescale, float* output) {
    Ints sum[R][N];
    ATTN_UNROLL
    for (size_t r = 0; r < R; ++r) {
      ATTN_UNROLL
      for (size_t v = 0; v < N; ++v) sum[r][v] = hn::Zero(kInts);
    }
    accumulate<Way>(values + row * kQuad, kQuad, dim * kQuad, packed, quads, sum);
    ATTN_UNROLL
    for (size_t v = 0; v < N; ++v) {
      const auto one = hn::Load(kFloats, unit + v * kLanesOfVector);
      const auto old = hn::Load(kFloats, rescale + v * kLanesOfVector);
      ATTN_UNROLL
      for (size_t r = 0; r < R; ++r) {
        float* out = output + (row + r) * kLanes + v * kLanesOfVector;
        hn::Store(fused(hn::Load(kFloats, out), old, hn::Mul(hn::ConvertTo(kFloats, sum[r][v]), one)), kFloats, out);
      }
    }
  }
};

template <class Way>
struct ValuePanel {
  template <size_t N>
  static void run(size_t lane, const std::uint8_t* packed, const std::int8_t* values, size_t quads, size_t dim, const float* unit,
                  const float* rescale, float* output) {
    for_rows<ValueRows<Way, N>>(dim, packed + lane * kQuad, values, quads, dim, unit + lane, rescale + lane, output + lane);
  }
};

template <class Way>
void add_values(const std::uint8_t* packed, const std::int8_t* values, size_t quads, size_t dim, size_t lanes, const float* unit,
                const float* rescale, float* output) {
  for_panels<float, ValuePanel<Way>>(lanes, packed, values, quads, dim, unit, rescale, output);
}

}  // namespace attn::kernels::int8::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

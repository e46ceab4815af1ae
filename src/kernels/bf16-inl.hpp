// Rounding to bfloat16 and products of pairs for one vector target. Included once for each target.
#if defined(ATTN_KERNELS_BF16_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTN_KERNELS_BF16_INL_HPP
#undef ATTN_KERNELS_BF16_INL_HPP
#else
#define ATTN_KERNELS_BF16_INL_HPP
#endif

#include "kernels/bf16.hpp"
#include "kernels/product-inl.hpp"

#include <cstring>

HWY_BEFORE_NAMESPACE();
// A namespace of its own, because the macros of choose.hpp look for a kTable in that of each target.
namespace attn::kernels::bf16::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using attn::kernels::HWY_NAMESPACE::for_panels;
using attn::kernels::HWY_NAMESPACE::fused;
using attn::kernels::HWY_NAMESPACE::kWidth;
using attn::kernels::HWY_NAMESPACE::larger;
using attn::kernels::HWY_NAMESPACE::Tag;
using attn::kernels::HWY_NAMESPACE::Vec;
using std::size_t;

using Floats = Vec<float>;
using Words = Vec<std::uint32_t>;
inline constexpr Tag<float> kFloats;
inline constexpr Tag<std::uint32_t> kWords;
inline constexpr size_t kLanesOfVector = kWidth<float>;

/// Without the lower half of the bits.
HWY_INLINE Floats cut(Floats x) { return hn::BitCast(kFloats, hn::And(hn::BitCast(kWords, x), hn::Set(kWords, 0xFFFF0000U))); }

/// The nearest bfloat16 as a float, of what is no NaN.
HWY_INLINE Floats nearest_number(Floats x) {
  const Words bits = hn::BitCast(kWords, x);
  const Words odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(kWords, 1U));
  const Words up = hn::Add(bits, hn::Add(odd, hn::Set(kWords, 0x7FFFU)));
  return cut(hn::BitCast(kFloats, up));
}

/// The same of anything; NaN stays as it is.
HWY_INLINE Floats nearest(Floats x) { return hn::IfThenElse(hn::IsNaN(x), x, nearest_number(x)); }

struct Parts {
  Floats high;
  Floats low;
};

/// `kSafe`: of any numbers. What the nearest bfloat16 would make infinite is cut instead, so that the sum is finite, too, and
/// what is infinite has a low part of 0. Else of numbers that are not above 2^127, as weights are.
template <bool kSafe>
HWY_INLINE Parts parts(Floats x) {
  const Floats high = nearest(x);
  if constexpr (kSafe) {
    const Floats infinity = hn::Set(kFloats, attn::kernels::HWY_NAMESPACE::kInfinity<float>);
    const auto is_over = hn::Eq(hn::Abs(high), infinity);
    const Floats safe = hn::IfThenElse(is_over, cut(x), high);
    const Floats rest = hn::IfThenElse(hn::Eq(hn::Abs(x), infinity), hn::Zero(kFloats), hn::Sub(x, safe));
    return {safe, hn::IfThenElse(is_over, cut(rest), nearest_number(rest))};
  } else {
    return {high, nearest_number(hn::Sub(x, high))};
  }
}

/// The upper half of each number's bits. A NaN whose payload stands in its lower half stays one.
HWY_INLINE Words upper(Floats x) {
  const Words bits = hn::BitCast(kWords, x);
  const Words quiet = hn::Or(bits, hn::Set(kWords, 0x400000U));
  return hn::IfThenElse(hn::RebindMask(kWords, hn::IsNaN(x)), quiet, bits);
}

/// f(numbers, first, count) over a row, a vector at a time; the last one may hold fewer.
template <class F>
HWY_INLINE void for_row(const float* row, size_t count, const F& f) {
  size_t at = 0;
  for (; at + kLanesOfVector <= count; at += kLanesOfVector) f(hn::LoadU(kFloats, row + at), at, kLanesOfVector);
  if (at == count) return;
  HWY_ALIGN float rest[kLanesOfVector] = {};
  std::memcpy(rest, row + at, (count - at) * sizeof(float));
  f(hn::Load(kFloats, rest), at, count - at);
}

inline void round_row(const float* row, size_t count, bool two, float* out) {
  for_row(row, count, [&](Floats x, size_t at, size_t n) HWY_ATTR {
    HWY_ALIGN float rounded[kLanesOfVector];
    const Parts p = parts<true>(x);
    hn::Store(two ? hn::Add(p.high, p.low) : nearest(x), kFloats, rounded);
    std::memcpy(out + at, rounded, n * sizeof(float));
  });
}

inline void halve_row(const float* row, size_t count, std::uint16_t* high, std::uint16_t* low) {
  const hn::Rebind<std::uint16_t, Tag<std::uint32_t>> halves;
  const auto put = [&](Floats x, std::uint16_t* to, size_t n) HWY_ATTR {
    HWY_ALIGN std::uint16_t half[kLanesOfVector];
    hn::Store(hn::TruncateTo(halves, hn::ShiftRight<16>(upper(x))), halves, half);
    std::memcpy(to, half, n * sizeof(std::uint16_t));
  };
  for_row(row, count, [&](Floats x, size_t at, size_t n) HWY_ATTR {
    if (low == nullptr) return put(nearest(x), high + at, n);
    const Parts p = parts<true>(x);
    put(p.high, high + at, n);
    put(p.low, low + at, n);
  });
}

inline void round(const float* tile, size_t count, size_t lanes, bool two, float* out) {
  for (size_t j = 0; j < count; ++j) {
    for (size_t lane = 0; lane < lanes; lane += kLanesOfVector) {
      const Parts p = parts<false>(hn::Load(kFloats, tile + j * kLanes + lane));
      hn::Store(two ? hn::Add(p.high, p.low) : p.high, kFloats, out + j * kLanes + lane);
    }
  }
}

/// The upper halves of two numbers in one word.
HWY_INLINE Words paired(Floats first, Floats second) {
  return hn::Or(hn::ShiftRight<16>(upper(first)), hn::And(upper(second), hn::Set(kWords, 0xFFFF0000U)));
}

inline void pack(const float* weights, size_t count, size_t lead, size_t pairs, size_t lanes, std::uint32_t* high,
                 std::uint32_t* low) {
  for (size_t t = 0; t < pairs; ++t) {
    const size_t first = 2 * t - lead;  // beyond all rows where it is before the first
    const size_t second = 2 * t + 1 - lead;
    for (size_t lane = 0; lane < lanes; lane += kLanesOfVector) {
      const auto row = [&](size_t j) HWY_ATTR {
        return parts<false>(j < count ? hn::Load(kFloats, weights + j * kLanes + lane) : hn::Zero(kFloats));
      };
      const Parts a = row(first);
      const Parts b = row(second);
      hn::Store(paired(a.high, b.high), kWords, high + t * kLanes + lane);
      if (low != nullptr) hn::Store(paired(a.low, b.low), kWords, low + t * kLanes + lane);
    }
  }
}

inline void scale(float* tile, size_t count, size_t lanes, float factor, float* maximum) {
  const Floats by = hn::Set(kFloats, factor);
  for (size_t lane = 0; lane < lanes; lane += kLanesOfVector) {
    Floats top = maximum == nullptr ? hn::Zero(kFloats) : hn::Load(kFloats, maximum + lane);
    for (size_t j = 0; j < count; ++j) {
      const Floats x = hn::Mul(hn::Load(kFloats, tile + j * kLanes + lane), by);
      hn::Store(x, kFloats, tile + j * kLanes + lane);
      top = larger(x, top);
    }
    if (maximum != nullptr) hn::Store(top, kFloats, maximum + lane);
  }
}

inline void join(const float* sums, size_t rows, size_t lanes, const float* rescale, float* output) {
  for (size_t f = 0; f < rows; ++f) {
    for (size_t lane = 0; lane < lanes; lane += kLanesOfVector) {
      float* out = output + f * kLanes + lane;
      hn::Store(fused(hn::Load(kFloats, out), hn::Load(kFloats, rescale + lane), hn::Load(kFloats, sums + f * kLanes + lane)),
                kFloats, out);
    }
  }
}

/// The macros of choose.hpp ask for a table of a type.
template <class T>
inline constexpr Bf16Kernels kTable = {
    .round_row = round_row, .halve_row = halve_row, .round = round, .pack = pack, .scale = scale, .join = join};

#if HWY_TARGET == HWY_AVX3
/// Sums and operands are bits of floats and of pairs, as one type, so that the product of floats serves.
struct MultiplyPairs {
  static HWY_INLINE Words add(Words x, Words lanes, Words sum) {
    // Not among the instructions that the target is compiled for, so that processors without it share all else.
    asm("vdpbf16ps %2, %1, %0" : "+v"(sum.raw) : "v"(lanes.raw), "v"(x.raw));  // NOLINT(hicpp-no-assembler)
    return sum;
  }
};

inline void vector_product(const PairRows& rows, size_t count, size_t pairs, const PairLanes& lanes_of, size_t lanes,
                           float* sums) {
  using attn::kernels::HWY_NAMESPACE::ScorePanel;
  // cppcheck-suppress invalidPointerCast ; only vectors of bits are stored through it
  auto* const bits = reinterpret_cast<std::uint32_t*>(sums);
  for_panels<std::uint32_t, ScorePanel<MultiplyPairs, std::uint32_t>>(lanes, rows.high, rows.stride, count, pairs, lanes_of.high,
                                                                      bits, static_cast<std::uint32_t*>(nullptr),
                                                                      static_cast<const Ahead<std::uint32_t>*>(nullptr));
}
#endif

}  // namespace attn::kernels::bf16::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

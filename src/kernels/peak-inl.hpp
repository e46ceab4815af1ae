// Chains of fused multiply-adds and streaming reads for one vector target. Included once for each target.
#if defined(ATTN_KERNELS_PEAK_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ATTN_KERNELS_PEAK_INL_HPP
#undef ATTN_KERNELS_PEAK_INL_HPP
#else
#define ATTN_KERNELS_PEAK_INL_HPP
#endif

#include "kernels/peak.hpp"
#include "kernels/vector-inl.hpp"

HWY_BEFORE_NAMESPACE();
// A namespace of its own, because the macros of choose.hpp look for a kTable in that of each target.
namespace attn::kernels::peak::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
namespace vectors = attn::kernels::HWY_NAMESPACE;
using std::size_t;

/// 12 where there are 16 registers, which factor and addend share; else 16: four units with a latency of four.
inline constexpr size_t kChains = vectors::kPanel == 2 ? 12 : 16;
static_assert(kChains + 2 <= kPeakInputs);

template <class T>
void fused_chains(const T* inputs, size_t steps, T* sums) {
  static_assert(vectors::kWidth<T> <= kPeakLanes);
  const vectors::Tag<T> d;
  const vectors::Vec<T> factor = hn::LoadU(d, inputs);
  const vectors::Vec<T> addend = hn::LoadU(d, inputs + kPeakLanes);
  vectors::Vec<T> chain[kChains];
  ATTN_UNROLL
  for (size_t c = 0; c < kChains; ++c) chain[c] = hn::LoadU(d, inputs + (2 + c) * kPeakLanes);
  for (size_t step = 0; step < steps; ++step) {
    ATTN_UNROLL
    for (vectors::Vec<T>& x : chain) x = vectors::fused(x, factor, addend);
  }
  vectors::Vec<T> sum = chain[0];
  ATTN_UNROLL
  for (size_t c = 1; c < kChains; ++c) sum = hn::Add(sum, chain[c]);
  hn::StoreU(sum, d, sums);
}

template <class T>
T read(const T* values, size_t count) {
  constexpr size_t width = vectors::kWidth<T>;
  constexpr size_t side_by_side = 8;
  const vectors::Tag<T> d;
  vectors::Vec<T> sum[side_by_side];
  ATTN_UNROLL
  for (vectors::Vec<T>& x : sum) x = hn::Zero(d);
  size_t i = 0;
  for (; i + side_by_side * width <= count; i += side_by_side * width) {
    ATTN_UNROLL
    for (size_t v = 0; v < side_by_side; ++v) sum[v] = hn::Add(sum[v], hn::LoadU(d, values + i + v * width));
  }
  ATTN_UNROLL
  for (size_t v = 1; v < side_by_side; ++v) sum[0] = hn::Add(sum[0], sum[v]);
  T lanes[width];
  hn::StoreU(sum[0], d, lanes);
  T total = 0;
  for (const T lane : lanes) total += lane;
  for (; i < count; ++i) total += values[i];
  return total;
}

template <class T>
inline constexpr PeakKernels<T> kTable = {
    .flops_per_step = 2 * vectors::kWidth<T> * kChains, .fused_chains = fused_chains<T>, .read = read<T>};

}  // namespace attn::kernels::peak::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

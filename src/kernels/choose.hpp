// Which of the compiled targets this processor runs. Only for the files that define available().
#pragma once

#include "kernels/kernels.hpp"

#include <cstddef>
#include <cstdint>

#include <hwy/highway.h>

#if HWY_TARGETS & HWY_AVX3
#define ATTN_KERNELS_AVX3(T) &N_AVX3::kTable<T>,
#else
#define ATTN_KERNELS_AVX3(T)
#endif
#if HWY_TARGETS & HWY_AVX2
#define ATTN_KERNELS_AVX2(T) &N_AVX2::kTable<T>,
#else
#define ATTN_KERNELS_AVX2(T)
#endif
#if HWY_TARGETS & HWY_NEON
#define ATTN_KERNELS_NEON(T) &N_NEON::kTable<T>,
#else
#define ATTN_KERNELS_NEON(T)
#endif
/// The addresses of all compiled tables, best first.
#define ATTN_KERNELS_TABLES(T) ATTN_KERNELS_AVX3(T) ATTN_KERNELS_AVX2(T) ATTN_KERNELS_NEON(T) & N_SCALAR::kTable<T>

namespace attn::kernels {

/// How many tables at the end of `tables` (best first) this processor runs. Each target includes the ones after it.
template <class T, std::size_t N>
std::size_t runnable(const KernelTable<T>* const (&tables)[N]) noexcept {
  const std::int64_t supported = hwy::SupportedTargets();
  for (std::size_t i = 0; i < N; ++i) {
    const std::string_view isa = tables[i]->isa;
    const std::int64_t target = isa == "avx512" ? HWY_AVX3 : isa == "avx2" ? HWY_AVX2 : isa == "neon" ? HWY_NEON : HWY_SCALAR;
    if ((supported & target) != 0) return N - i;
  }
  return 1;
}

}  // namespace attn::kernels

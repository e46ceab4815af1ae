// Which of the compiled targets this processor runs. Only for the files that define available().
#pragma once

#include "kernels/kernels.hpp"

#include <cstddef>
#include <string_view>

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

/// Whether this processor, and the system on it, run the code of a target. Asked of the compiler's runtime: Highway's own answer
/// comes with a library that spends milliseconds on its timers whenever a program starts.
inline bool runs([[maybe_unused]] std::string_view isa) noexcept {
#if HWY_ARCH_X86
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
                    __builtin_cpu_supports("bmi2");
  if (isa == "avx2") return avx2;
  if (isa == "avx512")
    return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
#endif
  return true;  // what is compiled in without a question: NEON on 64-bit Arm, and the portable target
}

/// How many tables at the end of `tables` (best first) this processor runs. Each target includes the ones after it.
template <class T, std::size_t N>
std::size_t runnable(const KernelTable<T>* const (&tables)[N]) noexcept {
  for (std::size_t i = 0; i < N; ++i) {
    if (runs(tables[i]->isa)) return N - i;
  }
  return 1;
}

}  // namespace attn::kernels

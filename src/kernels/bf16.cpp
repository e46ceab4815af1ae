// Rounding to bfloat16 and products of pairs, compiled once for each vector target by Highway's repeated inclusion of this file.
#include "kernels/targets.hpp"

// The order matters: Highway includes this file again and again from here.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/bf16.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/bf16-inl.hpp"
// clang-format on

#if HWY_ONCE
#include "kernels/choose.hpp"

namespace attn::kernels {

namespace bf16 {

/// In the order of the tables of KernelTable, which are compiled for the same targets.
inline constexpr const Bf16Kernels* kTables[] = {ATTN_KERNELS_TABLES(float)};

#if HWY_TARGETS & HWY_AVX3
inline constexpr PairProduct kVectors = {.rows = 1, .pairs = 1, .product = N_AVX3::vector_product};
#endif

}  // namespace bf16

const Bf16Kernels& bf16_kernels(std::string_view isa) noexcept {
  const auto known = available<float>();
  const auto tables = std::span(bf16::kTables).last(known.size());
  std::size_t i = 0;
  while (i + 1 < known.size() && known[i]->isa != isa) ++i;
  return *tables[i];
}

const PairProduct* vector_pairs([[maybe_unused]] std::string_view isa) noexcept {
#if HWY_TARGETS & HWY_AVX3
  if (isa == "avx512" && runs("avx512") && __builtin_cpu_supports("avx512bf16")) return &bf16::kVectors;
#endif
  return nullptr;
}

bool vector_pairs_pay() noexcept {
#if HWY_TARGETS & HWY_AVX3
  return __builtin_cpu_is("amd");
#else
  return false;
#endif
}

}  // namespace attn::kernels
#endif

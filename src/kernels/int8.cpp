// Products of 8-bit integers, compiled once for each vector target by Highway's repeated inclusion of this file.
#include "kernels/targets.hpp"

// The order matters: Highway includes this file again and again from here.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/int8.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/int8_bounds-inl.hpp"
// clang-format on

#if HWY_ONCE
#include "kernels/choose.hpp"

namespace attn::kernels {

namespace int8 {

/// In the order of the tables of KernelTable, which are compiled for the same targets.
template <class T>
inline constexpr const Int8Kernels* kTables[] = {ATTN_KERNELS_TABLES(T)};

}  // namespace int8

bool has_vnni() noexcept {
#if HWY_ARCH_X86
  return runs("avx512") && __builtin_cpu_supports("avx512vnni");
#else
  return false;
#endif
}

const Int8Kernels& int8_kernels(std::string_view isa, bool vnni) noexcept {
  const auto known = available<float>();
  const auto tables = (vnni ? std::span(int8::kTables<double>) : std::span(int8::kTables<float>)).last(known.size());
  std::size_t i = 0;
  while (i + 1 < known.size() && known[i]->isa != isa) ++i;
  return *tables[i];
}

}  // namespace attn::kernels
#endif

// The kernels of double, compiled once for each vector target by Highway's repeated inclusion of this file.
#include "kernels/targets.hpp"

// The order matters: Highway includes this file again and again from here.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/kernels_f64.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/table-inl.hpp"
// clang-format on

#if HWY_ONCE
#include "kernels/choose.hpp"

namespace attn::kernels {

template <>
std::span<const KernelTable<double>* const> available<double>() noexcept {
  static constexpr const KernelTable<double>* kTables[] = {ATTN_KERNELS_TABLES(double)};
  return std::span(kTables).last(runnable(kTables));
}

}  // namespace attn::kernels
#endif

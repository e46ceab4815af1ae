// The kernels of float, compiled once for each vector target by Highway's repeated inclusion of this file.
#include "kernels/targets.hpp"

// The order matters: Highway includes this file again and again from here.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/kernels_f32.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/table-inl.hpp"
// clang-format on

#if HWY_ONCE
#include "kernels/choose.hpp"

namespace attn::kernels {

template <>
std::span<const KernelTable<float>* const> available<float>() noexcept {
  static constexpr const KernelTable<float>* kTables[] = {ATTN_KERNELS_TABLES(float)};
  return std::span(kTables).last(runnable(kTables));
}

}  // namespace attn::kernels
#endif

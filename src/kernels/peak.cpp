// The kernels that measure a processor, compiled once for each vector target by Highway's repeated inclusion of this file.
#include "kernels/targets.hpp"

// The order matters: Highway includes this file again and again from here.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/peak.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/peak-inl.hpp"
// clang-format on

#if HWY_ONCE
#include "kernels/choose.hpp"

namespace attn::kernels {

namespace peak {

/// In the order of the tables of KernelTable, which are compiled for the same targets.
template <class T>
inline constexpr const PeakKernels<T>* kTables[] = {ATTN_KERNELS_TABLES(T)};

}  // namespace peak

template <class T>
const PeakKernels<T>& peak_kernels(std::string_view isa) noexcept {
  const auto known = available<T>();
  const auto tables = std::span(peak::kTables<T>).last(known.size());
  std::size_t i = 0;
  while (i + 1 < known.size() && known[i]->isa != isa) ++i;
  return *tables[i];
}

template const PeakKernels<float>& peak_kernels(std::string_view) noexcept;
template const PeakKernels<double>& peak_kernels(std::string_view) noexcept;

}  // namespace attn::kernels
#endif

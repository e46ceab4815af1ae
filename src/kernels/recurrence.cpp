// The kernels of recurrent linear attention, compiled once for each vector target by Highway's repeated inclusion of this file.
#include "kernels/targets.hpp"

// The order matters: Highway includes this file again and again from here.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/recurrence.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/recurrence-inl.hpp"
// clang-format on

#if HWY_ONCE
#include "kernels/choose.hpp"

namespace attn::kernels {

namespace recurrence {

/// In the order of the tables of KernelTable, which are compiled for the same targets.
template <class T>
inline constexpr const RecurrenceKernels<T>* kTables[] = {ATTN_KERNELS_TABLES(T)};

}  // namespace recurrence

template <class T>
const RecurrenceKernels<T>& recurrence_kernels(std::string_view isa) noexcept {
  const auto known = available<T>();
  const auto tables = std::span(recurrence::kTables<T>).last(known.size());
  std::size_t i = 0;
  while (i + 1 < known.size() && known[i]->isa != isa) ++i;
  return *tables[i];
}

template const RecurrenceKernels<float>& recurrence_kernels(std::string_view) noexcept;
template const RecurrenceKernels<double>& recurrence_kernels(std::string_view) noexcept;

}  // namespace attn::kernels
#endif

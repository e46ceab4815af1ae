// A column's weights of some neighbouring queries: their sum in a fixed order, and their largest.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>

namespace attn::analysis {

inline constexpr std::size_t kColumnLanes = 16;

/// Sum of w[0..count): neighbours kColumnLanes apart are added first, then the lanes in ascending order, in double.
template <class T>
[[nodiscard]] double column_sum(const T* w, std::size_t count) {
  T lanes[kColumnLanes] = {};
  std::size_t i = 0;
  for (; i + kColumnLanes <= count; i += kColumnLanes)
    for (std::size_t l = 0; l < kColumnLanes; ++l) lanes[l] += w[i + l];
  for (std::size_t l = 0; i < count; ++i, ++l) lanes[l] += w[i];
  double sum = 0;
  for (const T lane : lanes) sum += static_cast<double>(lane);
  return sum;
}

/// The largest of w[0..count), NaN left aside; -inf when there is none.
template <class T>
[[nodiscard]] T column_maximum(const T* w, std::size_t count) {
  T lanes[kColumnLanes];
  std::fill_n(lanes, kColumnLanes, -std::numeric_limits<T>::infinity());
  std::size_t i = 0;
  for (; i + kColumnLanes <= count; i += kColumnLanes)
    for (std::size_t l = 0; l < kColumnLanes; ++l) lanes[l] = w[i + l] > lanes[l] ? w[i + l] : lanes[l];
  for (std::size_t l = 0; i < count; ++i, ++l) lanes[l] = w[i] > lanes[l] ? w[i] : lanes[l];
  return *std::max_element(lanes, lanes + kColumnLanes);
}

}  // namespace attn::analysis

// Stores that pass by the caches, for results that nobody reads again soon.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace attn::kernels {

/// Copies `count` numbers. A plain store reads the line it writes to from memory first; for an output much larger than the caches
/// that is a tenth of the time of short sequences. Other threads see the copy after flush_streams(). A plain copy where the
/// compiler knows no such stores.
template <class T>
void stream_row(const T* from, std::size_t count, T* to) {
  std::size_t i = 0;
#if defined(__SSE2__)
  constexpr std::size_t lanes = 16 / sizeof(T);
  while (i < count && reinterpret_cast<std::uintptr_t>(to + i) % 16 != 0) {
    to[i] = from[i];
    ++i;
  }
  for (; i + lanes <= count; i += lanes)
    _mm_stream_si128(reinterpret_cast<__m128i*>(to + i), _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i)));
#endif
  std::copy(from + i, from + count, to + i);
}

/// What this thread has streamed comes before all that it stores from now on.
inline void flush_streams() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

}  // namespace attn::kernels

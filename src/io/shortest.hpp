// Numbers as the shortest text that reads back to them, written into a buffer.
#pragma once

#include <cstddef>

namespace attn {

/// No number is longer.
inline constexpr std::size_t shortest_size = 32;

/// Writes at most shortest_size characters and returns the end.
char* write_shortest(char* to, float value) noexcept;
char* write_shortest(char* to, double value) noexcept;

}  // namespace attn

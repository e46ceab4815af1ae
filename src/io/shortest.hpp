// Numbers as the shortest text that reads back to them, written into a buffer.
#pragma once

#include <cstddef>

namespace attn {

/// No number is longer, and so much may be written over behind a shorter one.
inline constexpr std::size_t shortest_size = 32;

/// Writes the text of `value` and returns its end; all of the shortest_size characters from `to` may change. The shorter of the
/// fixed and the scientific form is taken, the fixed one when they are equal, as std::to_chars does; "nan" has no sign.
char* write_shortest(char* to, float value) noexcept;
char* write_shortest(char* to, double value) noexcept;

}  // namespace attn

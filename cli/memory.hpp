// How much memory this process may still take.
#pragma once

#include <cstdint>

namespace attn::cli {

/// Bytes that the system says are available, or that the control group of this process leaves it if that is less; the largest
/// number where neither can be read.
[[nodiscard]] std::uint64_t usable_memory();

}  // namespace attn::cli

// Mask, bias and segment arrays made ready for the walk: broadcast by strides, checked against the sizes.
#pragma once

#include "engine/inputs.hpp"

namespace attn::engine {

/// Broadcasts a mask, right-aligned, to [batch, heads, q_len, kv_len]. A last dimension shorter than kv_len (but not 1) leaves
/// the rest masked. Throws Error(data) when it does not fit, saying so when its transpose would.
[[nodiscard]] MaskPart make_mask_part(const NamedMask& mask, const Dims& dims, DType compute);

/// Ids of queries and keys; the keys' default to the queries' when both are equally many.
[[nodiscard]] Segments make_segments(const Inputs& inputs, const Dims& dims);

}  // namespace attn::engine

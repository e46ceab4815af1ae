// From input arrays to the rows an engine reads: joined with the past, widened, rotated, scaled to unit length.
#pragma once

#include "engine/inputs.hpp"
#include "engine/operands.hpp"

namespace attn::engine {

/// The past and the new rows as one array [batch, kv_heads, past + length, dim] of T: what --present-key writes. Shares the
/// input's memory when that already is this array.
template <class T>
[[nodiscard]] Array join_past(const NamedArray& past, const NamedArray& input, std::size_t packed_heads);

/// What `prepare` met on the way, for one announcement each.
struct Findings {
  std::size_t zero_queries = 0;  ///< cosine: queries of length 0
  std::size_t zero_keys = 0;     ///< cosine: keys of length 0 that some query sees
  std::string nan_input;         ///< the first NaN that reaches the result: "key k.npy: row 3, feature 7"; empty: none
};

/// Throws Error(data) for a zero vector under the policy `error`. T is float or double.
template <class T>
[[nodiscard]] Operands<T> prepare(const Plan& plan, const Inputs& inputs, Findings& findings);

}  // namespace attn::engine

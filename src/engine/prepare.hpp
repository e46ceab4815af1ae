// From input arrays to the rows an engine reads: joined with the past, widened, rotated, scaled to unit length.
#pragma once

#include "engine/inputs.hpp"
#include "engine/operands.hpp"

namespace attn::engine {

/// The past and the new rows as one array [batch, kv_heads, past + length, dim] of T: what --present-key writes. Shares the
/// input's memory when that already is this array.
template <class T>
[[nodiscard]] Array join_past(const NamedArray& past, const NamedArray& input, std::size_t packed_heads);

/// Query, key and value as rows of T, before rotation and scaling; past and new keys joined.
template <class T>
struct WideRows {
  Rows<T> query;
  Rows<T> key;
  Rows<T> value;
  HeadLayout query_layout;
  HeadLayout key_layout;
  HeadLayout value_layout;
  std::vector<Array> memory;  ///< keeps the rows alive
};

template <class T>
[[nodiscard]] WideRows<T> widen(const Inputs& inputs);

/// What `prepare` met on the way, for one announcement each.
struct Findings {
  std::size_t zero_queries = 0;  ///< cosine: queries of length 0 that see some key
  std::size_t zero_keys = 0;     ///< cosine: keys of length 0 that some query sees
};

/// Throws Error(data) for a zero vector under the policy `error`. T is float or double.
template <class T>
[[nodiscard]] Operands<T> prepare(const Plan& plan, const Inputs& inputs, Findings& findings);

}  // namespace attn::engine

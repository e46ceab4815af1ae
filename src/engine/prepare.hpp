// From input arrays to the rows an engine reads: joined with the past, widened, rotated, scaled to unit length.
#pragma once

#include "engine/operands.hpp"

namespace attn::engine {

/// What `prepare` met on the way, for one announcement each.
struct Findings {
  std::size_t zero_queries = 0;  ///< cosine: queries of length 0 that see some key
  std::size_t zero_keys = 0;     ///< cosine: keys of length 0 that some query sees
};

/// The rows of query, key and value as they came in, widened to T; past and new keys joined. T is float or double.
template <class T>
[[nodiscard]] Operands<T> widened_rows(const Inputs& inputs);

/// The rows the engines read. They are made when they are read; `plan` and the memory of `inputs` must outlive them. Looks for
/// zero vectors where the cosine is asked for. Throws Error(data) for one under the policy `error`.
template <class T>
[[nodiscard]] Operands<T> prepare(const Plan& plan, const Inputs& inputs, Findings& findings);

}  // namespace attn::engine

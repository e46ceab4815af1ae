// The rows an engine reads: queries, keys and values of the type computed in.
#pragma once

#include "engine/row_source.hpp"

namespace attn::engine {

/// Queries and keys are rotated (RoPE) and, for the cosine score, scaled to unit length; scores are plain products or distances
/// of these rows. Values and the residual's queries are as given.
template <class T>
struct Operands {
  RowSource<T> query;
  RowSource<T> key;
  RowSource<T> value;
  RowSource<T> residual;  ///< the queries as they came in; only for --residual
};

}  // namespace attn::engine

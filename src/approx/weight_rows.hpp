// Handing observers what a method made of some queries: outputs, rows of weights, and what these say.
#pragma once

#include "approx/method.hpp"

#include <cstddef>

namespace attn::approx {

/// Queries [first, first + count) of one head.
struct QueryBlock {
  std::size_t batch = 0;
  std::size_t head = 0;
  std::size_t first = 0;
  std::size_t count = 0;
};

/// Gives observers the outputs [count, value_dim] and, where `weights` is not null, the rows of weights [count, kv_len] with
/// their facts and strongest keys. A query without a key in its range() is an empty one.
template <class T>
void hand_out_rows(const Job<T>& job, const engine::Needs& needs, const QueryBlock& block, const T* outputs, const T* weights);

/// Gives observers of columns the rows of weights [count, kv_len]. To be called for the blocks of a head in ascending order.
template <class T>
void hand_out_columns(const Job<T>& job, const QueryBlock& block, const T* weights);

}  // namespace attn::approx

// How much the output of one query would change without one of its keys.
#pragma once

#include <attn/options.hpp>

#include <cstddef>
#include <span>
#include <vector>

namespace attn::analysis {

/// One query after its weights are known.
struct WeighedQuery {
  Normalizer normalize = Normalizer::softmax;
  std::span<const double> logits;   ///< [kv_len]; -inf where a key is hidden
  std::span<const double> weights;  ///< [kv_len]; 0 there
  std::span<const double> values;   ///< [kv_len, value_dim]; rows of hidden keys are not read
  std::size_t value_dim = 0;
};

/// What the output loses or gains when `key` is hidden too: y without it minus y, [value_dim]; zeros for a key that is hidden.
///
/// The weights of the softmaxes (softmax, softmin, softmax1) share a sum. Without key j the others keep their proportions and
/// grow by 1 / (1 - w_j), so that y changes by w_j / (1 - w_j) * (y - v_j). The weights of `sigmoid` and `none` know nothing of
/// each other: y changes by -w_j v_j. A double softmax has no such form; its weights are made again. 1 - w_j is summed from the
/// other keys, so that nothing cancels where one key has nearly all; where the others underflow they are weighed again.
[[nodiscard]] std::vector<double> change_without(const WeighedQuery& query, std::size_t key);

/// Euclidean length of a vector.
[[nodiscard]] double length_of(std::span<const double> vector);

}  // namespace attn::analysis

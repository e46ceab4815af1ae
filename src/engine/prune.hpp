// Attention to the keys that matter: for each query those that hold a given mass of its weights, or its strongest ones, found by
// a cheap pass over all keys whose errors are bounded, so that what is left out has a certified bound.
//
// A pass over the keys in 8-bit integers (int8.hpp) gives scores s'. With q = q' + a, k = k' + b (q', k' the rounded rows)
// |q.k - q'.k'| <= |q'||b| + |a||k'| + |a||b| (Cauchy and Schwarz), so u = s' + that bound lies above the logit. Only the
// largest u of each group of kernels::kGroup keys is kept, a number that costs one comparison for each pair. When those of
// all groups are known, it is known, too, from where on a group may matter; all others are left out at once, and count as
// kGroup keys of their largest e^u. Groups that may matter are looked into: the products of their keys are made once more,
// with the query in up to 16 bits, which leaves half of the bound, and keys with small u left out. The others are candidates,
// which are taken in descending order of u and computed exactly in float32 until the rule is met. With U the sum of e^u of
// all that is left out and S the sum of e^logit of what is taken, the mass left out is D / (S + D) <= U / (S + U), and no
// feature of the output is off by more than 2 U / (S + U) max |v|. All bounds are rounded outward. Tiles of keys are first
// bounded as a whole, q.k <= q.c + |q| r for keys within r of their centre c, and passed over where that is enough.
#pragma once

#include "engine/engine.hpp"

#include <cstdint>
#include <string>

namespace attn::engine {

/// What is kept of each query's keys. Exactly one of the two is asked for.
struct PruneRule {
  double mass = 0;       ///< keys are taken until the mass of all others is certainly at most 1 - mass; 1 keeps all
  std::size_t keys = 0;  ///< so many strongest keys, of equal logits those with the lower numbers; 0: the rule is mass
  bool insist = false;   ///< not even where an exact walk is faster is more kept than the mass asks for; for tests
};

/// What a walk left out. Queries without visible keys do not count.
struct PruneReport {
  std::uint64_t rows = 0;
  std::uint64_t visible = 0;     ///< pairs that range() leaves
  std::uint64_t kept = 0;        ///< pairs that were taken
  std::uint64_t exact_rows = 0;  ///< rows for which all keys were taken
  double largest_dropped = 0;    ///< bound on the mass that a row has lost, over all rows
  double mean_dropped = 0;       ///< the mean of these bounds
  double largest_error = 0;      ///< bound on what any feature of the output is off, float32's own rounding aside
};

/// Why pruning has no meaning for a plan, or nothing.
[[nodiscard]] std::string prune_refusal(const Plan& plan);

/// Whether a rule leaves nothing out.
[[nodiscard]] bool keeps_all(const Plan& plan, const PruneRule& rule) noexcept;

/// Hands outputs, and weights where they are asked for, to the observers; the largest possible ones for rows where pruning does
/// not pay. The same bits for any number of threads and any vector target. A rule that keeps everything is run_tiled. Memory is
/// O(q_len + kv_len * (head_dim + value_dim)), and for each thread 64 * kv_len / 6 bounds and room for a quarter of them. Throws
/// Error(usage) for what prune_refusal() says, and for a rule that asks for nothing or for both.
PruneReport run_pruned(const Plan& plan, const Operands<float>& operands, std::span<Observer<float>* const> observers,
                       const Execution& execution, const PruneRule& rule);

/// Bytes that run_pruned works in.
[[nodiscard]] std::uint64_t pruned_bytes(const Plan& plan, const PruneRule& rule, std::size_t threads);

}  // namespace attn::engine

// What projections computed in some precision may be off by: rows of queries, keys and values before attention, outputs behind
// it.
#pragma once

#include "analysis/budget.hpp"
#include "engine/engine.hpp"
#include "model/linear.hpp"

#include <attn/array.hpp>

#include <cstddef>
#include <vector>

namespace attn::analysis {

/// Standard deviations that independent roundings are granted. A rounding error is at most u and spread evenly, which makes a sum
/// of such errors sub-Gaussian with a variance of u^2/3 each: 4 u is exceeded with a probability below 2 exp(-24), 8e-11.
inline constexpr double kDeviations = 4;

/// How far the rows of each head may be off, [batch * heads, length] without the rows of a past: the Euclidean length of the
/// difference for queries and keys, the largest feature's for values. Empty: not at all.
struct ProjectedErrors {
  std::vector<double> query;
  std::vector<double> key;
  std::vector<double> value;
  std::size_t past = 0;  ///< keys that come before those that are projected

  /// Row `i` of `length`, past included for keys and values.
  [[nodiscard]] double at(const std::vector<double>& errors, std::size_t head, std::size_t i, std::size_t length) const {
    const std::size_t before = &errors == &query ? 0 : past;
    return errors.empty() || i < before ? 0 : errors[head * (length - before) + i - before];
  }
};

/// What of a projected row is bounded.
enum class Extent { length, feature };

/// The errors of y = x W + b for x, [length, in] or [batch, length, in], whose outputs are split into heads: [batch * heads,
/// length]. A sum over `in` products x_e W_ec is off by gamma_in sum |x_e W_ec|, and by independent roundings of its factors;
/// summed over the features of a head (Minkowski) by the norms of the head's rows of W. `projected` is y.
[[nodiscard]] std::vector<double> projected_errors(const model::Linear& linear, const Array& x, const Array& projected,
                                                   std::size_t heads, Extent extent, const Budget& budget);

/// The bounds of o = y W + b, [rows, out], from y [rows, in], its own bounds and o itself, all float64. The errors of y's
/// features are taken as independent of each other: sqrt(sum (bound_c W_ce)^2), doubled.
[[nodiscard]] Array output_bounds(const model::Linear& linear, const Array& y, const Array& bounds, const Array& o,
                                  const Budget& budget, model::Arithmetic arithmetic, const engine::Execution& execution);

}  // namespace attn::analysis

// How far an approximation is from exact attention: its output, and its weights.
#pragma once

#include "approx/method.hpp"

#include <attn/array.hpp>

#include <optional>
#include <vector>

namespace attn::approx {

/// Distances between outputs, in double. A number that is NaN in one of them only makes all of them NaN.
struct OutputError {
  double relative = 0;    ///< Frobenius norm of the difference over that of the exact output; 0 where both are 0
  double largest = 0;     ///< the largest magnitude of a difference
  double worst_row = 0;   ///< the largest over rows of |difference| over |exact row|, Euclidean norms; infinite over a zero row
  std::size_t worst = 0;  ///< that row, in [batch, heads, queries]
};

/// `exact` is [rows, dim], row by row; row r of it is compared with row of[r] of `approximate`. Both hold floats or doubles.
[[nodiscard]] OutputError output_error(const Array& exact, const Array& approximate, const std::vector<std::size_t>& of,
                                       std::size_t dim);

/// Exact weights of a few queries, in float64, to compare others with.
class ExactWeights {
 public:
  /// Computes them. `plan` is one of chosen queries.
  ExactWeights(const engine::Plan& plan, const engine::Operands<double>& operands, const engine::Execution& execution);

  /// Mean over all rows with a visible key of the Kullback-Leibler divergence sum_j a_j ln(a_j / w_j) in nats, a the approximate
  /// weights [batch, heads, queries, kv_len] and w the exact ones (Kullback and Leibler 1951): what is lost when a stands for w.
  /// It is finite where a is 0 and w is not, and infinite the other way around. NaN when a weight is negative.
  [[nodiscard]] double divergence(const Array& approximate) const;

 private:
  std::size_t kv_len_;
  Array weights_;
};

/// The largest number of weights that `divergence` should be asked for at once.
inline constexpr std::size_t kWeightRows = 64;

/// The weights that a method gives the plan of the job, [batch, heads, q_len, kv_len] of T.
template <class T>
[[nodiscard]] Array approximate_weights(const Choice& choice, const engine::Plan& plan, const engine::Operands<T>& operands,
                                        const engine::Plan& whole, const engine::Operands<T>& whole_operands,
                                        const engine::Execution& execution);

/// Whether the normalizer makes weights that add up to 1, so that they have a divergence.
[[nodiscard]] bool has_divergence(Normalizer normalizer);

}  // namespace attn::approx

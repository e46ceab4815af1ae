// How far attention computed in some precision may be from the exact one: a bound for each element, derived from the data.
#pragma once

#include "analysis/budget.hpp"
#include "analysis/projection_error.hpp"
#include "engine/inputs.hpp"
#include "engine/operands.hpp"
#include "engine/plan.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace attn::analysis {

/// What the bound needs to know of one key: how large it is, by the measures that errors of its scores grow with.
struct KeySize {
  double two = 0;    ///< |k|_2
  double four = 0;   ///< |k|_4, the fourth root of the sum of fourth powers
  double moved = 0;  ///< Euclidean length of what the key may be off by: RoPE's angles, its projection
};

/// c0 + c1 |k|_2 + c2 |k|_4 + c3 |k|_2^2 + c4 moved(k) with coefficients of one query: an error, or a size, of its score with key
/// k.
struct ScoreForm {
  double constant = 0;
  double two = 0;
  double four = 0;
  double square = 0;
  double moved = 0;

  [[nodiscard]] double at(const KeySize& key) const noexcept {
    return constant + two * key.two + four * key.four + square * key.two * key.two + moved * key.moved;
  }
};

/// Mean squares (under some weights) of the measures in a ScoreForm, and the sum of these weights.
struct KeyMoments {
  static constexpr std::size_t count = 6;
  double weight = 0;
  double two = 0;     ///< of |k|_2^2
  double four = 0;    ///< of |k|_4^2
  double square = 0;  ///< of |k|_2^4
  double moved = 0;   ///< of moved^2
  double value = 0;   ///< of what a feature of the value may be off by, squared

  /// An upper bound of the root of the weighted sum of squares of `form` (Minkowski).
  [[nodiscard]] double root_mean_square(const ScoreForm& form) const noexcept;
  void add(const KeySize& key) noexcept;
};

/// Weighted means over one row of weights w: of ln w and its square.
struct LogWeights {
  double mean = 0;
  double square = 0;

  void add(double weight) noexcept {
    const double l = std::log(weight);
    mean += weight * l;
    square += weight * l * l;
  }
  /// The root mean square, under the weights, of the logits that they come from: a logit of a softmax is ln w + log_sum_exp.
  [[nodiscard]] double logit(double log_sum_exp) const noexcept {
    return std::sqrt(std::max(0.0, square + 2 * log_sum_exp * mean + log_sum_exp * log_sum_exp));
  }
};

/// What the bound keeps of one query between its output and its weights.
struct RowBound {
  ScoreForm error;        ///< of the score with key k, rounding of stored logits included
  double score = 0;       ///< weighted root mean square of the errors of the logits: what the weights' errors come from
  double factor = 1;      ///< second-order growth of small relative errors of weights
  double scale = 0;       ///< relative error common to all weights of the row
  bool is_empty = false;  ///< no key is visible
};

/// Bounds for one attention in one precision. docs/verify.md derives them.
///
/// Dot products: |fl(x.y) - x.y| <= gamma_n |x|.|y| (Higham 2002, eq. 3.5), with min(n, 4 sqrt(n)) in the place of n (Higham and
/// Mary 2019, theorem 3.1). Roundings of factors: four standard deviations' worth of their independent errors, 4 u |q o k|_2 <= 4
/// u |q|_4 |k|_4. softmax: a logit's error d_j changes the output by sum_j w_j d_j (v_j - y), which Cauchy and Schwarz bound by
/// the weighted root mean squares of d and of v - y.
class ErrorBound {
 public:
  /// Everything must outlive the bound. `inputs` are asked only whether their numbers fit the precision; `projected` says what
  /// projections moved them by before.
  ErrorBound(const engine::Plan& plan, const engine::Inputs& inputs, const engine::Operands<double>& operands,
             const Budget& budget, ProjectedErrors projected = {});

  /// Columns that stand behind each value row in extended_values(): [v, v*v, the measures of KeyMoments].
  [[nodiscard]] std::size_t extended_dim() const noexcept { return 2 * plan_.dims.value_dim + KeyMoments::count; }
  /// [batch, kv_heads, kv_len, extended_dim()]: one walk over them gives the output and what its bound is made of.
  [[nodiscard]] const Array& extended_values() const noexcept { return values_; }
  [[nodiscard]] const Budget& budget() const noexcept { return budget_; }

  /// The bound of a query from its log-sum-exp and its row of extended outputs; writes the bounds of its `value_dim` outputs.
  /// `query` is as the scores take it, `residual` is empty or the query that is added. `logs` are what the weights' own
  /// logarithms say, where wants_logs().
  [[nodiscard]] RowBound row(std::size_t batch, std::size_t head, std::size_t i, const double* query,
                             std::span<const double> residual, double lse, const double* extended, const LogWeights& logs,
                             double* bounds) const;
  /// True where the bound hangs on the size of the scores, as it does when they are stored in few bits, and the weights tell it.
  [[nodiscard]] bool wants_logs() const noexcept;
  /// The bound of a row's log-sum-exp.
  [[nodiscard]] double log_sum_exp(const RowBound& row, double value, std::size_t batch, std::size_t head, std::size_t i) const;
  /// The bound of one weight.
  [[nodiscard]] double weight(const RowBound& row, double weight, std::size_t batch, std::size_t head, std::size_t key) const;

 private:
  /// What is known of all keys of a head together, whether a query sees them or not.
  struct Head {
    KeyMoments sum;                    ///< over finite keys, each with weight 1
    KeySize largest;                   ///< of finite keys
    double value = 0;                  ///< largest finite |value|
    std::vector<double> value_length;  ///< [value_dim]: root of the sum of squares of finite values
  };
  struct Logits {
    ScoreForm size;    ///< of the score
    ScoreForm error;   ///< of the score, without what is stored
    double rms = 0;    ///< weighted root mean square of the score errors
    double score = 0;  ///< the same of the scores' sizes
    double logit = 0;  ///< and of the logits'
  };
  void measure_keys(const engine::Operands<double>& operands);
  [[nodiscard]] double turn_of(const double* row, std::int64_t position) const;
  [[nodiscard]] Logits logits_of(const double* query, double moved, const KeyMoments& seen, const Head& head, double n,
                                 double log_sum_exp, const LogWeights& logs) const;
  [[nodiscard]] double summing(double n) const noexcept;
  [[nodiscard]] const Head& head(std::size_t batch, std::size_t head) const {
    return heads_[batch * plan_.dims.kv_heads + plan_.dims.kv_head(head)];
  }

  const engine::Plan& plan_;
  Budget budget_;
  bool has_bias_;
  double largest_bias_ = 0;
  double roundings_ = 2;  ///< of the two factors of a score's products
  bool value_is_rounded_;
  bool query_is_rounded_;
  std::vector<double> frequency_;
  ProjectedErrors projected_;
  Array values_;
  std::vector<Head> heads_;    ///< [batch, kv_heads]
  std::vector<KeySize> keys_;  ///< [batch, kv_heads, kv_len]
};

}  // namespace attn::analysis

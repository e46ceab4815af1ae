// The change of an output without one key, in closed form where there is one.
#include "analysis/influence.hpp"

#include "analysis/reals.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace attn::analysis {

namespace {

/// Weighs all visible keys but `left_out` by exp of `exponents`, which need not sum to anything.
std::vector<double> softmax_without(std::span<const double> exponents, std::span<const double> logits, std::size_t left_out,
                                    bool extra_key) {
  const auto counts = [&](std::size_t j) { return j != left_out && logits[j] != kHidden; };
  double largest = extra_key ? 0.0 : kHidden;
  for (std::size_t j = 0; j < logits.size(); ++j)
    if (counts(j)) largest = std::max(largest, exponents[j]);
  double sum = extra_key ? std::exp(-largest) : 0.0;
  std::vector<double> weights(logits.size(), 0.0);
  for (std::size_t j = 0; j < logits.size(); ++j) {
    if (!counts(j)) continue;
    weights[j] = exponents[j] == largest ? 1.0 : std::exp(exponents[j] - largest);
    sum += weights[j];
  }
  for (double& weight : weights)
    if (sum > 0) weight /= sum;
  return weights;
}

/// The weights that the normalizer gives when `left_out` is hidden.
std::vector<double> weights_without(const WeighedQuery& q, std::size_t left_out) {
  std::vector<double> exponents(q.logits.begin(), q.logits.end());
  if (q.normalize == Normalizer::softmin)
    for (double& x : exponents) x = -x;
  std::vector<double> weights = softmax_without(exponents, q.logits, left_out, q.normalize == Normalizer::softmax1);
  if (q.normalize == Normalizer::double_softmax) return softmax_without(weights, q.logits, left_out, false);
  return weights;
}

std::vector<double> weighted_sum(const WeighedQuery& q, std::span<const double> weights) {
  std::vector<double> y(q.value_dim, 0.0);
  for (std::size_t j = 0; j < weights.size(); ++j) {
    if (q.logits[j] == kHidden) continue;
    for (std::size_t c = 0; c < q.value_dim; ++c) y[c] += weights[j] * q.values[j * q.value_dim + c];
  }
  return y;
}

bool shares_a_sum(Normalizer kind) {
  return kind == Normalizer::softmax || kind == Normalizer::softmin || kind == Normalizer::softmax1;
}

/// What the key of logit 0 takes that softmax1 adds. Not 1 less all weights: that would lose a small share.
double extra_share(std::span<const double> logits) {
  double largest = 0;
  for (const double l : logits) largest = std::max(largest, l);
  double sum = std::exp(-largest);
  for (const double l : logits)
    if (l != kHidden) sum += std::exp(l - largest);
  return std::exp(-largest) / sum;
}

/// 1 - w_key: what the other keys weigh, and the extra key of softmax1.
double others_of(const WeighedQuery& q, std::size_t key) {
  double sum = 0;
  for (std::size_t j = 0; j < q.weights.size(); ++j)
    if (j != key) sum += q.weights[j];
  if (q.normalize == Normalizer::softmax1) sum += extra_share(q.logits);
  return sum;
}

}  // namespace

std::vector<double> change_without(const WeighedQuery& q, std::size_t key) {
  std::vector<double> change(q.value_dim, 0.0);
  if (q.logits[key] == kHidden) return change;
  const double w = q.weights[key];
  const std::span<const double> v = q.values.subspan(key * q.value_dim, q.value_dim);
  if (q.normalize == Normalizer::sigmoid || q.normalize == Normalizer::none) {
    for (std::size_t c = 0; c < q.value_dim; ++c) change[c] = -w * v[c];
    return change;
  }
  // Far below this the sum of the others has lost its digits, or is 0 for there are none.
  constexpr double smallest = 1e-290;
  const double others = others_of(q, key);
  if (shares_a_sum(q.normalize) && others > smallest) {
    // y - v_j = sum over the others of w_k (v_k - v_j), and the share of the extra key, whose value is 0.
    for (std::size_t c = 0; c < q.value_dim; ++c) {
      double others_sum = 0;
      for (std::size_t j = 0; j < q.weights.size(); ++j)
        if (j != key && q.logits[j] != kHidden) others_sum += q.weights[j] * q.values[j * q.value_dim + c];
      change[c] = w * (others_sum / others - v[c]);
    }
    return change;
  }
  const std::vector<double> before = weighted_sum(q, q.weights);
  const std::vector<double> after = weighted_sum(q, weights_without(q, key));
  for (std::size_t c = 0; c < q.value_dim; ++c) change[c] = after[c] - before[c];
  return change;
}

double length_of(std::span<const double> vector) {
  double sum = 0;
  for (const double x : vector) sum += x * x;
  return std::sqrt(sum);
}

}  // namespace attn::analysis

// How far two rows of attention weights are apart, by the measures that distillation uses.
#include "analysis/row_distance.hpp"

#include "analysis/reals.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numbers>

namespace attn::analysis {

namespace {

/// b ln(b / a) - b + a: what one key adds to sum_j b_j ln(b_j / a_j) of rows that add up to the same.
double divergence_term(double a, double b) noexcept {
  if (b == 0) return a;
  if (a == 0) return kInfinity;
  const double r = (a - b) / b;
  // Far apart nothing cancels, but 1 + r may round to 0.
  if (std::abs(r) > 0.5) return b * (std::log(b) - std::log(a)) - b + a;
  return b * (r - std::log1p(r));
}

/// (a ln(a / m) + b ln(b / m)) / 2 for m = (a + b) / 2, near each other as m ((1 + t) ln(1 + t) + (1 - t) ln(1 - t)) / 2 with
/// t = (a - b) / (a + b).
double shared_term(double a, double b) noexcept {
  if (a == b) return 0;
  const double sum = a + b;
  if (a == 0 || b == 0) return sum * (std::numbers::ln2 / 2);
  const double t = (a - b) / sum;
  if (std::abs(t) > 0.5) return (a * std::log(2 * a / sum) + b * std::log(2 * b / sum)) / 2;
  return sum / 4 * ((1 + t) * std::log1p(t) + (1 - t) * std::log1p(-t));
}

/// The Euclidean length, without overflow or underflow; NaN when an element is.
double length_of(std::span<const double> row) noexcept {
  double largest = 0;
  for (const double x : row) largest = std::isnan(x) ? x : std::max(largest, std::abs(x));
  if (!(largest > 0) || std::isinf(largest)) return largest;
  double sum = 0;
  for (const double x : row) sum += (x / largest) * (x / largest);
  return largest * std::sqrt(sum);
}

/// Half the squared distance of both at unit length. Of a row of zeros there is no unit length.
double cosine_distance(std::span<const double> a, std::span<const double> b) noexcept {
  const double of_a = length_of(a);
  const double of_b = length_of(b);
  if (std::isnan(of_a) || std::isnan(of_b)) return std::numeric_limits<double>::quiet_NaN();
  if (of_a == 0 || of_b == 0) return of_a == of_b ? 0 : 1;
  double sum = 0;
  for (std::size_t j = 0; j < a.size(); ++j) {
    const double apart = a[j] / of_a - b[j] / of_b;
    sum += apart * apart;
  }
  return sum / 2;
}

double share_distance(MapMetric metric, std::span<const double> a, std::span<const double> b) noexcept {
  const double of_a = sum_of(a);
  const double of_b = sum_of(b);
  if (std::isnan(of_a) || std::isnan(of_b)) return std::numeric_limits<double>::quiet_NaN();
  if (of_a == 0 && of_b == 0) return 0;
  if (of_a == 0 || of_b == 0) return metric == MapMetric::kl ? kInfinity : std::numbers::ln2;
  double sum = 0;
  for (std::size_t j = 0; j < a.size(); ++j) {
    const double x = a[j] / of_a;
    const double y = b[j] / of_b;
    sum += metric == MapMetric::kl ? divergence_term(x, y) : shared_term(x, y);
  }
  return sum;
}

}  // namespace

double sum_of(std::span<const double> row) noexcept {
  double sum = 0;
  for (const double x : row) sum += x;
  return sum;
}

double row_distance(MapMetric metric, std::span<const double> a, std::span<const double> b) noexcept {
  if (metric == MapMetric::cosine) return cosine_distance(a, b);
  if (metric != MapMetric::mse) return share_distance(metric, a, b);
  double sum = 0;
  for (std::size_t j = 0; j < a.size(); ++j) sum += (a[j] - b[j]) * (a[j] - b[j]);
  return a.empty() ? 0 : sum / static_cast<double>(a.size());
}

}  // namespace attn::analysis

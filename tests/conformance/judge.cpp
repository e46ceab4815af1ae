// How far an array is from what was expected.
#include "conformance/judge.hpp"

#include <cmath>
#include <limits>

#include <fmt/format.h>

namespace attn::testing {

namespace {

/// |got - expected|, 0 for the same infinity and for two NaN, infinity for any other pair that is not two numbers.
double distance(double got, double expected) {
  if (got == expected || (std::isnan(got) && std::isnan(expected))) return 0;
  const double difference = std::abs(got - expected);
  return std::isfinite(difference) ? difference : std::numeric_limits<double>::infinity();
}

}  // namespace

Judgement judge_by_largest(const Array& got, const std::vector<double>& expected, const std::vector<std::size_t>& index,
                           double largest, double tolerance) {
  Judgement judgement;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const std::size_t at = index.empty() ? i : index[i];
    const double value = got.at_flat(at);
    const double difference = distance(value, expected[i]);
    const double error = difference == 0 ? 0 : difference / largest;
    if (!(error <= tolerance) && judgement.defect.empty())
      judgement.defect = fmt::format("element {} of {} is {} (expected {}; {} of the largest)", at, to_string(got.shape()), value,
                                     expected[i], error);
    if (error > judgement.error) judgement.error = error;
  }
  return judgement;
}

Judgement judge_each(const Array& got, const Array& expected, double rtol, double atol) {
  Judgement judgement;
  if (got.shape() != expected.shape()) {
    judgement.error = std::numeric_limits<double>::infinity();
    judgement.defect = fmt::format("the shape is {} (expected {})", to_string(got.shape()), to_string(expected.shape()));
    return judgement;
  }
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double want = expected.at_flat(i);
    const double difference = distance(got.at_flat(i), want);
    if (difference > judgement.error) judgement.error = difference;
    const double allowed = std::isfinite(want) ? atol + rtol * std::abs(want) : 0;
    if (!(difference <= allowed) && judgement.defect.empty())
      judgement.defect = fmt::format("element {} of {} is {} (expected {})", i, to_string(got.shape()), got.at_flat(i), want);
  }
  return judgement;
}

double largest_of(const Array& array) {
  double largest = 0;
  for (std::size_t i = 0; i < array.size(); ++i) {
    const double x = std::abs(array.at_flat(i));
    if (std::isfinite(x) && x > largest) largest = x;
  }
  return largest;
}

}  // namespace attn::testing

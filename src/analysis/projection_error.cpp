// What projections computed in some precision may be off by.
#include "analysis/projection_error.hpp"

#include "analysis/chunks.hpp"

#include <algorithm>
#include <cmath>

namespace attn::analysis {

namespace {

/// [in, heads]: the length, or the largest entry, of each head's piece of a row of W.
std::vector<double> head_norms(const model::Matrix& w, std::size_t heads, Extent extent) {
  const std::size_t dim = w.out / heads;
  std::vector<double> norms(w.in * heads);
  for (std::size_t e = 0; e < w.in; ++e) {
    for (std::size_t o = 0; o < w.out; ++o) {
      const double x = std::abs(w.at(e, o));
      double& norm = norms[e * heads + o / dim];
      norm = extent == Extent::length ? norm + x * x : std::max(norm, x);
    }
  }
  if (extent == Extent::length)
    for (double& norm : norms) norm = std::sqrt(norm);
  return norms;
}

double norm_of(const double* x, std::size_t count, Extent extent) {
  double norm = 0;
  for (std::size_t c = 0; c < count; ++c) norm = extent == Extent::length ? norm + x[c] * x[c] : std::max(norm, std::abs(x[c]));
  return extent == Extent::length ? std::sqrt(norm) : norm;
}

/// min(n, 4 sqrt(n)) units of the sums' precision.
double summing(std::size_t count, const Budget& budget) {
  const auto n = static_cast<double>(count);
  return std::min(n, kDeviations * std::sqrt(n)) * budget.sum;
}

/// Roundings of the two factors: of numbers that the precision does not hold.
double roundings(const Array& weight, const Array* x, const Budget& budget) {
  return (is_representable(weight, budget) ? 0 : 1) + (x == nullptr || is_representable(*x, budget) ? 0 : 1);
}

}  // namespace

std::vector<double> projected_errors(const model::Linear& linear, const Array& x, const Array& projected, std::size_t heads,
                                     Extent extent, const Budget& budget) {
  const model::Matrix& w = linear.weight;
  const std::vector<double> norms = head_norms(w, heads, extent);
  const std::size_t length = x.rank() == 1 ? 1 : x.shape()[x.rank() - 2];
  const std::size_t rows = w.in == 0 ? 0 : x.size() / w.in;
  const std::size_t dim = w.out / heads;
  std::vector<double> bias(w.out);
  for (std::size_t o = 0; o < w.out && linear.has_bias(); ++o) bias[o] = linear.bias.at_flat(o);
  const double rounded = kDeviations * std::sqrt(roundings(w.array, &x, budget)) * budget.operand;
  const double summed = summing(w.in, budget);
  std::vector<double> errors(rows * heads);
  DoubleReader reader(x);
  DoubleReader result(projected);
  for (std::size_t row = 0; row < rows; ++row) {
    const auto values = reader.read(row * w.in, w.in);
    const auto outputs = result.read(row * w.out, w.out);
    for (std::size_t h = 0; h < heads; ++h) {
      double sum = 0;
      double squares = 0;
      for (std::size_t e = 0; e < w.in; ++e) {
        const double product = std::abs(values[e]) * norms[e * heads + h];
        sum += product;
        squares += product * product;
      }
      const double size = norm_of(outputs.data() + h * dim, dim, extent);
      const double kept = budget.stored * (2 * size + norm_of(bias.data() + h * dim, dim, extent));
      errors[(row / length * heads + h) * length + row % length] =
          rounded * std::sqrt(squares) + summed * sum + kept + (budget.cuts ? 2 * budget.operand * size : 0) + budget.tiny;
    }
  }
  return errors;
}

Array output_bounds(const model::Linear& linear, const Array& y, const Array& bounds, const Array& o, const Budget& budget,
                    model::Arithmetic arithmetic, const engine::Execution& execution) {
  const model::Matrix& w = linear.weight;
  model::Linear squared{.weight = {.array = Array(DType::f64, {w.in, w.out}),
                                   .orientation = model::Orientation::in_out,
                                   .in = w.in,
                                   .out = w.out,
                                   .first = 0,
                                   .stride = w.out},
                        .bias = {}};
  const auto squares = squared.weight.array.mutable_values<double>();
  for (std::size_t i = 0; i < w.in; ++i)
    for (std::size_t c = 0; c < w.out; ++c) squares[i * w.out + c] = std::pow(w.at(i, c), 2);
  const auto root_of_products = [&](const Array& rows) {
    Array all(DType::f64, rows.shape());
    const auto from = rows.values<double>();
    std::ranges::transform(from, all.mutable_values<double>().begin(), [](double x) { return x * x; });
    Array result(DType::f64, o.shape());
    model::apply_linear(squared, all, "bounds", result.mutable_values<double>().data(), arithmetic, execution);
    for (double& x : result.mutable_values<double>()) x = std::sqrt(x);
    return result;
  };
  Array result = root_of_products(bounds);
  const Array sizes = root_of_products(y);
  // A sum of n magnitudes is at most sqrt(n) times the root of their squares' sum.
  const double per_size = kDeviations * std::sqrt(roundings(w.array, nullptr, budget)) * budget.operand +
                          summing(w.in, budget) * std::sqrt(static_cast<double>(w.in));
  const auto out = result.mutable_values<double>();
  for (std::size_t first = 0; first < out.size(); first += w.out) {
    for (std::size_t c = 0; c < w.out; ++c) {
      const std::size_t k = first + c;
      const double value = std::abs(o.values<double>()[k]);
      const double bias = linear.has_bias() ? std::abs(linear.bias.at_flat(c)) : 0;
      out[k] = 2 * out[k] + per_size * sizes.values<double>()[k] + budget.stored * (2 * value + bias) +
               (budget.cuts ? 2 * budget.operand * value : 0) + budget.tiny;
    }
  }
  return result;
}

}  // namespace attn::analysis

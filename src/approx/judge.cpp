// How far an approximation is from exact attention.
#include "approx/judge.hpp"

#include "analysis/writers.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace attn::approx {

namespace {

constexpr double kNoNumber = std::numeric_limits<double>::quiet_NaN();

template <class T>
OutputError error_between(std::span<const T> exact, std::span<const T> approximate, const std::vector<std::size_t>& of,
                          std::size_t dim) {
  OutputError error;
  double difference = 0;
  double norm = 0;
  for (std::size_t r = 0; r < of.size(); ++r) {
    double row_difference = 0;
    double row_norm = 0;
    for (std::size_t f = 0; f < dim; ++f) {
      const auto y = static_cast<double>(exact[r * dim + f]);
      const auto a = static_cast<double>(approximate[of[r] * dim + f]);
      if (std::isnan(y) && std::isnan(a)) continue;
      const double off = a == y ? 0 : std::abs(a - y);  // infinities that agree
      if (std::isnan(off)) return {kNoNumber, kNoNumber, kNoNumber, r};
      error.largest = std::max(error.largest, off);
      row_difference += off * off;
      row_norm += y * y;
    }
    difference += row_difference;
    norm += row_norm;
    const double relative = row_difference == 0 ? 0 : std::sqrt(row_difference / row_norm);
    if (relative > error.worst_row) {
      error.worst_row = relative;
      error.worst = r;
    }
  }
  error.relative = difference == 0 ? 0 : std::sqrt(difference / norm);
  return error;
}

}  // namespace

OutputError output_error(const Array& exact, const Array& approximate, const std::vector<std::size_t>& of, std::size_t dim) {
  return exact.dtype() == DType::f64 ? error_between(exact.values<double>(), approximate.values<double>(), of, dim)
                                     : error_between(exact.values<float>(), approximate.values<float>(), of, dim);
}

ExactWeights::ExactWeights(const engine::Plan& plan, const engine::Operands<double>& operands, const engine::Execution& execution)
    : kv_len_(plan.dims.kv_len), weights_(DType::f64, {plan.dims.batch, plan.dims.heads, plan.dims.q_len, plan.dims.kv_len}) {
  using Writer = analysis::PairWriter<double, double>;
  Writer writer(plan, Writer::What::weights, weights_.mutable_values<double>().data());
  engine::Observer<double>* const observers[] = {&writer};
  engine::run_tiled<double>(plan, operands, observers, execution);
}

double ExactWeights::divergence(const Array& approximate) const {
  if (kv_len_ == 0) return 0;
  double sum = 0;
  std::size_t rows = 0;
  const auto exact = weights_.values<double>();
  for (std::size_t first = 0; first < exact.size(); first += kv_len_) {
    double row = 0;
    bool is_empty = true;
    for (std::size_t j = first; j < first + kv_len_; ++j) {
      const double a = approximate.at_flat(j);
      is_empty = is_empty && exact[j] == 0;
      // The last two terms add up to 0 over a row, and make each key's part positive where rounding would not.
      row += (a != 0 ? a * std::log(a / exact[j]) : 0) - a + exact[j];
    }
    if (is_empty) continue;
    sum += row;
    ++rows;
  }
  return rows == 0 ? 0 : sum / static_cast<double>(rows);
}

template <class T>
Array approximate_weights(const Choice& choice, const engine::Plan& plan, const engine::Operands<T>& operands,
                          const engine::Plan& whole, const engine::Operands<T>& whole_operands,
                          const engine::Execution& execution) {
  const engine::Dims& d = plan.dims;
  Array weights(dtype_of<T>, {d.batch, d.heads, d.q_len, d.kv_len});
  using Writer = analysis::PairWriter<T, T>;
  Writer writer(plan, Writer::What::weights, weights.template mutable_values<T>().data());
  engine::Observer<T>* const observers[] = {&writer};
  choice.method->run(Job<T>{plan, operands, observers, execution, whole, whole_operands}, choice.setting);
  return weights;
}

template Array approximate_weights(const Choice&, const engine::Plan&, const engine::Operands<float>&, const engine::Plan&,
                                   const engine::Operands<float>&, const engine::Execution&);
template Array approximate_weights(const Choice&, const engine::Plan&, const engine::Operands<double>&, const engine::Plan&,
                                   const engine::Operands<double>&, const engine::Execution&);

bool has_divergence(Normalizer normalizer) {
  return normalizer == Normalizer::softmax || normalizer == Normalizer::softmin || normalizer == Normalizer::double_softmax;
}

}  // namespace attn::approx

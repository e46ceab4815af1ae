// LayerNorm and RMSNorm over rows.
#include "model/normalization.hpp"

#include "base/groups.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace attn::model {

namespace {

constexpr std::size_t kRowsOfTask = 64;
constexpr std::size_t kLanes = 8;  ///< partial sums: as many chains as keep the adders of any processor busy

template <class T>
std::vector<T> as_numbers(const Array& array) {
  std::vector<T> numbers(array.size());
  if (!array.shape().empty()) array.convert_to(dtype_of<T>, reinterpret_cast<std::byte*>(numbers.data()));
  return numbers;
}

/// The sum of term(x[i]) in double: kLanes chains, joined in order.
template <class T, class Term>
double sum_of(const T* x, std::size_t width, const Term& term) {
  double lanes[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= width; i += kLanes) {
    for (std::size_t l = 0; l < kLanes; ++l) lanes[l] += term(static_cast<double>(x[i + l]));
  }
  for (std::size_t l = 0; i < width; ++i, ++l) lanes[l] += term(static_cast<double>(x[i]));
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

/// One norm with its numbers in the type computed in.
template <class T>
class RowNorm {
 public:
  RowNorm(const Norm& norm, std::size_t width)
      : width_(width),
        epsilon_(norm.epsilon),
        keeps_mean_(norm.keeps_mean),
        weight_(as_numbers<T>(norm.weight)),
        bias_(as_numbers<T>(norm.bias)) {}

  void apply(const T* x, T* out) const {
    const auto count = static_cast<double>(width_);
    const double mean = keeps_mean_ ? 0 : sum_of(x, width_, [](double v) { return v; }) / count;
    const double square = sum_of(x, width_, [mean](double v) { return (v - mean) * (v - mean); }) / count;
    const auto scale = static_cast<T>(1 / std::sqrt(square + epsilon_));
    const auto shift = static_cast<T>(mean);
    const T* weight = weight_.data();
    if (bias_.empty()) {
      for (std::size_t i = 0; i < width_; ++i) out[i] = (x[i] - shift) * scale * weight[i];
    } else {
      const T* bias = bias_.data();
      for (std::size_t i = 0; i < width_; ++i) out[i] = (x[i] - shift) * scale * weight[i] + bias[i];
    }
  }

 private:
  std::size_t width_;
  double epsilon_;
  bool keeps_mean_;
  std::vector<T> weight_;
  std::vector<T> bias_;
};

template <class Body>
void for_each_row(std::size_t rows, const engine::Execution& execution, const Body& body) {
  engine::for_each_task(groups_of(rows, kRowsOfTask), execution, [&](std::size_t task) {
    const std::size_t first = task * kRowsOfTask;
    const std::size_t last = std::min(first + kRowsOfTask, rows);
    for (std::size_t row = first; row < last; ++row) body(row);
  });
}

}  // namespace

template <class T>
void apply_norm(const Norm& norm, const T* x, T* out, std::size_t rows, std::size_t width, const engine::Execution& execution) {
  if (width == 0) return;
  const RowNorm<T> row_norm(norm, width);
  for_each_row(rows, execution, [&](std::size_t row) { row_norm.apply(x + row * width, out + row * width); });
}

template <class T>
void add_and_norm(const Norm& norm, const T* y, T* x, T* out, std::size_t rows, std::size_t width,
                  const engine::Execution& execution) {
  if (width == 0) return;
  const RowNorm<T> row_norm(norm, width);
  for_each_row(rows, execution, [&](std::size_t row) {
    T* sum = x + row * width;
    for (std::size_t i = 0; i < width; ++i) sum[i] += y[row * width + i];
    if (norm.given()) row_norm.apply(sum, out + row * width);
  });
}

template void apply_norm(const Norm&, const float*, float*, std::size_t, std::size_t, const engine::Execution&);
template void apply_norm(const Norm&, const double*, double*, std::size_t, std::size_t, const engine::Execution&);
template void add_and_norm(const Norm&, const float*, float*, float*, std::size_t, std::size_t, const engine::Execution&);
template void add_and_norm(const Norm&, const double*, double*, double*, std::size_t, std::size_t, const engine::Execution&);

}  // namespace attn::model

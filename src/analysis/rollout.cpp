// Attention rollout: the product of the layers' mixing matrices.
#include "analysis/rollout.hpp"

#include "base/groups.hpp"
#include "model/blas.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <utility>

namespace attn::analysis {

namespace {

constexpr double kUnit = 0x1p-50;

/// c += a b for rows of square matrices.
void multiply_rows(const double* a, const double* b, double* c, std::size_t rows, std::size_t length,
                   model::Arithmetic arithmetic) {
  if (arithmetic == model::Arithmetic::blas) {
    model::Blas::get().multiply_add<double>({.rows = rows,
                                             .columns = length,
                                             .inner = length,
                                             .a = a,
                                             .a_stride = length,
                                             .b = b,
                                             .b_stride = length,
                                             .b_is_transposed = false,
                                             .c = c,
                                             .c_stride = length});
    return;
  }
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t k = 0; k < length; ++k) {
      for (std::size_t j = 0; j < length; ++j) c[i * length + j] += a[i * length + k] * b[k * length + j];
    }
  }
}

}  // namespace

template <class T>
HeadSum<T>::HeadSum(const engine::Plan& plan)
    : dims_(plan.dims), sums_(dims_.batch * dims_.q_len * dims_.kv_len), is_nan_(dims_.batch * dims_.q_len) {}

template <class T>
void HeadSum<T>::weights(const engine::Tile<T>& tile) {
  for (std::size_t i = 0; i < tile.queries; ++i) {
    const std::size_t row = tile.batch * dims_.q_len + tile.query + i;
    for (std::size_t j = 0; j < tile.keys; ++j) {
      const auto weight = static_cast<double>(tile.at(i, j));
      if (std::isnan(weight))
        std::atomic_ref(is_nan_[row]).store(1, std::memory_order_relaxed);
      else
        std::atomic_ref(sums_[row * dims_.kv_len + tile.key + j])
            .fetch_add(std::llrint(weight / kUnit), std::memory_order_relaxed);
    }
  }
}

template <class T>
double HeadSum<T>::mean(std::size_t batch, std::size_t query, std::size_t key) const noexcept {
  const std::size_t row = batch * dims_.q_len + query;
  if (is_nan_[row] != 0) return std::numeric_limits<double>::quiet_NaN();
  return static_cast<double>(sums_[row * dims_.kv_len + key]) * kUnit / static_cast<double>(dims_.heads);
}

template <class T>
void Rollout::add(const HeadSum<T>& weights, model::Arithmetic arithmetic, const engine::Execution& execution) {
  constexpr std::size_t block = 128;
  const std::size_t size = batch_ * length_ * length_;
  std::vector<double> next(size);
  const std::size_t blocks = groups_of(length_, block);
  engine::for_each_task(batch_ * blocks, execution, [&](std::size_t task) {
    const std::size_t b = task / blocks;
    const std::size_t first = task % blocks * block;
    const std::size_t rows = std::min(block, length_ - first);
    std::vector<double> mixing(rows * length_);
    for (std::size_t i = 0; i < rows; ++i) {
      double* row = mixing.data() + i * length_;
      double sum = 0;
      for (std::size_t j = 0; j < length_; ++j) {
        row[j] = weights.mean(b, first + i, j) / 2 + (j == first + i ? 0.5 : 0);
        sum += row[j];
      }
      for (std::size_t j = 0; j < length_; ++j) row[j] /= sum;
    }
    double* to = next.data() + (b * length_ + first) * length_;
    if (flow_.empty())
      std::copy(mixing.begin(), mixing.end(), to);
    else
      multiply_rows(mixing.data(), flow_.data() + b * length_ * length_, to, rows, length_, arithmetic);
  });
  flow_ = std::move(next);
}

template class HeadSum<float>;
template class HeadSum<double>;
template void Rollout::add(const HeadSum<float>&, model::Arithmetic, const engine::Execution&);
template void Rollout::add(const HeadSum<double>&, model::Arithmetic, const engine::Execution&);

}  // namespace attn::analysis

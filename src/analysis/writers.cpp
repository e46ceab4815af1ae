// Observers that put what the walk hands out into output arrays.
#include "analysis/writers.hpp"

#include "kernels/stream.hpp"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

namespace attn::analysis {

template <class T, class D>
void OutputWriter<T, D>::rows(const RowBlock<T>& block) {
  D* const to = output_ + block.batch * strides_.batch + block.head * strides_.head + block.query * strides_.query;
  if (!put_) return write(block, to, strides_.query);
  const std::size_t width = plan_.dims.value_dim;
  std::vector<D> numbers(block.queries * width);
  write(block, numbers.data(), width);
  if (strides_.query == width) return put_(to, numbers);
  for (std::size_t i = 0; i < block.queries; ++i)
    put_(to + i * strides_.query, std::span<const D>(numbers).subspan(i * width, width));
}

template <class T, class D>
void OutputWriter<T, D>::write(const RowBlock<T>& block, D* first, std::size_t step) const {
  const bool nan_when_empty = plan_.options.empty_rows == Policy::nan;
  const std::size_t width = plan_.dims.value_dim;
  std::vector<T> buffer;
  engine::RowSpan<T> queries;
  if (plan_.options.residual) {
    if (!operands_.residual.is_direct()) buffer.resize(block.queries * plan_.dims.head_dim);
    queries = operands_.residual.rows(block.batch, block.head, block.query, block.queries, buffer.data());
  }
  for (std::size_t i = 0; i < block.queries; ++i) {
    D* to = first + i * step;
    const T* from = block.output + i * width;
    if (nan_when_empty && block.is_empty[i] != 0) {
      std::fill_n(to, width, std::numeric_limits<D>::quiet_NaN());
    } else if (plan_.options.residual) {
      const T* query = queries.data + i * queries.stride;
      for (std::size_t c = 0; c < width; ++c) to[c] = static_cast<D>(from[c] + query[c]);
    } else if constexpr (std::is_same_v<T, D>) {
      // What is put is read again at once.
      if (put_)
        std::copy_n(from, width, to);
      else
        kernels::stream_row(from, width, to);
    } else {
      for (std::size_t c = 0; c < width; ++c) to[c] = static_cast<D>(from[c]);
    }
  }
}

template <class T, class D>
Needs PairWriter<T, D>::needs() const {
  switch (what_) {
    case What::weights:
      return {.weights = true};
    case What::raw_scores:
      return {.raw_scores = true};
    case What::capped_scores:
      return {.capped_scores = true};
    case What::masked_scores:
      return {.masked_scores = true};
  }
  return {};
}

template <class T, class D>
void PairWriter<T, D>::write(const Tile<T>& tile) {
  if constexpr (std::is_same_v<T, D>) {
    if (put_ && tile.key_step == 1) {
      // Whole rows are one piece of the file, which takes one piece faster than many.
      const bool whole = tile.keys == plan_.dims.kv_len && tile.query_step == tile.keys;
      const std::size_t pieces = whole ? 1 : tile.queries;
      const std::size_t size = whole ? tile.queries * tile.keys : tile.keys;
      for (std::size_t i = 0; i < pieces; ++i)
        put_(row(tile.batch, tile.head, tile.query + i) + tile.key, {tile.data + i * tile.query_step, size});
      return;
    }
  }
  for (std::size_t i = 0; i < tile.queries; ++i) {
    D* to = row(tile.batch, tile.head, tile.query + i) + tile.key;
    for (std::size_t j = 0; j < tile.keys; ++j) to[j] = static_cast<D>(tile.at(i, j));
  }
}

template <class T, class D>
void PairWriter<T, D>::rows(const RowBlock<T>& block) {
  if (what_ != What::weights || plan_.options.empty_rows != Policy::nan) return;
  for (std::size_t i = 0; i < block.queries; ++i) {
    if (block.is_empty[i] == 0) continue;
    D* to = row(block.batch, block.head, block.query + i);
    const std::vector<D> nothing(plan_.dims.kv_len, std::numeric_limits<D>::quiet_NaN());
    if (put_)
      put_(to, nothing);
    else
      std::ranges::copy(nothing, to);
  }
}

template <class T, class D>
void LseWriter<T, D>::rows(const RowBlock<T>& block) {
  D* to = values_ + (block.batch * plan_.dims.heads + block.head) * plan_.dims.q_len + block.query;
  if (!put_) {
    for (std::size_t i = 0; i < block.queries; ++i) to[i] = static_cast<D>(block.log_sum_exp[i]);
    return;
  }
  std::vector<D> numbers(block.queries);
  for (std::size_t i = 0; i < block.queries; ++i) numbers[i] = static_cast<D>(block.log_sum_exp[i]);
  put_(to, numbers);
}

template <class T, class D>
void WeightedRowsWriter<T, D>::weights(const Tile<T>& tile) {
  constexpr std::size_t most = 96;  // values that are made at a time
  const engine::Dims& d = plan_.dims;
  std::vector<T> buffer;
  if (!operands_.value.is_direct()) buffer.resize(std::min(tile.keys, most) * d.value_dim);
  for (std::size_t first = 0; first < tile.keys; first += most) {
    const std::size_t count = std::min(most, tile.keys - first);
    const engine::RowSpan<T> values =
        operands_.value.rows(tile.batch, d.kv_head(tile.head), tile.key + first, count, buffer.data());
    for (std::size_t i = 0; i < tile.queries; ++i)
      for (std::size_t j = 0; j < count; ++j) weigh(tile, i, first + j, values.data + j * values.stride);
  }
}

template <class T, class D>
void WeightedRowsWriter<T, D>::weigh(const Tile<T>& tile, std::size_t i, std::size_t j, const T* value) {
  const engine::Dims& d = plan_.dims;
  const T weight = tile.at(i, j);
  const std::size_t query = tile.query + i;
  const std::size_t key = tile.key + j;
  // A masked key is absent: its value is not even multiplied by 0, which would let a NaN through.
  if (weight == 0 && !plan_.visible(tile.batch, tile.head, query, key)) return;
  D* to = products_ + (((tile.batch * d.heads + tile.head) * d.q_len + query) * d.kv_len + key) * d.value_dim;
  for (std::size_t c = 0; c < d.value_dim; ++c) to[c] = static_cast<D>(weight * value[c]);
}

template <class T, class D>
void WeightedRowsWriter<T, D>::rows(const RowBlock<T>& block) {
  if (plan_.options.empty_rows != Policy::nan) return;
  const std::size_t row_size = plan_.dims.kv_len * plan_.dims.value_dim;
  for (std::size_t i = 0; i < block.queries; ++i) {
    const std::size_t row = (block.batch * plan_.dims.heads + block.head) * plan_.dims.q_len + block.query + i;
    if (block.is_empty[i] != 0) std::fill_n(products_ + row * row_size, row_size, std::numeric_limits<D>::quiet_NaN());
  }
}

template <class T>
void EmptyRows<T>::rows(const RowBlock<T>& block) {
  for (std::size_t i = 0; i < block.queries; ++i) {
    if (block.is_empty[i] == 0) continue;
    ++count_;
    const std::uint64_t position = (block.batch * plan_.dims.heads + block.head) * plan_.dims.q_len + block.query + i;
    std::uint64_t known = first_;
    while (position < known && !first_.compare_exchange_weak(known, position)) {
    }
  }
}

template <class T>
void NanWatch<T>::rows(const RowBlock<T>& block) {
  // A sum of x - x is 0 unless something is NaN or infinite, and needs no branch; only then is it worth a second look.
  bool found = false;
  if (watch_output_) {
    const std::size_t count = block.queries * plan_.dims.value_dim;
    T sum = 0;
    for (std::size_t k = 0; k < count; ++k) sum += block.output[k] - block.output[k];
    if (sum != 0 || std::isnan(sum)) found = std::any_of(block.output, block.output + count, [](T x) { return std::isnan(x); });
  } else {
    found = std::any_of(block.log_sum_exp, block.log_sum_exp + block.queries, [](double x) { return std::isnan(x); });
  }
  if (found) seen_ = true;
}

// The tiled engine writes its own type; the reference computes in double whatever is written.
#define ATTN_INSTANTIATE(T, D)       \
  template class OutputWriter<T, D>; \
  template class PairWriter<T, D>;   \
  template class LseWriter<T, D>;    \
  template class WeightedRowsWriter<T, D>
ATTN_INSTANTIATE(float, float);
ATTN_INSTANTIATE(double, float);
ATTN_INSTANTIATE(double, double);
#undef ATTN_INSTANTIATE
template class EmptyRows<float>;
template class EmptyRows<double>;
template class NanWatch<float>;
template class NanWatch<double>;

}  // namespace attn::analysis

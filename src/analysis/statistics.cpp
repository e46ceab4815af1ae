// Statistics of attention: what rows, columns and heads of the weights say.
#include "analysis/statistics.hpp"

#include "analysis/column_lanes.hpp"

#include <cmath>
#include <limits>

namespace attn::analysis {

template <class T>
void RowStatistics<T>::rows(const RowBlock<T>& block) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  const bool nan_when_empty = plan_.options.empty_rows == Policy::nan;
  const std::size_t first = (block.batch * plan_.dims.heads + block.head) * plan_.dims.q_len + block.query;
  for (std::size_t i = 0; i < block.queries; ++i) {
    rows_[first + i] = block.facts[i];
    if (nan_when_empty && block.is_empty[i] != 0)
      rows_[first + i] = {.entropy = nan, .maximum = nan, .argmax = 0, .distance = nan, .mass = nan};
  }
}

template <class T>
ColumnStatistics<T>::ColumnStatistics(const engine::Plan& plan)
    : plan_(plan), columns_(plan.dims.batch * plan.dims.heads * plan.dims.kv_len) {
  // Weights are at least 0, which is what a masked one is, unless they are the logits themselves.
  if (plan.options.normalize != Normalizer::none) return;
  for (ColumnFacts& facts : columns_) facts.maximum = -std::numeric_limits<double>::infinity();
}

template <class T>
void ColumnStatistics<T>::columns(const Tile<T>& tile) {
  ColumnFacts* to = columns_.data() + (tile.batch * plan_.dims.heads + tile.head) * plan_.dims.kv_len + tile.key;
  for (std::size_t j = 0; j < tile.keys; ++j) {
    const T* w = tile.data + j * tile.key_step;
    ColumnFacts& facts = to[j];
    facts.received += column_sum(w, tile.queries);
    const T top = column_maximum(w, tile.queries);
    if (!(static_cast<double>(top) > facts.maximum)) continue;
    facts.maximum = static_cast<double>(top);
    facts.argmax = tile.query + static_cast<std::size_t>(std::find(w, w + tile.queries, top) - w);
  }
}

std::vector<HeadFacts> head_facts(const engine::Dims& dims, const std::vector<RowFacts>& rows) {
  std::vector<HeadFacts> heads(dims.batch * dims.heads);
  if (dims.q_len == 0) return heads;
  const auto count = static_cast<double>(dims.q_len);
  for (std::size_t h = 0; h < heads.size(); ++h) {
    HeadFacts& mean = heads[h];
    for (std::size_t i = 0; i < dims.q_len; ++i) {
      const RowFacts& row = rows[h * dims.q_len + i];
      mean.entropy += row.entropy;
      mean.support += std::exp(row.entropy);
      mean.maximum += row.maximum;
      mean.distance += row.distance;
    }
    mean.entropy /= count;
    mean.support /= count;
    mean.maximum /= count;
    mean.distance /= count;
  }
  return heads;
}

template class RowStatistics<float>;
template class RowStatistics<double>;
template class ColumnStatistics<float>;
template class ColumnStatistics<double>;

}  // namespace attn::analysis

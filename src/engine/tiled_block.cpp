// What a block of queries keeps from span to span in the tiled engine.
#include "engine/tiled_block.hpp"

#include "engine/logarithm.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace attn::engine {

using kernels::kLanes;

namespace {

template <class T>
void clear_rows(kernels::SoftmaxRows<T>& rows) {
  std::fill_n(rows.maximum, kLanes, -std::numeric_limits<T>::infinity());
  std::fill_n(rows.next, kLanes, -std::numeric_limits<T>::infinity());
  std::fill_n(rows.sum, kLanes, T(0));
  std::fill_n(rows.rescale, kLanes, T(1));
}

}  // namespace

template <class T>
TiledBlock<T>::TiledBlock(const TiledJob<T>& job, const BlockPlace& place, BlockMemory<T>& memory)
    : job_(job), place_(place), is_few_(place.lanes() <= kernels::kFewLanes && !job.settings.distance), memory_(memory) {
  find_ranges();
  clear(memory_.total);
  if (job.settings.normalize == Normalizer::softmax1) {
    // As if one more key had logit 0.
    std::fill_n(memory_.total.rows.maximum, kLanes, T(0));
    std::fill_n(memory_.total.rows.sum, kLanes, T(1));
    is_untouched_ = false;
  }
  clear_rows(memory_.statistics);
}

template <class T>
void TiledBlock<T>::find_ranges() {
  range_ = job_.plan.range(place_.batch, place_.first, place_.queries);
  inner_ = {0, std::numeric_limits<std::size_t>::max()};
  for (std::size_t lane = 0; lane < lanes(); ++lane) {
    const KeyRange own = job_.plan.range(place_.batch, place_.query_of(lane));
    memory_.lane_range[lane] = own.empty() ? KeyRange{} : own;
    inner_.begin = std::max(inner_.begin, memory_.lane_range[lane].begin);
    inner_.end = std::min(inner_.end, memory_.lane_range[lane].end);
  }
}

template <class T>
void TiledBlock<T>::load_queries(T factor, TiledScratch<T>& scratch) {
  const std::size_t dim = job_.plan.dims.head_dim;
  const RowSource<T>& source = job_.operands.query;
  RowSpan<T> rows;
  if (place_.heads == 1) {
    rows = source.rows(place_.batch, place_.head, place_.first, place_.queries, scratch.queries.get());
  } else {
    rows = {scratch.queries.get(), dim};
    for (std::size_t part = 0; part < place_.heads; ++part)
      source.make(place_.batch, place_.head + part, place_.first, place_.queries,
                  scratch.queries.get() + part * place_.queries * dim);
  }
  const auto load = is_few_ ? job_.kernels.scale_rows : job_.kernels.load_queries;
  load(rows.data, rows.stride, lanes(), dim, factor, memory_.queries.get());
}

template <class T>
void TiledBlock<T>::clear(Sums<T>& sums) const {
  clear_rows(sums.rows);
  std::fill_n(sums.second, kLanes, T(0));
  std::fill_n(sums.seen, kLanes, T(0));
  if (job_.needs.output) std::fill_n(sums.output.get(), job_.plan.dims.value_dim * kLanes, T(0));
}

template <class T>
void TiledBlock<T>::join(const Sums<T>& part) {
  is_untouched_ = false;
  const std::size_t dim = job_.needs.output ? job_.plan.dims.value_dim : 0;
  job_.kernels.join_spans(memory_.total.rows, memory_.total.output.get(), part.rows, part.output.get(), dim, lanes(),
                          job_.settings.natural);
  for (std::size_t lane = 0; lane < lanes(); ++lane)
    memory_.total.seen[lane] = std::max(memory_.total.seen[lane], part.seen[lane]);
}

template <class T>
void TiledBlock<T>::finish() {
  const Normalizer normalize = job_.settings.normalize;
  for (std::size_t i = 0; i < lanes(); ++i) {
    // The largest logit adds exactly 1 to a sum, so only a query without any has 0; NaN is not 0.
    const T sum = job_.settings.is_double() ? memory_.statistics.sum[i] : memory_.total.rows.sum[i];
    const bool counted = normalize == Normalizer::softmax || job_.settings.is_double();
    memory_.is_empty[i] = (counted ? sum == 0 : memory_.total.seen[i] == 0) ? 1 : 0;
    if (memory_.is_empty[i] != 0) {
      memory_.divisor[i] = 0;
    } else if (job_.settings.is_online()) {
      memory_.divisor[i] = memory_.total.rows.sum[i];
    } else {
      memory_.divisor[i] = job_.settings.is_double() ? memory_.total.second[i] : T(1);
    }
    if (job_.needs.log_sum_exp)
      memory_.log_sum_exp[i] = log_sum_exp(job_.has_statistics() ? memory_.statistics : memory_.total.rows, i);
  }
  std::fill(memory_.divisor + lanes(), memory_.divisor + kLanes, T(0));
}

template <class T>
double TiledBlock<T>::log_sum_exp(const kernels::SoftmaxRows<T>& rows, std::size_t lane) const {
  const auto maximum = static_cast<double>(rows.maximum[lane]);
  const auto sum = static_cast<double>(rows.sum[lane]);
  if (std::isnan(sum)) return std::numeric_limits<double>::quiet_NaN();
  if (sum == 0) return -std::numeric_limits<double>::infinity();
  return (job_.settings.natural ? maximum : maximum * std::numbers::ln2) + natural_log(sum);
}

template <class T>
void TiledBlock<T>::hand_out_rows(TiledScratch<T>& scratch) const {
  const std::size_t dim = job_.plan.dims.value_dim;
  if (job_.needs.output) job_.kernels.store_rows(memory_.total.output.get(), memory_.divisor, lanes(), dim, scratch.rows.get());
  for (std::size_t part = 0; part < place_.heads; ++part) {
    const std::size_t lane = part * place_.queries;
    const RowBlock<T> block{.batch = place_.batch,
                            .head = place_.head + part,
                            .query = place_.first,
                            .queries = place_.queries,
                            .output = job_.needs.output ? scratch.rows.get() + lane * dim : nullptr,
                            .log_sum_exp = job_.needs.log_sum_exp ? memory_.log_sum_exp + lane : nullptr,
                            .is_empty = memory_.is_empty + lane};
    for (Observer<T>* observer : job_.observers) observer->rows(block);
  }
}

template class TiledBlock<float>;
template class TiledBlock<double>;

}  // namespace attn::engine

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
    : job_(job),
      place_(place),
      is_few_(place.lanes() <= kernels::kFewLanes && !job.settings.distance && job.products == nullptr),
      memory_(memory) {
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
RowSpan<T> TiledBlock<T>::query_rows(T* buffer) const {
  const std::size_t dim = job_.plan.dims.head_dim;
  const RowSource<T>& source = job_.operands.query;
  if (place_.heads == 1) return source.rows(place_.batch, place_.head, place_.first, place_.queries, buffer);
  for (std::size_t part = 0; part < place_.heads; ++part)
    source.make(place_.batch, place_.head + part, place_.first, place_.queries, buffer + part * place_.queries * dim);
  return {buffer, dim};
}

template <class T>
void TiledBlock<T>::load_queries(T factor, TiledScratch<T>& scratch) {
  load_queries(query_rows(scratch.queries.get()), factor);
}

template <class T>
void TiledBlock<T>::load_queries(const RowSpan<T>& rows, T factor) {
  if (job_.products != nullptr) {
    memory_.product_queries.reserve(job_.products->query_bytes());
    return job_.products->load_queries(rows.data, rows.stride, lanes(), factor, memory_.product_queries.get());
  }
  const auto load = is_few_ ? job_.kernels.scale_rows : job_.kernels.load_queries;
  load(rows.data, rows.stride, lanes(), job_.plan.dims.head_dim, factor, memory_.queries.get());
}

template <class T>
void TiledBlock<T>::clear(Sums<T>& sums) const {
  clear_rows(sums.rows);
  std::fill_n(sums.second, kLanes, T(0));
  std::fill_n(sums.seen, kLanes, T(0));
  if (job_.needs.output) std::fill_n(sums.output.get(), job_.plan.dims.value_dim * kLanes, T(0));
  if (!job_.needs.notes()) return;
  if (!sums.notes) sums.notes = std::make_unique<RowNotes<T>>();
  sums.notes->reset(job_.needs.facts, std::min(job_.needs.top, job_.plan.dims.kv_len), lanes());
}

template <class T>
void TiledBlock<T>::join(const Sums<T>& part) {
  is_untouched_ = false;
  const std::size_t dim = job_.needs.output ? job_.plan.dims.value_dim : 0;
  if (job_.needs.notes())
    memory_.total.notes->join(job_.kernels, *part.notes, memory_.total.rows, part.rows, lanes(), job_.settings.natural);
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
void TiledBlock<T>::weigh(T* tile, std::size_t count, TiledScratch<T>& scratch) const {
  const kernels::KernelTable<T>& k = job_.kernels;
  const bool natural = job_.settings.natural;
  switch (job_.settings.normalize) {
    case Normalizer::softmax:
    case Normalizer::softmin:
    case Normalizer::softmax1:
      return k.exponentials(tile, count, lanes(), natural, memory_.total.rows.maximum);
    case Normalizer::double_softmax:
      // The sums are known and must stay: the other row array takes what is added.
      return k.double_step(tile, count, lanes(), natural, memory_.statistics, scratch.part.second);
    case Normalizer::sigmoid:
      return k.sigmoid(tile, count, lanes());
    case Normalizer::none:
      return k.zero_masked(tile, count, lanes());
  }
}

template <class T>
std::size_t TiledBlock<T>::row_of(std::size_t lane) const noexcept {
  const Dims& d = job_.plan.dims;
  return (place_.batch * d.heads + place_.head_of(lane)) * d.q_len + place_.query_of(lane);
}

template <class T>
void TiledBlock<T>::save(RowSums<T>& all) const {
  for (std::size_t lane = 0; lane < lanes(); ++lane) {
    const std::size_t row = row_of(lane);
    all.maximum[row] = memory_.total.rows.maximum[lane];
    all.divisor[row] = memory_.divisor[lane];
    if (!job_.settings.is_double()) continue;
    all.statistics_maximum[row] = memory_.statistics.maximum[lane];
    all.statistics_sum[row] = memory_.statistics.sum[lane];
  }
}

template <class T>
void TiledBlock<T>::restore(const RowSums<T>& all) {
  for (std::size_t lane = 0; lane < lanes(); ++lane) {
    const std::size_t row = row_of(lane);
    memory_.total.rows.maximum[lane] = all.maximum[row];
    memory_.divisor[lane] = all.divisor[row];
    if (!job_.settings.is_double()) continue;
    memory_.statistics.maximum[lane] = all.statistics_maximum[row];
    memory_.statistics.sum[lane] = all.statistics_sum[row];
  }
  std::fill(memory_.divisor + lanes(), memory_.divisor + kLanes, T(0));
}

template <class T>
std::size_t TiledBlock<T>::carried(const TiledJob<T>& job, std::size_t lanes) noexcept {
  return lanes * (job.plan.dims.head_dim + (job.settings.is_double() ? 4 : 2));
}

template <class T>
void TiledBlock<T>::pack(T* to) const {
  const std::size_t dim = job_.plan.dims.head_dim;
  const RowSpan<T> rows = query_rows(to);
  if (rows.data != to)
    for (std::size_t lane = 0; lane < lanes(); ++lane) std::copy_n(rows.data + lane * rows.stride, dim, to + lane * dim);
  to = std::copy_n(memory_.total.rows.maximum, lanes(), to + lanes() * dim);
  to = std::copy_n(memory_.divisor, lanes(), to);
  if (!job_.settings.is_double()) return;
  to = std::copy_n(memory_.statistics.maximum, lanes(), to);
  std::copy_n(memory_.statistics.sum, lanes(), to);
}

template <class T>
void TiledBlock<T>::unpack(const T* from, T factor) {
  const std::size_t dim = job_.plan.dims.head_dim;
  load_queries({from, dim}, factor);
  from += lanes() * dim;
  std::copy_n(from, lanes(), memory_.total.rows.maximum);
  std::copy_n(from + lanes(), lanes(), memory_.divisor);
  std::fill(memory_.divisor + lanes(), memory_.divisor + kLanes, T(0));
  if (!job_.settings.is_double()) return;
  std::copy_n(from + 2 * lanes(), lanes(), memory_.statistics.maximum);
  std::copy_n(from + 3 * lanes(), lanes(), memory_.statistics.sum);
}

template <class T>
void TiledBlock<T>::finish_facts(TiledScratch<T>& scratch) const {
  const RowNotes<T>& notes = *memory_.total.notes;
  T* tile = scratch.tile.get();
  std::copy_n(notes.best, kLanes, tile);
  weigh(tile, 1, scratch);
  job_.kernels.finish_tile(tile, 1, lanes(), memory_.divisor);
  scratch.facts.assign(lanes(), {});
  for (std::size_t lane = 0; lane < lanes(); ++lane) {
    if (memory_.is_empty[lane] != 0) continue;
    const auto divisor = static_cast<double>(memory_.divisor[lane]);
    RowFacts& facts = scratch.facts[lane];
    // With w = u / divisor: -sum w ln w = (ln(divisor) sum u - sum u ln u) / divisor.
    const double known = divisor == 1 ? 0.0 : natural_log(divisor) * notes.mass[lane];
    facts.entropy = (known - notes.information[lane]) / divisor;
    // Rounding must not make the entropy of one key less than none; weights that may exceed 1 may have less.
    if (job_.settings.normalize != Normalizer::none && facts.entropy < 0) facts.entropy = 0;
    facts.maximum = static_cast<double>(tile[lane]);
    facts.argmax = notes.key[lane];
    facts.distance = notes.distance[lane] / divisor;
    facts.mass = notes.mass[lane] / divisor;
  }
}

template <class T>
void TiledBlock<T>::finish_top(TiledScratch<T>& scratch) const {
  const std::size_t most = std::min(job_.needs.top, job_.plan.dims.kv_len);
  TopKeys<T>& top = memory_.total.notes->top;
  T* tile = scratch.tile.get();
  scratch.top.assign(lanes() * most, {});
  scratch.top_count.assign(lanes(), 0);
  if (most == 0) return;
  for (std::size_t lane = 0; lane < lanes(); ++lane) scratch.top_count[lane] = top.sorted(lane).size();
  for (std::size_t first = 0; first < most; first += kernels::kKeys) {
    const std::size_t count = std::min(kernels::kKeys, most - first);
    std::fill_n(tile, count * kLanes, -std::numeric_limits<T>::infinity());
    const auto for_each = [&](auto&& f) {
      for (std::size_t lane = 0; lane < lanes(); ++lane)
        for (std::size_t n = first; n < std::min(first + count, scratch.top_count[lane]); ++n)
          f(tile[(n - first) * kLanes + lane], top.kept(lane)[n], scratch.top[lane * most + n]);
    };
    for_each([](T& x, const KeyLogit<T>& entry, KeyWeight&) { x = entry.logit; });
    weigh(tile, count, scratch);
    job_.kernels.finish_tile(tile, count, lanes(), memory_.divisor);
    for_each([](const T& x, const KeyLogit<T>& entry, KeyWeight& to) { to = {entry.key, static_cast<double>(x)}; });
  }
}

template <class T>
void TiledBlock<T>::hand_out_rows(TiledScratch<T>& scratch) const {
  const std::size_t dim = job_.plan.dims.value_dim;
  const std::size_t most = std::min(job_.needs.top, job_.plan.dims.kv_len);
  if (job_.row_sums != nullptr) save(*job_.row_sums);
  if (job_.needs.facts) finish_facts(scratch);
  if (job_.needs.top > 0) finish_top(scratch);
  if (job_.needs.output)
    job_.kernels.store_rows(memory_.total.output.get(), memory_.divisor, lanes(), dim, scratch.rows.get(), dim);
  for (std::size_t part = 0; part < place_.heads; ++part) {
    const std::size_t lane = part * place_.queries;
    const RowBlock<T> block{.batch = place_.batch,
                            .head = place_.head + part,
                            .query = place_.first,
                            .queries = place_.queries,
                            .output = job_.needs.output ? scratch.rows.get() + lane * dim : nullptr,
                            .log_sum_exp = job_.needs.log_sum_exp ? memory_.log_sum_exp + lane : nullptr,
                            .is_empty = memory_.is_empty + lane,
                            .facts = job_.needs.facts ? scratch.facts.data() + lane : nullptr,
                            .top = job_.needs.top > 0 ? scratch.top.data() + lane * most : nullptr,
                            .top_count = job_.needs.top > 0 ? scratch.top_count.data() + lane : nullptr,
                            .top_step = most};
    for (Observer<T>* observer : job_.observers) observer->rows(block);
  }
}

template class TiledBlock<float>;
template class TiledBlock<double>;

}  // namespace attn::engine

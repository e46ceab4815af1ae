// The passes over the keys that a strip of query blocks takes.
#include "engine/tiled_strip.hpp"

#include <algorithm>

namespace attn::engine {

namespace {

/// Rows [first, first + count) of one head, copied to `buffer` when they must be made or lie apart.
template <class T>
RowSpan<T> load_rows(const RowSource<T>& source, std::size_t batch, std::size_t head, const KeyRange& keys, bool several,
                     AlignedArray<T>& buffer) {
  const std::size_t count = keys.end - keys.begin;
  const bool direct = source.is_direct();
  if (direct && !(several && source.direct().row_stride != source.dim()))
    return {source.direct().row(batch, head, keys.begin), source.direct().row_stride};
  buffer.reserve(count * source.dim());
  source.make(batch, head, keys.begin, count, buffer.get());
  return {buffer.get(), source.dim()};
}

}  // namespace

template <class T>
KeySpan<T> load_span(const TiledJob<T>& job, std::size_t batch, std::size_t kv_head, const KeyRange& keys, bool with_values,
                     bool several, TiledScratch<T>& scratch) {
  if (job.products != nullptr) return {.keys = keys, .key = {}, .value = {}};  // they have forms of their own
  KeySpan<T> span{.keys = keys, .key = load_rows(job.operands.key, batch, kv_head, keys, several, scratch.keys), .value = {}};
  if (with_values) span.value = load_rows(job.operands.value, batch, kv_head, keys, several, scratch.values);
  return span;
}

template <class T>
kernels::Ahead<T> queries_ahead(const TiledJob<T>& job, const BlockPlace& place) {
  constexpr std::size_t most_bytes = std::size_t{1} << 15U;
  const RowSource<T>& source = job.operands.query;
  if (!source.is_direct()) return {};
  const std::size_t rows = std::min(job.plan.dims.q_len - place.first, most_bytes / (source.dim() * sizeof(T)) + 1);
  return {source.direct().row(place.batch, place.head, place.first), source.direct().row_stride, rows, source.dim()};
}

template <class T>
kernels::Ahead<T> keys_ahead(const TiledJob<T>& job, const BlockPlace& place, const KeyRange& keys) {
  const RowSource<T>& source = job.operands.key;
  if (!source.is_direct() || job.products != nullptr || keys.empty()) return {};
  const std::size_t kv_head = job.plan.dims.kv_head(place.head);
  const std::size_t rows = std::min(keys.end - keys.begin, kernels::kKeys);
  return {source.direct().row(place.batch, kv_head, keys.begin), source.direct().row_stride, rows, source.dim()};
}

template <class T>
void add_span(const TiledJob<T>& job, TiledWalk<T>& walk, TiledBlock<T>& block, TiledScratch<T>& scratch) {
  if (!job.settings.is_online() || block.is_untouched()) return walk.sums(block.touch());
  block.clear(scratch.part);
  walk.sums(scratch.part);
  block.join(scratch.part);
}

template <class T>
void TiledStrip<T>::add(const BlockPlace& place) {
  const std::size_t i = blocks_.size();
  auto& memory = scratch_.blocks;
  if (i == memory.size()) memory.push_back(std::make_unique<BlockMemory<T>>(job_.plan.dims.head_dim, job_.plan.dims.value_dim));
  blocks_.push_back(std::make_unique<TiledBlock<T>>(job_, place, *memory[i]));
}

template <class T>
template <class F>
void TiledStrip<T>::for_each_span(std::size_t length, bool with_values, bool all_keys, F&& f) {
  const Dims& d = job_.plan.dims;
  KeyRange within{0, d.kv_len};
  if (!all_keys) {
    within = {d.kv_len, 0};
    for (const auto& block : blocks_) {
      if (block->range().empty()) continue;
      within.begin = std::min(within.begin, block->range().begin);
      within.end = std::max(within.end, block->range().end);
    }
  }
  const BlockPlace& first = blocks_.front()->place();
  for (std::size_t at = within.begin / length * length; at < within.end; at += length) {
    const KeyRange keys{std::max(at, within.begin), std::min(at + length, within.end)};
    const KeySpan<T> span = load_span(job_, first.batch, d.kv_head(first.head), keys, with_values, blocks_.size() > 1, scratch_);
    // A span of this size surely stays in the second-level cache from block to block; parts of longer ones are gone again.
    constexpr std::size_t warm_bytes = std::size_t{1} << 17U;
    const bool is_short = (keys.end - keys.begin) * (d.head_dim + d.value_dim) * sizeof(T) <= warm_bytes;
    bool is_warm = false;
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      TiledBlock<T>& block = *blocks_[i];
      if (!all_keys && (block.range().empty() || block.range().begin >= keys.end || block.range().end <= keys.begin)) continue;
      between_();
      scratch_.upcoming.start(is_warm);
      if (keys.end == within.end && i + 1 == blocks_.size()) look_ahead();
      is_warm = is_short;
      TiledWalk<T> walk(job_, block, span, scratch_);
      f(walk, block);
    }
  }
}

template <class T>
void TiledStrip<T>::look_ahead() {
  if (!next_) return;
  scratch_.upcoming.add(queries_ahead(job_, *next_));
  scratch_.upcoming.add(keys_ahead(job_, *next_, job_.plan.range(next_->batch, next_->first, next_->queries)));
}

template <class T>
void TiledStrip<T>::run() {
  const std::size_t length = span_length(job_.plan.dims, sizeof(T));
  const std::size_t pair_length = pair_span_length(job_.plan.dims, sizeof(T));
  for (const auto& block : blocks_) block->load_queries(job_.settings.query_factor, scratch_);
  if (job_.has_statistics()) for_each_span(length, false, false, [](TiledWalk<T>& walk, TiledBlock<T>&) { walk.statistics(); });
  sums();
  for (const auto& block : blocks_) block->finish();
  if (job_.needs.weights) for_each_span(pair_length, false, false, [](TiledWalk<T>& walk, TiledBlock<T>&) { walk.weights(); });
  if (job_.needs.any_scores()) {
    for (const auto& block : blocks_) block->load_queries(job_.settings.score_factor, scratch_);
    for_each_span(pair_length, false, true, [](TiledWalk<T>& walk, TiledBlock<T>&) { walk.scores(); });
  }
  for (const auto& block : blocks_) block->hand_out_rows(scratch_);
}

template <class T>
void TiledStrip<T>::sums() {
  const std::size_t length = span_length(job_.plan.dims, sizeof(T));
  for_each_span(length, job_.needs.output, false,
                [this](TiledWalk<T>& walk, TiledBlock<T>& block) { add_span(job_, walk, block, scratch_); });
}

template KeySpan<float> load_span(const TiledJob<float>&, std::size_t, std::size_t, const KeyRange&, bool, bool,
                                  TiledScratch<float>&);
template KeySpan<double> load_span(const TiledJob<double>&, std::size_t, std::size_t, const KeyRange&, bool, bool,
                                   TiledScratch<double>&);
template kernels::Ahead<float> queries_ahead(const TiledJob<float>&, const BlockPlace&);
template kernels::Ahead<double> queries_ahead(const TiledJob<double>&, const BlockPlace&);
template kernels::Ahead<float> keys_ahead(const TiledJob<float>&, const BlockPlace&, const KeyRange&);
template kernels::Ahead<double> keys_ahead(const TiledJob<double>&, const BlockPlace&, const KeyRange&);
template void add_span(const TiledJob<float>&, TiledWalk<float>&, TiledBlock<float>&, TiledScratch<float>&);
template void add_span(const TiledJob<double>&, TiledWalk<double>&, TiledBlock<double>&, TiledScratch<double>&);
template class TiledStrip<float>;
template class TiledStrip<double>;

}  // namespace attn::engine

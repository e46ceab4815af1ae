// Spans of keys as tasks, joined in their order.
#include "engine/tiled_split.hpp"

#include <algorithm>

namespace attn::engine {

template <class T>
bool TiledSplit<T>::fits(const TiledJob<T>& job) noexcept {
  return job.settings.is_online() && !job.has_statistics() && !job.needs.weights && !job.needs.any_scores();
}

template <class T>
TiledSplit<T>::TiledSplit(const TiledJob<T>& job, const Blocks& blocks, TiledPool<T>& pool, std::size_t threads)
    : job_(job), pool_(pool), threads_(threads), span_length_(span_length(job.plan.dims, sizeof(T))) {
  const Dims& d = job.plan.dims;
  pool_.lend([&](TiledScratch<T>& scratch) {
    for (std::size_t b = 0; b < d.batch; ++b) {
      for (std::size_t kv_head = 0; kv_head < d.kv_heads; ++kv_head) {
        for (std::size_t i = 0; i < blocks.in_kv_head(); ++i) {
          auto entry = std::make_unique<Entry>(job, blocks.place(b, kv_head, i));
          const KeyRange range = entry->block.range();
          entry->block.load_queries(job.settings.query_factor, scratch);
          entry->first_task = tasks_;
          entry->tasks = range.empty() ? 0 : (range.end - 1) / span_length_ - range.begin / span_length_ + 1;
          tasks_ += entry->tasks;
          if (entry->tasks == 0) {
            finish(*entry, scratch);
          } else {
            entries_.push_back(std::move(entry));
          }
        }
      }
    }
  });
}

template <class T>
auto TiledSplit<T>::piece(std::size_t task) const -> Piece {
  const auto after = std::ranges::upper_bound(entries_, task, {}, [](const auto& entry) { return entry->first_task; });
  Entry& entry = **std::prev(after);
  const KeyRange range = entry.block.range();
  const std::size_t number = task - entry.first_task;
  const std::size_t at = (range.begin / span_length_ + number) * span_length_;
  return {entry, number, {std::max(at, range.begin), std::min(at + span_length_, range.end)}};
}

template <class T>
void TiledSplit<T>::run(std::size_t task) {
  const auto [entry, number, keys] = piece(task);
  TiledBlock<T>& block = entry.block;
  pool_.lend([&](TiledScratch<T>& scratch) {
    const BlockPlace& place = block.place();
    const KeySpan<T> span =
        load_span(job_, place.batch, job_.plan.dims.kv_head(place.head), keys, job_.needs.output, false, scratch);
    auto part = std::make_unique<Sums<T>>(job_.plan.dims.value_dim);
    block.clear(*part);
    if (task + threads_ < tasks_) {  // threads that work alike take turns
      const Piece next = piece(task + threads_);
      scratch.upcoming.add(keys_ahead(job_, next.entry.block.place(), next.keys));
    }
    TiledWalk<T>(job_, block, span, scratch).sums(*part);

    const std::scoped_lock lock(entry.mutex);
    entry.waiting.emplace(number, std::move(part));
    for (auto next = entry.waiting.begin(); next != entry.waiting.end() && next->first == entry.joined;
         next = entry.waiting.erase(next)) {
      block.join(*next->second);
      ++entry.joined;
    }
    if (entry.joined == entry.tasks) finish(entry, scratch);
  });
}

template <class T>
void TiledSplit<T>::finish(Entry& entry, TiledScratch<T>& scratch) {
  entry.block.finish();
  entry.block.hand_out_rows(scratch);
}

template class TiledSplit<float>;
template class TiledSplit<double>;

}  // namespace attn::engine

// The columns of one head, shared by several processes.
#include "engine/ring_columns.hpp"

#include <algorithm>

namespace attn::engine {

template <class T>
RingColumns<T>::RingColumns(const TiledJob<T>& job, const RingShare& share, const Execution& execution, const Ring& ring,
                            TiledPool<T>& pool)
    : job_(job),
      share_(share),
      execution_(execution),
      ring_(ring),
      pool_(pool),
      blocks_(job.plan.dims),
      memory_(job.plan.dims.head_dim, job.plan.dims.value_dim) {
  job_.needs = {.columns = true};
}

template <class T>
std::uint64_t RingColumns<T>::bytes(const Plan& plan, const RingShare& share) {
  std::size_t keys = 0;
  for (const ColumnPart& part : share.columns(0, 0, 0)) keys += part.keys.end - part.keys.begin;
  const std::uint64_t carried = kernels::kLanes * (plan.dims.head_dim + 4);
  return (keys * plan.dims.head_dim + RingQueue<T>::most_pieces * carried) * sizeof(T) +
         BlockMemory<T>::bytes(plan.dims.head_dim, plan.dims.value_dim);
}

template <class T>
void RingColumns<T>::load_keys(const std::vector<ColumnPart>& parts) {
  const std::size_t dim = job_.plan.dims.head_dim;
  if (keys_.size() < parts.size()) keys_.resize(parts.size());
  spans_.clear();
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const ColumnPart& part = parts[i];
    const std::size_t count = part.keys.end - part.keys.begin;
    const RowSource<T>& source = job_.operands.key;
    if (!source.is_direct()) keys_[i].reserve(count * dim);
    spans_.push_back(
        {.keys = part.keys, .key = source.rows(part.batch, part.kv_head, part.keys.begin, count, keys_[i].get()), .value = {}});
  }
}

template <class T>
void RingColumns<T>::walk(const RingStep& step, const T* carried) {
  TiledBlock<T> block(job_, blocks_.place(step.batch, step.kv_head, step.block), memory_);
  block.unpack(carried, job_.settings.query_factor);
  const KeyRange& seen = block.range();
  for_each_task(spans_.size(), execution_, [&](std::size_t i) {
    const KeySpan<T>& span = spans_[i];
    if (seen.begin >= span.keys.end || seen.end <= span.keys.begin) return;
    pool_.lend([&](TiledScratch<T>& scratch) { TiledWalk<T>(job_, block, span, scratch).columns(); });
  });
  let_masks_go(job_.plan, block.place());
}

template <class T>
void RingColumns<T>::run(std::size_t batch, std::size_t kv_head, std::span<const std::unique_ptr<TiledBlock<T>>> blocks) {
  const int rank = ring_.transport.rank();
  const auto place_of = [&](const RingStep& step) { return blocks_.place(batch, kv_head, step.block); };
  const auto read = [&](const RingStep& step, T* to) {
    const BlockPlace place = place_of(step);
    const auto is_it = [&place](const auto& block) {
      return block->place().head == place.head && block->place().first == place.first;
    };
    (*std::ranges::find_if(blocks, is_it))->pack(to);
  };
  load_keys(share_.columns(rank, batch, kv_head));
  const std::vector<RingStep> steps = share_.column_steps(rank, batch, kv_head);
  RingQueue<T> queue(ring_, steps,
                     {.elements = [&](const RingStep& step) { return TiledBlock<T>::carried(job_, place_of(step).lanes()); },
                      .read = read,
                      .first_label = RingCargo<T>::labels});
  for (; !queue.is_over(); queue.next()) {
    stop_if_cancelled(execution_);
    if (queue.step().is_needed) walk(queue.step(), queue.wait());
  }
  queue.finish();
}

template class RingColumns<float>;
template class RingColumns<double>;

}  // namespace attn::engine

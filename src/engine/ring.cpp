// The walk of one process of several over its queries, head by head, as spans of keys come by.
#include "engine/ring.hpp"

#include "base/groups.hpp"
#include "engine/ring_columns.hpp"
#include "engine/ring_queue.hpp"
#include "engine/tiled_strip.hpp"

#include <algorithm>
#include <memory>
#include <thread>

namespace attn::engine {

namespace {

template <class T>
using RingVisit = void (*)(const TiledJob<T>&, TiledWalk<T>&, TiledBlock<T>&, TiledScratch<T>&);

/// A pass over the keys, and what every block does with every span of it.
template <class T>
struct RingWork {
  RingPass pass;
  RingVisit<T> visit;
  bool is_scores = false;
};

/// The passes that the observers make necessary; `sums` is the place of the one that ends with final sums.
template <class T>
std::vector<RingWork<T>> works_of(const TiledJob<T>& job, std::size_t& sums) {
  std::vector<RingWork<T>> all;
  if (job.has_statistics())
    all.push_back({{}, [](const TiledJob<T>&, TiledWalk<T>& walk, TiledBlock<T>&, TiledScratch<T>&) { walk.statistics(); }});
  sums = all.size();
  all.push_back({{.with_values = job.needs.output}, add_span<T>});
  if (job.needs.weights)
    all.push_back({{}, [](const TiledJob<T>&, TiledWalk<T>& walk, TiledBlock<T>&, TiledScratch<T>&) { walk.weights(); }});
  if (job.needs.any_scores())
    all.push_back({{.all_keys = true},
                   [](const TiledJob<T>&, TiledWalk<T>& walk, TiledBlock<T>&, TiledScratch<T>&) { walk.scores(); },
                   true});
  return all;
}

/// What one process walks with.
template <class T>
class RingWalk {
 public:
  RingWalk(const TiledJob<T>& job, const RingShare& share, const Execution& execution, const Ring& ring)
      : job_(job),
        share_(share),
        execution_(execution),
        ring_(ring),
        works_(works_of(job, sums_)),
        steps_(share.steps(ring.transport.rank(), passes())),
        keys_(ring, steps_, cargo()),
        pool_(job.plan.dims.head_dim, job.plan.dims.value_dim, job.plan.has_bias()),
        columns_ring_{ring.transport, [this] { keys_.poll(); }},
        columns_(job, share, quiet_, columns_ring_, pool_) {
    quiet_.progress = {};
  }

  void run() {
    const Dims& d = job_.plan.dims;
    for (std::size_t head = 0; head < d.batch * d.kv_heads; ++head) run_head(head / d.kv_heads, head % d.kv_heads);
    keys_.finish();
  }

 private:
  [[nodiscard]] std::vector<RingPass> passes() const {
    std::vector<RingPass> all;
    for (const RingWork<T>& work : works_) all.push_back(work.pass);
    return all;
  }

  /// A span of keys, and its values behind them.
  [[nodiscard]] RingCargo<T> cargo() const {
    const Dims& d = job_.plan.dims;
    const Operands<T>& from = job_.operands;
    return {.elements =
                [&d](const RingStep& step) {
                  return (step.keys.end - step.keys.begin) * (d.head_dim + (step.with_values ? d.value_dim : 0));
                },
            .read =
                [&d, &from](const RingStep& step, T* to) {
                  const std::size_t count = step.keys.end - step.keys.begin;
                  from.key.make(step.batch, step.kv_head, step.keys.begin, count, to);
                  if (step.with_values)
                    from.value.make(step.batch, step.kv_head, step.keys.begin, count, to + count * d.head_dim);
                }};
  }

  /// f(block, scratch) for every block of this rank in one head, on as many threads as asked for.
  template <class F>
  void for_each_block(F&& f) {
    const std::thread::id own = std::this_thread::get_id();
    for_each_task(blocks_.size(), quiet_, [&](std::size_t i) {
      // Messages are the affair of one thread.
      if (std::this_thread::get_id() == own) keys_.poll();
      pool_.lend([&](TiledScratch<T>& scratch) { f(*blocks_[i], scratch); });
    });
  }

  void run_head(std::size_t batch, std::size_t kv_head) {
    const Dims& d = job_.plan.dims;
    const std::vector<BlockPlace> places = share_.places(ring_.transport.rank(), batch, kv_head);
    while (memory_.size() < places.size()) memory_.push_back(std::make_unique<BlockMemory<T>>(d.head_dim, d.value_dim));
    blocks_.clear();
    for (std::size_t i = 0; i < places.size(); ++i)
      blocks_.push_back(std::make_unique<TiledBlock<T>>(job_, places[i], *memory_[i]));
    load_queries(job_.settings.query_factor);
    for (std::size_t pass = 0; pass < works_.size(); ++pass) {
      if (works_[pass].is_scores) load_queries(job_.settings.score_factor);
      while (!keys_.is_over() && is_of(keys_.step(), batch, kv_head, pass)) run_step(works_[pass]);
      if (pass == sums_)
        for (const auto& block : blocks_) block->finish();
    }
    for_each_block([](TiledBlock<T>& block, TiledScratch<T>& scratch) { block.hand_out_rows(scratch); });
    if (job_.needs.columns) columns_.run(batch, kv_head, blocks_);
  }

  static bool is_of(const RingStep& step, std::size_t batch, std::size_t kv_head, std::size_t pass) {
    return step.batch == batch && step.kv_head == kv_head && step.pass == pass;
  }

  void load_queries(T factor) {
    for_each_block([factor](TiledBlock<T>& block, TiledScratch<T>& scratch) { block.load_queries(factor, scratch); });
  }

  void run_step(const RingWork<T>& work) {
    stop_if_cancelled(execution_);
    const RingStep& step = keys_.step();
    if (step.is_needed) {
      const std::size_t dim = job_.plan.dims.head_dim;
      KeySpan<T> span{.keys = step.keys, .key = {keys_.wait(), dim}, .value = {}};
      if (step.with_values) span.value = {span.key.data + (step.keys.end - step.keys.begin) * dim, job_.plan.dims.value_dim};
      for_each_block([&](TiledBlock<T>& block, TiledScratch<T>& scratch) {
        const KeyRange& seen = block.range();
        const bool sees = !seen.empty() && seen.begin < span.keys.end && seen.end > span.keys.begin;
        if (!sees && !work.pass.all_keys) return;
        TiledWalk<T> walk(job_, block, span, scratch);
        work.visit(job_, walk, block, scratch);
        let_masks_go(job_.plan, block.place());
      });
    }
    keys_.next();
    ++done_;
    if (execution_.progress) execution_.progress(static_cast<double>(done_) / static_cast<double>(steps_.size()));
  }

  const TiledJob<T>& job_;
  const RingShare& share_;
  const Execution& execution_;
  const Ring& ring_;
  Execution quiet_ = execution_;
  std::size_t sums_ = 0;
  std::vector<RingWork<T>> works_;
  std::vector<RingStep> steps_;
  RingQueue<T> keys_;
  TiledPool<T> pool_;
  Ring columns_ring_;
  RingColumns<T> columns_;
  std::vector<std::unique_ptr<BlockMemory<T>>> memory_;
  std::vector<std::unique_ptr<TiledBlock<T>>> blocks_;
  std::size_t done_ = 0;
};

/// Masks are read for the queries of this rank alone, unless those of others come by for its columns.
std::vector<bool> query_blocks(const Plan& plan, const RingShare& share, int rank) {
  std::vector<bool> own(groups_of(plan.dims.q_len, most_queries), false);
  for (const BlockPlace& place : share.places(rank)) own[place.first / most_queries] = true;
  return own;
}

}  // namespace

template <class T>
RingShare ring_share(const Plan& plan, int ranks) {
  return {plan, span_length(plan.dims, sizeof(T)), ranks};
}

template <class T>
void run_ring(const Plan& plan, const Operands<T>& operands, std::span<Observer<T>* const> observers, const Execution& execution,
              const Ring& ring) {
  Needs needs;
  for (const Observer<T>* observer : observers) needs |= observer->needs();
  if (plan.dims.batch == 0 || plan.dims.kv_heads == 0) return;
  const RingShare share = ring_share<T>(plan, ring.transport.size());
  const std::vector<bool> own = query_blocks(plan, share, ring.transport.rank());
  const BlockMap map = execution.map_masks ? BlockMap(plan, execution, needs.columns ? nullptr : &own) : BlockMap();
  TiledJob<T> job{plan, map, operands, observers, needs, TiledSettings<T>(plan), kernels_for<T>(execution.isa)};
  job.is_ring = true;
  RingWalk<T>(job, share, execution, ring).run();
}

template <class T>
std::uint64_t ring_bytes(const Plan& plan, int ranks, const Needs& needs) {
  const Dims& d = plan.dims;
  if (d.kv_heads == 0) return 0;
  const std::uint64_t most = Blocks(d).in_kv_head() / static_cast<std::size_t>(ranks) + 2;
  const std::uint64_t span = std::uint64_t{span_length(d, sizeof(T))} * (d.head_dim + d.value_dim) * sizeof(T);
  const std::uint64_t columns = needs.columns ? RingColumns<T>::bytes(plan, ring_share<T>(plan, ranks)) : 0;
  return most * BlockMemory<T>::bytes(d.head_dim, d.value_dim) + RingQueue<T>::most_pieces * span + columns;
}

template std::uint64_t ring_bytes<float>(const Plan&, int, const Needs&);
template std::uint64_t ring_bytes<double>(const Plan&, int, const Needs&);
template RingShare ring_share<float>(const Plan&, int);
template RingShare ring_share<double>(const Plan&, int);
template void run_ring<float>(const Plan&, const Operands<float>&, std::span<Observer<float>* const>, const Execution&,
                              const Ring&);
template void run_ring<double>(const Plan&, const Operands<double>&, std::span<Observer<double>* const>, const Execution&,
                               const Ring&);

}  // namespace attn::engine

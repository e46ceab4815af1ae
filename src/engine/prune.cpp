// Attention to the keys that matter: the walk over blocks of queries.
#include "engine/prune.hpp"

#include "engine/prune_block.hpp"
#include "engine/tiled_memory.hpp"
#include "engine/tiled_strip.hpp"

#include <attn/error.hpp>

#include <algorithm>
#include <limits>
#include <mutex>

#include <fmt/format.h>

namespace attn::engine {

namespace {

std::size_t room_for(const Plan& plan, const PruneRule& rule) {
  constexpr std::size_t fewest = 256;
  constexpr std::size_t share = 4;
  constexpr std::size_t times = 4;
  const std::size_t groups = (plan.dims.kv_len + kernels::kGroup - 1) / kernels::kGroup;
  return std::min(groups, std::max({fewest, groups / share, times * rule.keys}));
}

std::uint64_t bytes_of_block(const Dims& d) { return BlockMemory<float>::bytes(d.head_dim, d.value_dim); }

void check_rule(const Plan& plan, const PruneRule& rule) {
  const std::string refusal = prune_refusal(plan);
  if (!refusal.empty()) throw Error(Status::usage, "pruning does not apply: " + refusal);
  if (rule.keys == 0 ? !(rule.mass > 0 && rule.mass <= 1) : rule.mass != 0)
    throw Error(Status::usage, "pruning keeps either a mass above 0 and at most 1, or a number of keys");
}

/// The report of a walk that left out nothing.
PruneReport nothing_dropped(const Plan& plan) {
  PruneReport report;
  const Dims& d = plan.dims;
  for (std::size_t b = 0; b < d.batch; ++b)
    for (std::size_t i = 0; i < d.q_len; ++i) {
      const KeyRange range = plan.range(b, i);
      if (range.empty()) continue;
      report.rows += d.heads;
      report.visible += d.heads * (range.end - range.begin);
    }
  report.kept = report.visible;
  report.exact_rows = report.rows;
  return report;
}

/// The blocks' reports as one, in their order, so that the mean does not depend on threads.
PruneReport all_reports(const std::vector<PruneReport>& reports) {
  PruneReport all;
  for (const PruneReport& one : reports) {
    all.rows += one.rows;
    all.visible += one.visible;
    all.kept += one.kept;
    all.exact_rows += one.exact_rows;
    all.largest_dropped = std::max(all.largest_dropped, one.largest_dropped);
    all.mean_dropped += one.mean_dropped;
    all.largest_error = std::max(all.largest_error, one.largest_error);
  }
  if (all.rows > 0) all.mean_dropped /= static_cast<double>(all.rows);
  return all;
}

/// Threads' memory, lent to one task at a time.
class Scratches {
 public:
  explicit Scratches(const PruneJob& job) : job_(job) {}

  template <class F>
  void lend(F&& f) {
    std::unique_ptr<PruneScratch> own;
    {
      const std::scoped_lock lock(mutex_);
      if (!free_.empty()) {
        own = std::move(free_.back());
        free_.pop_back();
      }
    }
    if (!own) own = std::make_unique<PruneScratch>(job_);
    f(*own);
    const std::scoped_lock lock(mutex_);
    free_.push_back(std::move(own));
  }

 private:
  const PruneJob& job_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<PruneScratch>> free_;
};

}  // namespace

bool keeps_all(const Plan& plan, const PruneRule& rule) noexcept {
  return rule.keys != 0 ? rule.keys >= plan.dims.kv_len : rule.mass >= 1;
}

std::string prune_refusal(const Plan& plan) {
  if (plan.options.normalize != Normalizer::softmax) return "what is left out is bounded for a softmax only";
  if (plan.dims.kv_len > std::numeric_limits<std::uint32_t>::max()) return "there are more than 2^32 keys";
  return int8_refusal(plan);
}

PruneReport run_pruned(const Plan& plan, const Operands<float>& operands, std::span<Observer<float>* const> observers,
                       const Execution& execution, const PruneRule& rule) {
  check_rule(plan, rule);
  if (keeps_all(plan, rule)) {
    run_tiled<float>(plan, operands, observers, execution);
    return nothing_dropped(plan);
  }
  Needs needs;
  for (const Observer<float>* observer : observers) needs |= observer->needs();
  const std::string isa = selected_isa(execution.isa);
  const auto tables = kernels::available<float>();
  const kernels::KernelTable<float>& table = **std::ranges::find(tables, isa, [](const auto* t) { return t->isa; });
  if (plan.dims.batch == 0 || plan.dims.kv_heads == 0) return {};
  const Int8Products products(plan, operands, execution, Int8Use::bounds);
  const KeyBounds bounds(plan, operands, execution);
  const PruneJob job{plan, operands, products, bounds, rule, table, room_for(plan, rule)};
  const BlockMap map(plan, execution);
  const TiledJob<float> exact{plan, map, operands, observers, needs, TiledSettings<float>(plan), table};
  const Blocks blocks(plan.dims);
  TiledPool<float> pool(plan.dims.head_dim, plan.dims.value_dim, plan.has_bias());
  Scratches scratches(job);
  std::vector<PruneReport> reports(blocks.count());
  const std::function<void()> between = [&execution] { stop_if_cancelled(execution); };
  // Blocks that are computed exactly after all are so together, so that they read their keys from the cache.
  const std::size_t length =
      exact.keeps_logits() ? 1 : strip_length(blocks.count(), execution.threads, bytes_of_block(plan.dims));
  const std::size_t in_head = (blocks.in_kv_head() + length - 1) / length;
  for_each_task(plan.dims.batch * plan.dims.kv_heads * in_head, execution, [&](std::size_t task) {
    const std::size_t head = task / in_head;
    const std::size_t first = (in_head - 1 - task % in_head) * length;
    std::vector<BlockPlace> left;
    scratches.lend([&](PruneScratch& scratch) {
      for (std::size_t i = first; i < std::min(first + length, blocks.in_kv_head()); ++i) {
        between();
        const BlockPlace place = blocks.place(head / plan.dims.kv_heads, head % plan.dims.kv_heads, i);
        PruneReport& report = reports[head * blocks.in_kv_head() + i];
        PruneBlock block(job, place, scratch);
        if (block.run()) {
          block.report(report);
          block.hand_out(observers, needs.weights);
        } else {
          block.report_exact(report);
          left.push_back(place);
        }
      }
    });
    if (left.empty()) return;
    pool.lend([&](TiledScratch<float>& scratch) {
      TiledStrip<float> strip(exact, scratch, between);
      for (const BlockPlace& place : left) strip.add(place);
      strip.run();
    });
  });
  return all_reports(reports);
}

std::uint64_t pruned_bytes(const Plan& plan, const PruneRule& rule, std::size_t threads) {
  const Dims& d = plan.dims;
  if (keeps_all(plan, rule)) return 0;
  const std::uint64_t lanes = kernels::kLanes;
  const std::uint64_t tiles = tile_count(d.kv_len);
  const std::uint64_t numbers = lanes * (3 * d.head_dim + d.value_dim + 2 * std::max(d.head_dim, d.value_dim) +
                                         4 * kernels::kKeys + tiles * (1 + kGroups / 2)) +
                                d.kv_len;
  const std::uint64_t keys = room_for(plan, rule) * kernels::kGroup;
  const std::uint64_t candidates = lanes * room_for(plan, rule) * sizeof(Candidate) +
                                   keys * (sizeof(std::int32_t) + sizeof(float) + 2 * sizeof(Candidate) + sizeof(Taken)) +
                                   lanes * keys * sizeof(Taken);
  return int8_bytes(d, Int8Use::bounds) + KeyBounds::bytes(d) + threads * (numbers * sizeof(float) + candidates);
}

}  // namespace attn::engine

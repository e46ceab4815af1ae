// One block of queries in the tiled engine: what it keeps from span to span, and what becomes of its sums.
#pragma once

#include "engine/block_map.hpp"
#include "engine/blocks.hpp"
#include "engine/observer.hpp"
#include "engine/operands.hpp"
#include "engine/plan.hpp"
#include "engine/products.hpp"
#include "engine/tiled_settings.hpp"
#include "engine/tiled_workspace.hpp"
#include "kernels/kernels.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace attn::engine {

/// Everything a block shares with all others.
template <class T>
struct TiledJob {
  const Plan& plan;
  const BlockMap& map;  ///< of the plan's masks
  const Operands<T>& operands;
  std::span<Observer<T>* const> observers;
  Needs needs;
  TiledSettings<T> settings;
  const kernels::KernelTable<T>& kernels;
  RowSums<T>* row_sums = nullptr;         ///< where blocks save theirs, if they are to come back
  const Products<T>* products = nullptr;  ///< what computes the products, if not the kernels
  bool is_ring = false;                   ///< all blocks of a head take one span of keys after the other

  /// The logits of each block stay from the pass for its sums to that for its weights. Rows of keys that must be made are made
  /// for many blocks at a time, and those do not fit; as little do those of a ring.
  [[nodiscard]] bool keeps_logits() const noexcept {
    return !is_ring && needs.weights && operands.key.is_direct() && logits_fit(plan.dims, sizeof(T));
  }
  /// A pass for the log-sum-exp, or the first of two softmaxes, comes before the output's.
  [[nodiscard]] bool has_statistics() const noexcept {
    return settings.is_double() || (needs.log_sum_exp && settings.normalize != Normalizer::softmax);
  }
};

template <class T>
class TiledBlock {
 public:
  /// `memory` is the block's alone while there is a block; what it holds at first does not matter.
  TiledBlock(const TiledJob<T>& job, const BlockPlace& place, BlockMemory<T>& memory);

  [[nodiscard]] const BlockPlace& place() const noexcept { return place_; }
  [[nodiscard]] std::size_t lanes() const noexcept { return place_.lanes(); }
  /// Few lanes take kernels of their own, which give the same bits.
  [[nodiscard]] bool is_few() const noexcept { return is_few_; }
  /// What any of its queries may see, and what all of them see as far as range() goes.
  [[nodiscard]] const KeyRange& range() const noexcept { return range_; }
  [[nodiscard]] const KeyRange& inner_range() const noexcept { return inner_; }
  [[nodiscard]] const KeyRange& lane_range(std::size_t lane) const noexcept { return memory_.lane_range[lane]; }
  /// The queries times `factor`: [head_dim][kLanes], or for a few lanes [lanes][head_dim].
  void load_queries(T factor, TiledScratch<T>& scratch);
  [[nodiscard]] const T* queries() const noexcept { return memory_.queries.get(); }
  /// The same in the form of the job's products.
  [[nodiscard]] const std::byte* product_queries() const noexcept { return memory_.product_queries.get(); }

  /// Sums that cover no key: of one span, or of all spans before the first.
  void clear(Sums<T>& sums) const;
  /// Adds the sums of the next span of a running softmax to those of all before it.
  void join(const Sums<T>& part);
  [[nodiscard]] Sums<T>& total() noexcept { return memory_.total; }
  /// True while the total covers nothing at all. Then a span may be summed up right there: joining to nothing changes no bit.
  [[nodiscard]] bool is_untouched() const noexcept { return is_untouched_; }
  /// The total, to be added to directly.
  [[nodiscard]] Sums<T>& touch() noexcept {
    is_untouched_ = false;
    return memory_.total;
  }
  /// The running softmax of the logits themselves, when has_statistics().
  [[nodiscard]] kernels::SoftmaxRows<T>& statistics() noexcept { return memory_.statistics; }
  [[nodiscard]] const T* divisor() const noexcept { return memory_.divisor; }

  /// After the last span: what the sums are divided by, which queries are empty, their log-sum-exp.
  void finish();
  /// Logits (of `count` keys, in rows of kLanes) to weights up to the divisor, when all sums are known.
  void weigh(T* tile, std::size_t count, TiledScratch<T>& scratch) const;
  void hand_out_rows(TiledScratch<T>& scratch) const;

  /// Puts what final weights are made from where it belongs among that of all queries, and takes it from there.
  void save(RowSums<T>& all) const;
  void restore(const RowSums<T>& all);
  /// The same with the queries themselves, packed for another process: carried() numbers.
  [[nodiscard]] static std::size_t carried(const TiledJob<T>& job, std::size_t lanes) noexcept;
  void pack(T* to) const;
  void unpack(const T* from, T factor);

 private:
  /// Where the queries are, or made in `buffer`, [lanes, head_dim].
  [[nodiscard]] RowSpan<T> query_rows(T* buffer) const;
  void load_queries(const RowSpan<T>& rows, T factor);
  void find_ranges();
  /// The facts and the strongest keys of all lanes, in the scratch memory.
  void finish_facts(TiledScratch<T>& scratch) const;
  void finish_top(TiledScratch<T>& scratch) const;
  [[nodiscard]] std::size_t row_of(std::size_t lane) const noexcept;
  [[nodiscard]] double log_sum_exp(const kernels::SoftmaxRows<T>& rows, std::size_t lane) const;

  const TiledJob<T>& job_;
  const BlockPlace place_;
  const bool is_few_;
  KeyRange range_;
  KeyRange inner_;
  BlockMemory<T>& memory_;
  bool is_untouched_ = true;
};

}  // namespace attn::engine

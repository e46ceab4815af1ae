// One block of queries in the tiled engine: its passes over the keys it can see.
#pragma once

#include "engine/block_map.hpp"
#include "engine/observer.hpp"
#include "engine/operands.hpp"
#include "engine/plan.hpp"
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
};

template <class T>
class TiledBlock {
 public:
  TiledBlock(const TiledJob<T>& job, TiledWorkspace<T>& space, std::size_t batch, std::size_t head, std::size_t first,
             std::size_t queries);

  /// Computes the block and hands it to the observers: scores, weights, rows.
  void run();

 private:
  using Softmax = kernels::SoftmaxRows<T>;
  /// Keys [begin, end) of one key block; `full` when range() leaves them to all queries, `cover` what the masks do to them.
  struct Keys {
    std::size_t begin;
    std::size_t end;
    bool full;
    Cover cover;
    [[nodiscard]] std::size_t count() const noexcept { return end - begin; }
  };

  void find_ranges();
  /// Calls f(keys) for each key block that holds a key of `within`, in ascending order.
  template <class F>
  void for_each_tile(KeyRange within, F&& f);
  void load_queries(T factor);
  void raw_tile(const Keys& keys, T* maximum);
  /// What the products of this tile should fetch for the ones after them.
  [[nodiscard]] kernels::Ahead<T> values_of(const Keys& keys) const;
  [[nodiscard]] kernels::Ahead<T> next_keys(const Keys& keys) const;
  [[nodiscard]] Cover cover_of(KeyRange keys) const;
  /// True when the tile has a bias to add: of its masks, or of ALiBi.
  [[nodiscard]] bool is_biased(const Keys& keys) const;
  /// The bias of the tile. False when masks hide all of it.
  bool load_bias(const Keys& keys);
  /// Logits of the tile (negated for softmin when `negate`). False when masks hide all of it.
  bool logit_tile(const Keys& keys, bool negate, T* maximum);
  void apply_bias_and_interval(const Keys& keys, bool biased, kernels::LogitStage<T> stage, T* maximum);
  void start(Softmax& rows, bool with_one);
  /// The running softmax of the logits themselves, without values.
  void statistics_pass();
  /// The normalizer's sums and the output.
  void main_pass();
  void weigh_tile(bool final);
  void add_values(const Keys& keys, bool select);
  bool needs_select(const Keys& keys);
  void finish_rows();
  void clear_masked(const Keys& keys);
  void hand_out_scores();
  void hand_out_weights();
  void hand_out_rows();
  [[nodiscard]] Tile<T> tile_of(const Keys& keys) const;
  [[nodiscard]] double log_sum_exp(const Softmax& rows, std::size_t lane) const;

  const TiledJob<T>& job_;
  const kernels::KernelTable<T>& k_;
  TiledWorkspace<T>& space_;
  const std::size_t batch_;
  const std::size_t head_;
  const std::size_t kv_head_;
  const std::size_t first_;
  const std::size_t queries_;
  const bool statistics_;  ///< a pass for the log-sum-exp or the first of two softmaxes is needed

  KeyRange range_;               ///< what any query may see
  std::size_t inner_begin_ = 0;  ///< [inner_begin_, inner_end_) is what range() leaves to every query
  std::size_t inner_end_ = 0;
  KeyRange lane_range_[kernels::kLanes] = {};
  std::size_t count_ = 0;  ///< keys of the tile at hand

  Softmax main_ = {};
  Softmax first_softmax_ = {};
  alignas(64) T second_sum_[kernels::kLanes] = {};
  alignas(64) T ones_[kernels::kLanes] = {};
  alignas(64) T seen_[kernels::kLanes] = {};
  alignas(64) T divisor_[kernels::kLanes] = {};
  alignas(64) T lane_begin_[kernels::kLanes] = {};
  alignas(64) T lane_end_[kernels::kLanes] = {};
  std::uint64_t keep_[kernels::kKeys] = {};
  std::uint8_t is_empty_[kernels::kLanes] = {};
  double log_sum_exp_[kernels::kLanes] = {};
};

}  // namespace attn::engine

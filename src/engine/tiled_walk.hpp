// One block of queries against one span of keys, tile by tile: logits, weights, sums.
#pragma once

#include "engine/tiled_block.hpp"

#include <algorithm>
#include <cstddef>

namespace attn::engine {

/// Keys [begin, end) of one key/value head and their values. `value` is null when no output is asked for.
template <class T>
struct KeySpan {
  KeyRange keys;
  RowSpan<T> key;
  RowSpan<T> value;

  [[nodiscard]] const T* key_row(std::size_t j) const noexcept { return key.data + (j - keys.begin) * key.stride; }
  [[nodiscard]] const T* value_row(std::size_t j) const noexcept { return value.data + (j - keys.begin) * value.stride; }
};

template <class T>
class TiledWalk {
 public:
  TiledWalk(const TiledJob<T>& job, TiledBlock<T>& block, const KeySpan<T>& span, TiledScratch<T>& scratch)
      : job_(job), k_(job.kernels), block_(block), span_(span), scratch_(scratch), tile_(scratch.tile.get()) {}

  /// The running softmax of the logits themselves, without values.
  void statistics();
  /// The normalizer's sums and the output over this span.
  void sums(Sums<T>& sums);
  /// Final weights, handed to those who want them.
  void weights();
  /// Final weights tile by tile, handed to those who want columns.
  void columns();
  /// Scores at all stages, handed to those who want them. The block's queries must be loaded with the scores' factor.
  void scores();

 private:
  /// Keys [begin, end) of one tile; `full` when range() leaves them to all queries, `cover` what the masks do to them.
  struct Keys {
    std::size_t begin;
    std::size_t end;
    bool full;
    Cover cover;
    [[nodiscard]] std::size_t count() const noexcept { return end - begin; }
  };

  /// Calls f(keys) for each tile that holds a key of `within` and this span, in ascending order.
  template <class F>
  void for_each_tile(const KeyRange& within, F&& f);
  void raw_tile(const Keys& keys, T* maximum);
  [[nodiscard]] ProductKeys product_keys(const Keys& keys) const;
  /// The workspace of other products than the kernels'.
  [[nodiscard]] std::byte* product_scratch();
  template <class Raw, class Capped, class Masked>
  void score_stages(const Keys& keys, Raw raw, Capped capped, Masked masked);
  /// What the products of this tile should fetch for the ones after them.
  [[nodiscard]] kernels::Ahead<T> values_of(const Keys& keys) const;
  [[nodiscard]] kernels::Ahead<T> next_keys(const Keys& keys) const;
  /// Few queries read faster than caches are filled; they always fetch their own rows.
  [[nodiscard]] bool is_warm() const noexcept { return scratch_.upcoming.is_span_warm() && !block_.is_few(); }
  [[nodiscard]] Cover cover_of(const KeyRange& keys) const;
  /// True when the tile has a bias to add: of its masks, or of ALiBi.
  [[nodiscard]] bool is_biased(const Keys& keys) const;
  /// The bias of the tile. False when masks hide all of it.
  bool load_bias(const Keys& keys);
  /// What masks leave of the tile, when they only hide. False when that is nothing.
  bool load_keep(const Keys& keys);
  /// Logits of the tile (negated for softmin when `negate`). False when masks hide all of it.
  bool logit_tile(const Keys& keys, bool negate, T* maximum, T* seen);
  /// Logits of a few lanes cost little to compute and as much to keep as those of many.
  [[nodiscard]] bool keeps_logits() const noexcept { return job_.keeps_logits() && !block_.is_few(); }
  /// Of the weights up to their divisor, nothing but their sums is asked for.
  [[nodiscard]] bool wants_sums_only() const noexcept {
    return job_.settings.is_online() && !job_.needs.output && !job_.needs.facts;
  }
  void open_kept();
  /// Where the tile's logits are kept.
  [[nodiscard]] T* kept(const Keys& keys) const noexcept {
    return scratch_.kept.get() + keys.begin / kernels::kKeys * TiledScratch<T>::kTile;
  }
  /// Keeps the logits in the tile at hand, or that there are none, for weights().
  void keep_logits(const Keys& keys, bool any);
  /// The tile's logits as sums() saw them, or computed again: where they are, or null when masks hide all of it.
  [[nodiscard]] T* logits_again(const Keys& keys);
  void apply_bias_and_interval(const Keys& keys, bool biased, kernels::LogitStage<T> stage, T* maximum, T* seen);
  /// Logits to weights, up to the divisor; `sums` grow.
  void weigh_tile(const Keys& keys, Sums<T>& sums);
  void note_weights(const Keys& keys, Sums<T>& sums);
  bool needs_select(const Keys& keys);
  void add_values(const Keys& keys, bool select, Sums<T>& sums);
  void begin_few(const Sums<T>& sums);
  void end_few(Sums<T>& sums);
  void clear_masked(const Keys& keys, T* rows, std::size_t stride);
  /// What observers ask for in one kind of pairs, and where it gathers.
  struct PairKind {
    bool Needs::*wanted;
    void (Observer<T>::*take)(const Tile<T>&);
    PairRows<T>* rows;
  };
  /// Makes room for the pairs of all keys of `within` that this span holds.
  void open_pairs(const KeyRange& within, PairRows<T>& rows);
  /// Adds the tile, each lane divided by its divisor, to the pairs; hands out first what does not lie just before it.
  void add_pairs(const Keys& keys, const T* tile, const T* divisor, const PairKind& kind);
  void hand_out(const PairKind& kind);
  /// Hands the tile at hand to the observers of columns whose needs `wants` takes.
  template <class Wants>
  void hand_out_columns(const Keys& keys, const T* divisor, const Wants& wants);

  const TiledJob<T>& job_;
  const kernels::KernelTable<T>& k_;
  TiledBlock<T>& block_;
  const KeySpan<T>& span_;
  TiledScratch<T>& scratch_;
  T* tile_;  ///< [kKeys][kLanes], the tile at hand: scores, logits, weights
};

}  // namespace attn::engine

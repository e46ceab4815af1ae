// One block of queries in a pruned walk: its candidates, and what becomes of them.
#pragma once

#include "engine/blocks.hpp"
#include "engine/int8.hpp"
#include "engine/prune.hpp"
#include "engine/prune_keys.hpp"
#include "engine/tiled_block.hpp"

#include <limits>
#include <vector>

namespace attn::engine {

/// Everything the blocks of a walk share.
struct PruneJob {
  const Plan& plan;
  const Operands<float>& operands;
  const Int8Products& products;
  const KeyBounds& bounds;
  const PruneRule& rule;
  const kernels::KernelTable<float>& kernels;
  const kernels::Int8Kernels& sifting;
  std::size_t room;  ///< candidates of a query, at most
};

/// A key that may matter.
struct Candidate {
  float upper = 0;  ///< its logit is not above this
  std::uint32_t key = 0;
};

/// A key that is taken.
struct Taken {
  std::uint32_t key = 0;
  double logit = 0;
  double weight = 0;  ///< e^(logit - reference), in the end over the row's sum
};

/// What one query knows.
struct PruneLane {
  std::vector<Taken> taken;
  double mass_lost = 0;  ///< bound, when all is known
  bool is_full = false;  ///< there was no room for all candidates
};

/// What sifting a tile needs of all queries, side by side so that it takes a few instructions.
struct alignas(64) PruneLanes {
  float reference[kernels::kLanes];  ///< what exponentials are taken relative to: the largest rounded logit so far; -inf at first
  float norm[kernels::kLanes];       ///< |query| * factor, rounded up: of its integers
  float lost[kernels::kLanes];       ///< and of what they lost
  float margin[kernels::kLanes];     ///< the largest distance so far between u and a rounded logit
  float slack[kernels::kLanes];      ///< the largest that a float32 logit may be off
  float limit[kernels::kLanes];      ///< of u: candidates are not below it (strongest keys); -inf at first, infinity when full
  float top[kernels::kLanes];        ///< the largest rounded logits of a tile
  float own[kernels::kLanes];        ///< margins of a tile
  float shift[kernels::kLanes];      ///< see kernels::Int8Kernels::sift
  float least[kernels::kLanes];
  float sum[kernels::kLanes];
  double dropped[kernels::kLanes];       ///< bound on the sum of e^(logit - reference) of all keys left out
  std::uint32_t count[kernels::kLanes];  ///< of candidates
};

/// The memory of a thread.
struct PruneScratch {
  explicit PruneScratch(const PruneJob& job);
  AlignedArray<float> query_rows;   ///< [kLanes][head_dim]
  AlignedArray<float> query_lanes;  ///< [head_dim][kLanes]
  AlignedArray<std::byte> queries;  ///< as the products want them
  AlignedArray<float> tile;         ///< [kKeys][kLanes]
  AlignedArray<float> bias_rows;    ///< [kLanes][kKeys]
  AlignedArray<float> bias;         ///< [kKeys][kLanes]
  AlignedArray<float> centres;      ///< [tiles][kLanes]: scores of the centres
  std::vector<PruneLane> lanes;
  PruneLanes side = {};
  std::vector<std::vector<Candidate>> candidates =
      std::vector<std::vector<Candidate>>(kernels::kLanes);  ///< [kLanes], the first side.count of each
  std::vector<float> key;
  std::vector<float> value;
  std::vector<float> output;        ///< [kLanes][value_dim]
  std::vector<float> weights;       ///< [kv_len], of one row
  std::vector<std::int32_t> found;  ///< [kKeys + 1][kLanes]
};

/// Not below e^x: the chord of kernels::Int8Kernels::sift, its rounding included. Infinite where float32 ends; x is no NaN.
[[nodiscard]] float exp_above(float x);

class PruneBlock {
 public:
  PruneBlock(const PruneJob& job, const BlockPlace& place, PruneScratch& scratch);

  /// Finds candidates and takes what the rule asks for. False when the rule is a mass and too many queries need all their keys:
  /// then an exact walk is the better one.
  bool run();
  /// Hands the block's weights and rows to the observers.
  void hand_out(std::span<Observer<float>* const> observers, bool weights) const;
  /// Adds the block's rows to the report, the mean still being a sum.
  void report(PruneReport& report) const;
  /// The same for a block that was computed exactly instead.
  void report_exact(PruneReport& report) const;

 private:
  void clear();
  void load_queries();
  void scan();
  void order_tiles();
  /// True when no key of the tile can be a candidate; its mass is then among what is dropped.
  bool passes_over(std::size_t tile);
  void logits(const KeyRange& keys);
  void sift(const KeyRange& keys);
  void raise_references();
  // Of lane i:
  void make_room(std::size_t i);
  [[nodiscard]] float slack_of(std::size_t i, const TileBounds& bounds) const noexcept;
  [[nodiscard]] double exact_logit(std::size_t lane, std::size_t key);
  bool take_mass(std::size_t i);
  void fetch(std::size_t key) const;
  bool take_top(std::size_t i);
  void take_all(std::size_t i);
  void weigh(std::size_t i);
  [[nodiscard]] std::size_t kv_head() const noexcept { return job_.plan.dims.kv_head(place_.head); }

  const PruneJob& job_;
  const BlockPlace place_;
  PruneScratch& scratch_;
  KeyRange range_;
  KeyRange inner_;  ///< what range() leaves to all queries
  KeyRange lane_range_[kernels::kLanes];
  std::vector<std::size_t> order_;  ///< tiles, those that may hold the largest logits first
  double spread_ = 0;               ///< logits so far below the largest are left out
};

}  // namespace attn::engine

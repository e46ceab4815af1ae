// One block of queries in a pruned walk: its candidates, and what becomes of them.
#pragma once

#include "engine/blocks.hpp"
#include "engine/int8.hpp"
#include "engine/prune.hpp"
#include "engine/prune_keys.hpp"
#include "engine/tiled_block.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
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
  std::size_t room;  ///< candidates of a query, at most
  std::size_t wake;  ///< with so many it is looked which of them still are some
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
  float at[kernels::kLanes];         ///< the same, 0 before there is one
  float norm[kernels::kLanes];       ///< |query| * factor, rounded up: of its integers
  float lost[kernels::kLanes];       ///< and of what they lost
  float margin[kernels::kLanes];     ///< the largest distance so far between u and a rounded logit
  float slack[kernels::kLanes];      ///< the largest that a float32 logit may be off
  float spread[kernels::kLanes];     ///< logits so far below the reference are left out (mass)
  float limit[kernels::kLanes];      ///< of u: candidates are not below it (strongest keys); -inf at first, infinity when full
  float top[kernels::kLanes];        ///< the largest rounded logits of a tile
  float own[kernels::kLanes];        ///< margins of a tile
  float shift[kernels::kLanes];      ///< see kernels::Int8Kernels::sift
  float least[kernels::kLanes];
  float sum[kernels::kLanes];
  double dropped[kernels::kLanes];       ///< bound on the sum of e^(logit - reference) of all keys left out
  std::uint32_t count[kernels::kLanes];  ///< of candidates
  std::uint32_t wake[kernels::kLanes];   ///< with more than these it is looked which of them still are some
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
  std::vector<float> sampled;       ///< logits of some queries
  std::vector<float> above;         ///< of one query's candidates: bounds on exponentials
  std::vector<std::int32_t> bins;   ///< and where they fall
};

/// Not below e^x: the chord of kernels::Int8Kernels::sift, its rounding included. Infinite where float32 ends; x is no NaN.
[[nodiscard]] inline float exp_above(float x) {
  constexpr float raised = 127 * 0x1p23F + 0x1p13F;
  constexpr float infinite = 255 * 0x1p23F;
  const float y = std::min(std::max(x * kernels::kSiftStep + raised, kernels::kSiftLeast), infinite);
  return std::bit_cast<float>(static_cast<std::int32_t>(y));
}

class PruneBlock {
 public:
  PruneBlock(const PruneJob& job, const BlockPlace& place, PruneScratch& scratch);

  /// Finds candidates and takes what the rule asks for. False when the rule is a mass and a sample says that it takes many keys,
  /// or too many queries need all their keys: then an exact walk is the better one.
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
  [[nodiscard]] bool scan();
  void order_tiles();
  /// References near the largest logits, from some of the tiles. False when they say that the rule's mass takes many keys.
  [[nodiscard]] bool sample();
  [[nodiscard]] KeyRange keys_of(std::size_t tile) const noexcept;
  /// True when no key of the tile can be a candidate; its mass is then among what is dropped.
  bool passes_over(std::size_t tile);
  void logits(const KeyRange& keys);
  void sift(const KeyRange& keys);
  void set_sieve(const TileBounds& bounds);
  [[nodiscard]] bool fits_sieve(const TileBounds& bounds) const noexcept;
  /// What taking came to: it is done, more has been left out than may be, or too many queries need all their keys.
  enum class Taking { done, too_bold, too_many };
  Taking take();
  void raise_references();
  void adapt_spreads();
  void make_rooms();
  // Of lane i:
  void make_room(std::size_t i);
  /// What sums of float32 may be off, those of the conversion to exponents and of what is added to logits included.
  [[nodiscard]] float slack_of(std::size_t i, float longest) const noexcept {
    const PruneLanes& side = scratch_.side;
    return (side.norm[i] + side.lost[i]) * longest * slack_ + std::abs(side.at[i]) * 0x1p-17F + 0x1p-10F;
  }
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
  const float slack_;               ///< of a logit, for each |query| |key|
  float spread_ = 0;                ///< were all keys but one so far below it, they would be the mass that may be left out
  std::size_t seen_ = 0;            ///< tiles
  TileBounds sieve_;                ///< what the sieve is for
  bool is_bold_ = true;             ///< spreads adapt to what is left out
  bool has_references_ = false;     ///< every query has one
  std::size_t full_ = 0;            ///< queries without room for their candidates
};

}  // namespace attn::engine

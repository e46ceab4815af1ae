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
  std::size_t room;  ///< groups of keys that may matter to a query, at most
};

/// |query| and what its integers have lost, times the factor, rounded up.
struct QueryErrors {
  float norm = 0;
  float lost = 0;
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
  bool is_open = false;  ///< its keys are not yet taken
};

/// What bounding and sifting need of all queries, side by side so that it takes a few instructions.
struct alignas(64) PruneLanes {
  float norm[kernels::kLanes];       ///< |query| * factor, rounded up: of its integers
  float lost[kernels::kLanes];       ///< and of what they lost
  float top[kernels::kLanes];        ///< the largest bound so far; -inf at first
  float reference[kernels::kLanes];  ///< what exponentials are taken relative to: top, 0 where that is infinite
  float extra[kernels::kLanes];      ///< what is added to bounds for their own rounding
  float margin[kernels::kLanes];     ///< the largest distance between a bound and a rounded logit
  float usual[kernels::kLanes];      ///< what it is in the mean
  float fine[kernels::kLanes];       ///< and that of a query in more bits
  float part[kernels::kLanes];       ///< of the mass that may be left out: groups that are not looked into
  float slack[kernels::kLanes];      ///< the largest that a float32 logit may be off
  float depth[kernels::kLanes];      ///< bounds so far below the reference are left out
  float floor[kernels::kLanes];      ///< keys below this are certainly not among the strongest
  float least[kernels::kLanes];      ///< bounds below this are left out when all are known
  float shift[kernels::kLanes];      ///< see kernels::Int8Kernels::sift
  float limit[kernels::kLanes];
  float sum[kernels::kLanes];
  float ignored[kernels::kLanes];
  double passed[kernels::kLanes];         ///< bound on the sum of e^(logit - reference) of all tiles passed over
  double dropped[kernels::kLanes];        ///< and of all keys left out
  std::uint32_t count[kernels::kLanes];   ///< of groups that may matter
  std::uint32_t room[kernels::kLanes];    ///< for them
  std::uint8_t is_full[kernels::kLanes];  ///< there was no room for all
};

/// The memory of a thread.
struct PruneScratch {
  explicit PruneScratch(const PruneJob& job);
  AlignedArray<float> query_rows;     ///< [kLanes][head_dim]
  AlignedArray<float> query_lanes;    ///< [head_dim][kLanes]
  AlignedArray<std::byte> queries;    ///< as the products want them
  FineQuery query;                    ///< one of them, in more bits
  AlignedArray<float> tile;           ///< [kKeys][kLanes]
  AlignedArray<float> bias_rows;      ///< [kLanes][kKeys]
  AlignedArray<float> bias;           ///< [kKeys][kLanes]
  AlignedArray<float> centres;        ///< [tiles][kLanes]: scores of the centres
  AlignedArray<std::uint16_t> peaks;  ///< [tiles * kGroups][kLanes]: bounds on the logits of groups of keys, as bfloat16
  AlignedArray<float> limits;         ///< [kTails][kLanes]
  AlignedArray<float> sums;           ///< [kTails][kLanes]
  AlignedArray<float> scores;         ///< [room][kGroupRoom]: of one query
  std::vector<PruneLane> lanes;
  PruneLanes side = {};
  std::vector<Candidate> groups;       ///< [kLanes][room]: the first keys of those that may matter, the first side.count of each
  std::vector<std::uint32_t> first;    ///< [room]: of one query's groups
  std::vector<Candidate> candidates;   ///< of one query
  std::vector<const float*> rows;      ///< of keys or values that are taken
  std::vector<float> made;             ///< those that are not where they could be read
  std::vector<float> output;           ///< [kLanes][value_dim]
  std::vector<float> weights;          ///< [kv_len], of one row
  std::vector<std::int32_t> found;     ///< [kKeys + 1][kLanes]
  std::vector<float> sampled;          ///< logits of some queries
  std::vector<float> above;            ///< of one query's groups or candidates: bounds on exponentials
  std::vector<float> lower;            ///< and on logits, from below
  std::vector<std::int32_t> bins;      ///< and where they fall
  std::vector<std::uint8_t> is_known;  ///< [tiles]: looked at, or passed over
};

inline constexpr float kRaised = 127 * 0x1p23F;  ///< the bits of 1 as a float

/// Not below e^x: the chord of kernels::Int8Kernels::sift, its rounding included. Infinite where float32 ends; 0, or nearly, for
/// NaN.
[[nodiscard]] inline float exp_above(float x) {
  constexpr float raised = 127 * 0x1p23F + 0x1p13F;
  constexpr float infinite = 255 * 0x1p23F;
  const float y = std::min(std::max(kernels::kSiftLeast, x * kernels::kSiftStep + raised), infinite);
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
  // Bounds on groups of keys, all of them before any is taken:
  [[nodiscard]] bool scan();
  void order_tiles();
  /// Looks at some of the tiles. False when they say that the rule's mass takes many keys.
  [[nodiscard]] bool sample();
  void choose_sample();
  [[nodiscard]] KeyRange keys_of(std::size_t tile) const noexcept;
  [[nodiscard]] std::uint16_t* peaks_of(std::size_t tile) const noexcept;
  [[nodiscard]] bool is_plain() const noexcept { return !job_.plan.has_bias() && job_.plan.options.softcap == 0; }
  /// Bounds on the groups of a tile; with `whole`, scratch_.tile are its rounded logits, -inf where a key is hidden.
  void look_at(std::size_t tile, bool whole);
  void logits(const KeyRange& keys);
  void set_margins();
  /// True when no key of the tile can matter.
  [[nodiscard]] bool passes_over(std::size_t tile);
  [[nodiscard]] double bound_of(std::size_t tile, std::size_t i) const;
  // From which bound on a group may matter:
  void settle();
  void choose_depths(double share);
  void find_strongest(double wanted);
  void set_floors();
  void sum_tails(float step);
  void set_limits(std::size_t i, float first, float times, float step);
  // What is taken:
  void sift();
  void deepen(std::size_t i);
  [[nodiscard]] bool narrow(std::size_t i);
  [[nodiscard]] float end_of_mass(std::size_t i, std::span<const float> above);
  [[nodiscard]] float end_of_strongest(std::size_t i, std::span<const Candidate> groups);
  [[nodiscard]] float least_of_strongest(std::size_t i, std::span<const Candidate> all, const QueryErrors& query, float coarse);
  [[nodiscard]] QueryErrors errors_of(std::size_t i) const { return {scratch_.side.norm[i], scratch_.side.lost[i]}; }
  [[nodiscard]] QueryErrors fine_errors_of(std::size_t i) const;
  /// How far bounds on the logits of a key's group lie above rounded ones, of a query with these errors.
  [[nodiscard]] float above_rounded(std::size_t i, std::size_t key, const QueryErrors& query) const {
    const std::size_t group = key / kernels::kGroup;
    return query.norm * errors_.lost[group] + query.lost * errors_.longest[group] + scratch_.side.extra[i];
  }
  [[nodiscard]] float lower_of(std::size_t i, const Candidate& candidate, const QueryErrors& query, float coarse) const;
  void refine(std::size_t i);
  [[nodiscard]] float rounded_logit(std::size_t i, std::size_t key, float score) const;
  [[nodiscard]] bool take();
  [[nodiscard]] const float* const* rows_of(const RowSource<float>& source, std::span<const Taken> taken);
  void find_logits(std::size_t i, std::span<Taken> taken);
  bool take_mass(std::size_t i);
  void fetch(const RowSource<float>& source, std::size_t key) const;
  void keep_strongest(std::size_t i);
  bool take_top(std::size_t i);
  void take_all(std::size_t i);
  void weigh(std::size_t i);
  [[nodiscard]] std::size_t kv_head() const noexcept { return job_.plan.dims.kv_head(place_.head); }

  const PruneJob& job_;
  const BlockPlace place_;
  PruneScratch& scratch_;
  const kernels::KeyErrors errors_;  ///< of all groups of the head
  KeyRange range_;
  KeyRange inner_;  ///< what range() leaves to all queries
  KeyRange lane_range_[kernels::kLanes];
  std::vector<std::size_t> order_;   ///< tiles, those that may hold the largest logits first
  float spread_ = 0;                 ///< were all keys but one so far below it, they would be the mass that may be left out
  std::vector<std::size_t> looked_;  ///< the tiles of the sample
  std::size_t first_tile_ = 0;
  std::size_t rows_ = 0;      ///< of peaks
  std::size_t sum_rows_ = 0;  ///< of the sample
};

}  // namespace attn::engine

// Which keys of a block of queries may matter, once there are bounds on the logits of all groups of keys.
#include "engine/prune_block.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <numbers>

namespace attn::engine {

using kernels::kGroup;
using kernels::kGroupRoom;
using kernels::kKeys;
using kernels::kLanes;
using kernels::kSiftStep;
using kernels::kTails;

namespace {

constexpr double kPart = 0.45;      ///< of what may be left out, what groups are to be at most
constexpr double kMost = 0.9;       ///< with more than this there is no need to try
constexpr float kTimes = 1.585F;    ///< the fifth root of 10
constexpr float kCoarse = 0x1p-7F;  ///< of a bound: what bfloat16 rounds it by
constexpr float kDeepest = 86;      ///< where exponents of floats end
constexpr float kDeeper = 2;
constexpr double kLeast = 3.5;
constexpr float kStep = 1.2F;
constexpr float kSpare = 0.3F;      ///< a sample is no more than that
constexpr std::size_t kPasses = 3;  ///< to find the depth of the strongest
constexpr std::size_t kRounds = 5;

std::size_t groups_in(const KeyRange& keys) { return (keys.end - keys.begin + kGroup - 1) / kGroup; }

}  // namespace

/// References, and what bounds and logits may be off, when all tiles have been looked at.
void PruneBlock::settle() {
  PruneLanes& side = scratch_.side;
  for (std::size_t i = 0; i < kLanes; ++i) {
    side.reference[i] = std::isinf(side.top[i]) ? 0 : side.top[i];
    side.extra[i] = std::abs(side.reference[i]) * 0x1p-17F + 0x1p-10F;
    side.margin[i] += side.extra[i];
    side.usual[i] += side.extra[i];
    side.fine[i] += side.extra[i];
    side.part[i] = static_cast<float>(kPart);
    side.slack[i] += side.extra[i];
    side.shift[i] = (side.extra[i] - side.reference[i]) * kSiftStep + kRaised;
  }
  const double share = static_cast<double>(sum_rows_) / static_cast<double>(rows_);
  if (job_.rule.keys == 0) return choose_depths(share);
  const double wanted = static_cast<double>(job_.rule.keys) * share;
  find_strongest(wanted + 2 * std::sqrt(wanted) + 2);
  // The list is to hold groups whose bounds are above the least logit of these; it is looked into whether it does.
  for (std::size_t i = 0; i < place_.lanes(); ++i)
    side.depth[i] = std::min(side.depth[i] + 2 * side.usual[i] + std::abs(side.top[i]) * kCoarse, kDeepest);
}

/// Lane i's limits: `first` below the reference, each further one `times` as far and `step` more.
void PruneBlock::set_limits(std::size_t i, float first, float times, float step) {
  float depth = first;
  for (std::size_t n = 0; n < kTails; ++n) {
    scratch_.limits.get()[n * kLanes + i] = scratch_.side.top[i] - depth;
    depth = depth * times + step;
  }
}

/// Sums of the sample's bounds below each limit: of e^(bound - reference), or their numbers where the step is 0.
void PruneBlock::sum_tails(float step) {
  float* const sums = scratch_.sums.get();
  std::fill_n(sums, kTails * kLanes, 0.0F);
  alignas(64) float ones[kLanes];
  std::fill_n(ones, kLanes, kRaised);
  const float* const shift = step == 0 ? ones : scratch_.side.shift;
  for (const std::size_t tile : looked_)
    job_.products.kernels().tails(peaks_of(tile), groups_in(keys_of(tile)), place_.lanes(), step, shift, scratch_.limits.get(),
                                  sums);
}

/// From where on groups are listed, so that what is left out by that is less than may be: as the sample has it.
void PruneBlock::choose_depths(double share) {
  PruneLanes& side = scratch_.side;
  const double allowed = kPart * (1 - job_.rule.mass) / job_.rule.mass;
  const auto least = static_cast<float>(kLeast - std::log(1 - job_.rule.mass));
  for (std::size_t i = 0; i < place_.lanes(); ++i) set_limits(i, least + side.margin[i], 1, kStep);
  sum_tails(kSiftStep);
  for (std::size_t i = 0; i < place_.lanes(); ++i) {
    const double most = allowed * share * static_cast<double>(exp_above(-side.usual[i])) / static_cast<double>(kGroup);
    std::size_t n = 0;
    while (n + 1 < kTails && !(static_cast<double>(scratch_.sums.get()[n * kLanes + i]) <= most)) ++n;
    side.depth[i] = std::min(least + side.margin[i] + static_cast<float>(n) * kStep + kSpare, kDeepest);
  }
}

/// Depths: how far below the top so many groups of the sample have their bounds; infinity where there are not so many.
void PruneBlock::find_strongest(double wanted) {
  PruneLanes& side = scratch_.side;
  const float infinity = std::numeric_limits<float>::infinity();
  float low[kLanes] = {};
  float high[kLanes];
  bool is_fine[kLanes] = {};
  std::fill_n(high, kLanes, infinity);
  std::size_t open = place_.lanes();
  for (std::size_t pass = 0; pass < kPasses && open > 0; ++pass) {
    for (std::size_t i = 0; i < place_.lanes(); ++i) {
      is_fine[i] = high[i] < infinity;
      const float step = (high[i] - low[i]) / static_cast<float>(kTails);
      if (is_fine[i])
        set_limits(i, low[i] + step, 1, step);
      else
        set_limits(i, low[i] == 0 ? side.margin[i] : low[i] * kTimes, kTimes, 0);
    }
    sum_tails(0);
    open = 0;
    for (std::size_t i = 0; i < place_.lanes(); ++i) {
      for (std::size_t n = 0; n < kTails; ++n) {
        const float depth = side.top[i] - scratch_.limits.get()[n * kLanes + i];
        const bool holds = static_cast<double>(sum_rows_) - static_cast<double>(scratch_.sums.get()[n * kLanes + i]) >= wanted;
        if (holds)
          high[i] = std::min(high[i], depth);
        else
          low[i] = std::max(low[i], depth);
      }
      open += is_fine[i] ? 0U : 1U;
    }
  }
  std::copy_n(high, kLanes, side.depth);
}

/// Below the depths of as many keys as are wanted: whatever else is found, keys further down are not among so many.
void PruneBlock::set_floors() {
  PruneLanes& side = scratch_.side;
  for (std::size_t i = 0; i < kLanes; ++i)
    side.floor[i] = side.top[i] - side.depth[i] - 2 * (side.margin[i] + side.slack[i]) -
                    (std::abs(side.top[i]) + side.depth[i]) * kCoarse - 0x1p-8F;
}

/// The groups that may matter to each open query, and the sum of all others.
void PruneBlock::sift() {
  PruneLanes& side = scratch_.side;
  for (std::size_t i = 0; i < kLanes; ++i) {
    side.count[i] = 0;
    side.room[i] = scratch_.lanes[i].is_open ? static_cast<std::uint32_t>(job_.room) : 0;
    side.is_full[i] = 0;
    side.dropped[i] = side.passed[i];
    side.limit[i] = std::clamp(kRaised - side.depth[i] * kSiftStep, 1.5F * kernels::kSiftLeast, kRaised);
  }
  const kernels::Sieve sieve{.shift = side.shift, .limit = side.limit, .sum = side.sum, .found = scratch_.found.data()};
  for (std::size_t row = 0; row < rows_; row += kKeys) {
    std::fill_n(side.sum, kLanes, 0.0F);
    const std::uint16_t* const bounds = scratch_.peaks.get() + row * kLanes;
    const std::size_t count = job_.products.kernels().sift(bounds, std::min(kKeys, rows_ - row), place_.lanes(), sieve);
    for (std::size_t n = 0; n < count; ++n) {
      const auto at = static_cast<std::size_t>(scratch_.found[n]);
      const std::size_t i = at % kLanes;
      if (side.count[i] == side.room[i]) {
        side.is_full[i] = side.room[i] > 0 ? 1 : 0;
      } else {
        const std::size_t group = first_tile_ * kGroups + row + at / kLanes;
        scratch_.groups[i * job_.room + side.count[i]++] = {
            std::bit_cast<float>(std::uint32_t{bounds[at]} << 16U) + side.extra[i], static_cast<std::uint32_t>(group * kGroup)};
      }
    }
    for (std::size_t i = 0; i < kLanes; ++i)
      side.dropped[i] += static_cast<double>(side.sum[i]) * (static_cast<double>(kGroup) * (1 + 0x1p-16));
  }
}

/// The groups of lane i that do matter, now that all of them are known. False when they go further down than the list does, or
/// too much has been left out already.
bool PruneBlock::narrow(std::size_t i) {
  PruneLanes& side = scratch_.side;
  const std::span<const Candidate> groups(scratch_.groups.data() + i * job_.room, side.count[i]);
  // A loop of its own, of which compilers make vector code.
  std::vector<float>& above = scratch_.above;
  above.resize(groups.size());
  for (std::size_t n = 0; n < groups.size(); ++n) above[n] = exp_above(groups[n].upper - side.reference[i]);
  const float listed = side.reference[i] - side.depth[i];
  side.least[i] = job_.rule.keys == 0 ? end_of_mass(i, above) : end_of_strongest(i, groups);
  if (!(side.least[i] >= listed) && side.depth[i] < kDeepest) return false;
  side.least[i] = std::max(side.least[i], listed);
  double dropped = 0;
  std::uint32_t* to = scratch_.first.data();
  for (std::size_t n = 0; n < groups.size(); ++n) {
    const bool goes = groups[n].upper < side.least[i];
    dropped += static_cast<double>(goes ? above[n] : 0.0F);
    *to = groups[n].key;
    to += goes ? 0 : 1;
  }
  side.count[i] = static_cast<std::uint32_t>(to - scratch_.first.data());
  side.dropped[i] += dropped * (static_cast<double>(kGroup) * (1 + 0x1p-30));
  return true;
}

/// Groups below this and what is left out already hold about the part of the mass that they may; -infinity when that is too much
/// without them.
float PruneBlock::end_of_mass(std::size_t i, std::span<const float> above) {
  constexpr std::int32_t bins = 64;
  constexpr int in_power = 2;  // bins of a factor of 2
  constexpr int shift = 23 - 1;
  const PruneLanes& side = scratch_.side;
  const float top = side.reference[i] + side.extra[i];
  const auto highest = std::bit_cast<std::int32_t>(exp_above(side.extra[i]));
  std::vector<std::int32_t>& bin_of = scratch_.bins;
  bin_of.resize(above.size());
  for (std::size_t n = 0; n < above.size(); ++n)
    bin_of[n] = std::clamp((highest - std::bit_cast<std::int32_t>(above[n])) >> shift, 0, bins - 1);
  double mass[bins] = {};
  double all = 0;
  for (std::size_t n = 0; n < above.size(); ++n) mass[bin_of[n]] += static_cast<double>(above[n]);
  for (const double one : mass) all += one;
  const double allowed = (1 - job_.rule.mass) / job_.rule.mass * all * static_cast<double>(exp_above(-side.usual[i]));
  double rest = side.dropped[i];
  if (!(rest <= kMost * allowed)) return -std::numeric_limits<float>::infinity();
  std::size_t bin = bins;
  while (bin > 1 && rest + static_cast<double>(kGroup) * mass[bin - 1] <= static_cast<double>(side.part[i]) * allowed)
    rest += static_cast<double>(kGroup) * mass[--bin];
  constexpr float nats = std::numbers::ln2_v<float> / in_power;
  return std::max(top - static_cast<float>(bin) * nats, side.reference[i] - side.depth[i]);
}

/// What the largest logit of a group, or that of a key, is not below; `coarse`: of its size, what the bound was rounded up by.
float PruneBlock::lower_of(std::size_t i, const Candidate& candidate, const QueryErrors& query, float coarse) const {
  const float own = above_rounded(i, candidate.key, query);
  return candidate.upper - 2 * (own + scratch_.side.slack[i]) - std::abs(candidate.upper) * (coarse + 0x1p-20F);
}

/// The strongest keys have bounds that are not below this.
float PruneBlock::end_of_strongest(std::size_t i, std::span<const Candidate> groups) {
  if (groups.size() < job_.rule.keys) return -std::numeric_limits<float>::infinity();
  return least_of_strongest(i, groups, errors_of(i), kCoarse);
}

/// So many groups or keys as the rule asks for, of at least as many, have logits that are not below this.
float PruneBlock::least_of_strongest(std::size_t i, std::span<const Candidate> all, const QueryErrors& query, float coarse) {
  std::vector<float>& lower = scratch_.lower;
  lower.resize(all.size());
  std::ranges::transform(all, lower.begin(), [&](const Candidate& one) { return lower_of(i, one, query, coarse); });
  const auto nth = lower.begin() + static_cast<std::ptrdiff_t>(job_.rule.keys - 1);
  std::nth_element(lower.begin(), nth, lower.end(), std::greater<>());
  return *nth;
}

/// Of a key in the lane's range, from its rounded score: softcap, biases and masks as the exact logit has them.
float PruneBlock::rounded_logit(std::size_t i, std::size_t key, float score) const {
  const Plan& plan = job_.plan;
  const std::size_t head = place_.head_of(i);
  const std::size_t query = place_.query_of(i);
  if (plan.may_hide() && !plan.visible(place_.batch, head, query, key)) return -std::numeric_limits<float>::infinity();
  auto logit = static_cast<double>(score);
  if (plan.options.softcap != 0) logit = plan.options.softcap * std::tanh(logit / plan.options.softcap);
  if (plan.has_bias()) logit += plan.bias(place_.batch, head, query, key);
  return static_cast<float>(logit);
}

/// The keys of lane i's groups that may matter, as candidates.
void PruneBlock::refine(std::size_t i) {
  PruneLanes& side = scratch_.side;
  const std::span<const std::uint32_t> first(scratch_.first.data(), side.count[i]);
  float* const scores = scratch_.scores.get();
  scratch_.query.load(scratch_.query_rows.get() + i * job_.plan.dims.head_dim, static_cast<float>(job_.plan.factor));
  job_.products.dots(place_.batch, kv_head(), first, scratch_.query, scores);
  const QueryErrors errors = fine_errors_of(i);
  const KeyRange range = lane_range_[i];
  scratch_.above.resize(first.size());
  for (std::size_t n = 0; n < first.size(); ++n) {
    scratch_.above[n] = above_rounded(i, first[n], errors);
    if (is_plain() && range.begin <= first[n] && first[n] + kGroup <= range.end) continue;
    for (std::size_t r = 0; r < kGroup; ++r) {
      const std::size_t key = first[n] + r;
      float& score = scores[n * kGroupRoom + r];
      score = key < range.begin || key >= range.end ? -std::numeric_limits<float>::infinity() : rounded_logit(i, key, score);
    }
  }
  // Bounds of keys lie lower than those of groups, and with them the line below which nothing matters.
  const float least = side.least[i] - std::max(side.usual[i] - side.fine[i], 0.0F);
  const kernels::PickLimits limits{.least = least, .shift = kRaised - side.reference[i] * kSiftStep + 0x1p13F};
  double dropped = 0;
  scratch_.candidates.clear();
  for (std::size_t n = 0; n < first.size(); n += kKeys) {
    alignas(64) float sums[kGroupRoom] = {};
    const std::size_t count =
        job_.products.kernels().pick(scores + n * kGroupRoom, scratch_.above.data() + n, std::min(kKeys, first.size() - n),
                                     limits, scratch_.found.data(), sums);
    for (std::size_t m = 0; m < count; ++m) {
      const auto at = n * kGroupRoom + static_cast<std::size_t>(scratch_.found[m]);
      scratch_.candidates.push_back({scores[at], first[at / kGroupRoom] + static_cast<std::uint32_t>(at % kGroupRoom)});
    }
    for (const float sum : sums) dropped += static_cast<double>(sum);
  }
  side.dropped[i] += dropped * (1 + 0x1p-16);
}

/// The next list of lane i goes further down: this one left out too much.
void PruneBlock::deepen(std::size_t i) {
  PruneLanes& side = scratch_.side;
  side.part[i] /= 2;
  const float wanted = side.reference[i] - side.least[i];
  const float more = side.depth[i] + (job_.rule.keys == 0 ? kDeeper : std::max(kDeeper, side.depth[i] / 2));
  side.depth[i] = std::min(wanted < kDeepest && wanted > side.depth[i] ? wanted : more, kDeepest);
}

bool PruneBlock::take() {
  PruneLanes& side = scratch_.side;
  const bool by_mass = job_.rule.keys == 0;
  const std::size_t most = by_mass && !job_.rule.insist ? place_.lanes() / 8 : place_.lanes();
  std::size_t open = 0;
  for (std::size_t i = 0; i < place_.lanes(); ++i) {
    open += scratch_.lanes[i].is_open ? 1U : 0U;
    if (!scratch_.lanes[i].is_open) weigh(i);
  }
  for (std::size_t round = 0; round < kRounds && open > 0; ++round) {
    sift();
    if (static_cast<std::size_t>(std::count(side.is_full, side.is_full + kLanes, 1)) > most) return false;
    open = 0;
    for (std::size_t i = 0; i < place_.lanes(); ++i) {
      PruneLane& lane = scratch_.lanes[i];
      if (!lane.is_open || side.is_full[i] != 0 || !(side.margin[i] < std::numeric_limits<float>::infinity())) continue;
      lane.taken.clear();
      if (narrow(i)) {
        refine(i);
        lane.is_open = !(by_mass ? take_mass(i) : take_top(i));
        if (!lane.is_open) weigh(i);
      }
      if (lane.is_open) deepen(i);
      open += lane.is_open ? 1U : 0U;
    }
  }
  std::size_t failed = 0;
  for (std::size_t i = 0; i < place_.lanes(); ++i) {
    if (!scratch_.lanes[i].is_open) continue;
    if (by_mass && ++failed > most) return false;
    take_all(i);
    weigh(i);
  }
  return true;
}

}  // namespace attn::engine

// One block of queries in a pruned walk.
#include "engine/prune_block.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

namespace attn::engine {

using kernels::kKeys;
using kernels::kLanes;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::size_t kSampleStep = 6;    ///< one tile in so many is looked at first, for references near the largest logits,
constexpr std::size_t kSampleTiles = 24;  ///< but not many more than these
constexpr std::size_t kSampleQueries = 4;
constexpr std::size_t kSampleKeys = 4;    ///< of them every so manieth key
constexpr std::size_t kAdaptStep = 4;     ///< tiles
constexpr double kWorthwhile = 32;        ///< a key that is taken costs as much as so many in an exact walk
constexpr float kRaised = 127 * 0x1p23F;  ///< the bits of 1 as a float

/// Of numbers[q], numbers[q + step], ..., logits of one query: the share of keys, the strongest first, that holds a mass of the
/// weights; -inf is no key.
double share_of(std::span<const float> numbers, std::size_t q, std::size_t step, float reference, double mass) {
  constexpr std::size_t bins = 64;
  constexpr float in_nat = 2;
  double weights[bins] = {};
  double keys[bins] = {};
  double sum = 0;
  double count = 0;
  for (std::size_t n = q; n < numbers.size(); n += step) {
    const float below = reference - numbers[n];
    if (!(below < std::numeric_limits<float>::infinity())) continue;
    const auto bin = static_cast<std::size_t>(std::clamp(below * in_nat, 0.0F, static_cast<float>(bins - 1)));
    const auto weight = static_cast<double>(exp_above(-below));
    weights[bin] += weight;
    ++keys[bin];
    sum += weight;
    ++count;
  }
  double held = 0;
  double taken = 0;
  for (std::size_t b = 0; b < bins && held < mass * sum; ++b) {
    // Of the last bin no more than it takes.
    const double part = std::min(1.0, (mass * sum - held) / std::max(weights[b], std::numeric_limits<double>::min()));
    held += weights[b];
    taken += part * keys[b];
  }
  return count == 0 ? 0 : taken / count;
}

}  // namespace

PruneScratch::PruneScratch(const PruneJob& job)
    : query_rows(job.plan.dims.head_dim * kLanes),
      query_lanes(job.plan.dims.head_dim * kLanes),
      queries(job.products.query_bytes()),
      tile(kKeys * kLanes),
      bias_rows(kKeys * kLanes),
      bias(kKeys * kLanes),
      centres(job.bounds.tiles() * kLanes),
      lanes(kLanes),
      key(job.plan.dims.head_dim),
      value(job.plan.dims.value_dim),
      output(kLanes * job.plan.dims.value_dim),
      found((kKeys + 1) * kLanes) {
  for (auto& of_lane : candidates) of_lane.resize(job.room);
}

PruneBlock::PruneBlock(const PruneJob& job, const BlockPlace& place, PruneScratch& scratch)
    : job_(job),
      place_(place),
      scratch_(scratch),
      range_(job.plan.range(place.batch, place.first, place.queries)),
      slack_(static_cast<float>(job.plan.dims.head_dim + 16) * 0x1p-21F) {
  for (std::size_t i = 0; i < place.lanes(); ++i) {
    const KeyRange own = job.plan.range(place.batch, place.query_of(i));
    lane_range_[i] = own.empty() ? KeyRange{} : own;
    inner_.begin = i == 0 ? lane_range_[i].begin : std::max(inner_.begin, lane_range_[i].begin);
    inner_.end = i == 0 ? lane_range_[i].end : std::min(inner_.end, lane_range_[i].end);
  }
  if (job.rule.keys == 0) spread_ = static_cast<float>(std::log(static_cast<double>(job.plan.dims.kv_len) / (1 - job.rule.mass)));
}

void PruneBlock::load_queries() {
  const Dims& d = job_.plan.dims;
  float* const rows = scratch_.query_rows.get();
  for (std::size_t part = 0; part < place_.heads; ++part)
    job_.operands.query.make(place_.batch, place_.head + part, place_.first, place_.queries,
                             rows + part * place_.queries * d.head_dim);
  const auto factor = static_cast<float>(job_.plan.factor);
  job_.products.load_queries(rows, d.head_dim, place_.lanes(), factor, scratch_.queries.get());
  job_.kernels.load_queries(rows, d.head_dim, place_.lanes(), d.head_dim, factor, scratch_.query_lanes.get());
  for (std::size_t i = 0; i < place_.lanes(); ++i) {
    const RowNorms norms = row_norms(rows + i * d.head_dim, d.head_dim);
    const double size = std::abs(job_.plan.factor) * (1 + 0x1p-20);
    scratch_.side.norm[i] = static_cast<float>(norms.rounded * size);
    scratch_.side.lost[i] = static_cast<float>(norms.lost * size);
  }
}

/// Back to before the first key; the memory stays.
void PruneBlock::clear() {
  scratch_.side = {};
  sieve_ = {};
  has_references_ = false;
  full_ = 0;
  std::fill_n(scratch_.side.reference, kLanes, -std::numeric_limits<float>::infinity());
  std::fill_n(scratch_.side.limit, kLanes, -std::numeric_limits<float>::infinity());
  // At first a little less, because not all keys are as near as that.
  std::fill_n(scratch_.side.spread, kLanes, is_bold_ ? spread_ - 2 : spread_ + 1);
  std::fill_n(scratch_.side.wake, kLanes, static_cast<std::uint32_t>(job_.wake));
  for (PruneLane& lane : scratch_.lanes) {
    lane.taken.clear();
    lane.mass_lost = 0;
    lane.is_full = false;
  }
}

void PruneBlock::order_tiles() {
  const std::size_t first = range_.begin / kKeys;
  const std::size_t end = (range_.end + kKeys - 1) / kKeys;
  order_.resize(end - first);
  std::iota(order_.begin(), order_.end(), first);
  if (job_.plan.has_bias() || job_.plan.options.softcap != 0) return;
  const std::size_t dim = job_.plan.dims.head_dim;
  std::vector<double> highest(job_.bounds.tiles(), -kInfinity);
  for (std::size_t t = first; t < end; t += kKeys) {
    float* const scores = scratch_.centres.get() + t * kLanes;
    job_.kernels.score_product(job_.bounds.centres(place_.batch, kv_head()) + t * dim, dim, std::min(kKeys, end - t), dim,
                               scratch_.query_lanes.get(), place_.lanes(), scores, nullptr, {});
  }
  for (std::size_t t = first; t < end; ++t) {
    const double radius = job_.bounds.tile(place_.batch, kv_head(), t).radius;
    for (std::size_t i = 0; i < place_.lanes(); ++i) {
      const auto norm = static_cast<double>(scratch_.side.norm[i] + scratch_.side.lost[i]);
      const double bound = static_cast<double>(scratch_.centres.get()[t * kLanes + i]) + norm * radius;
      if (bound > highest[t]) highest[t] = bound;
    }
  }
  std::ranges::stable_sort(order_, [&](std::size_t a, std::size_t b) { return highest[a] > highest[b]; });
}

bool PruneBlock::passes_over(std::size_t tile) {
  if (job_.plan.has_bias() || job_.plan.options.softcap != 0) return false;
  const TileBounds& bounds = job_.bounds.tile(place_.batch, kv_head(), tile);
  const PruneLanes& side = scratch_.side;
  double bound[kLanes];
  for (std::size_t i = 0; i < place_.lanes(); ++i) {
    const auto norm = static_cast<double>(side.norm[i] + side.lost[i]) * (1 + 0x1p-20);
    bound[i] = static_cast<double>(scratch_.centres.get()[tile * kLanes + i]) + norm * bounds.radius +
               static_cast<double>(slack_of(i, static_cast<float>(bounds.longest * (1 + 0x1p-20))));
    const double least = job_.rule.keys == 0 ? static_cast<double>(side.reference[i] - side.margin[i] - spread_) - 1
                                             : static_cast<double>(side.limit[i]);
    if (!(bound[i] < least)) return false;
  }
  for (std::size_t i = 0; i < place_.lanes(); ++i)
    scratch_.side.dropped[i] +=
        static_cast<double>(kKeys) *
        static_cast<double>(exp_above(static_cast<float>(bound[i] - static_cast<double>(side.reference[i]))));
  return true;
}

/// The rounded logits of a tile, -inf where a key is hidden. References rise to the largest.
void PruneBlock::logits(const KeyRange& keys) {
  const std::size_t count = keys.end - keys.begin;
  const std::size_t lanes = place_.lanes();
  float* const top = scratch_.side.top;
  std::fill_n(top, kLanes, -std::numeric_limits<float>::infinity());
  alignas(64) float begin[kLanes];
  alignas(64) float end[kLanes];
  kernels::LogitStage<float> stage;
  stage.cap = static_cast<float>(job_.plan.options.softcap);
  const bool is_open = inner_.begin <= keys.begin && keys.end <= inner_.end;
  if (!is_open) {
    for (std::size_t i = 0; i < kLanes; ++i) {
      const KeyRange own = i < lanes ? lane_range_[i] : KeyRange{};
      begin[i] = static_cast<float>(std::clamp(own.begin, keys.begin, keys.end) - keys.begin);
      end[i] = static_cast<float>(std::clamp(own.end, keys.begin, keys.end) - keys.begin);
    }
    stage.begin = begin;
    stage.end = end;
  }
  const bool biased = job_.plan.has_bias();
  const bool plain = is_open && !biased && stage.cap == 0;
  job_.products.score({place_.batch, kv_head(), keys}, scratch_.queries.get(), lanes, scratch_.tile.get(), plain ? top : nullptr,
                      nullptr);
  if (biased) {
    float* rows = scratch_.bias_rows.get();
    for (std::size_t part = 0; part < place_.heads; ++part)
      job_.plan.fill_bias(place_.batch, place_.head + part, place_.first, place_.queries, keys.begin, count,
                          rows + part * place_.queries * kKeys, kKeys);
    job_.kernels.load_queries(rows, kKeys, lanes, count, 1.0F, scratch_.bias.get());
    stage.bias = scratch_.bias.get();
  }
  if (!plain) job_.kernels.logits(stage, count, lanes, scratch_.tile.get(), top, nullptr);
  raise_references();
}

/// To the largest of the numbers in `top`.
void PruneBlock::raise_references() {
  PruneLanes& side = scratch_.side;
  int higher = 0;
  // Other lanes hold what the width of vectors left there.
  for (std::size_t i = 0; i < place_.lanes(); ++i) higher |= side.top[i] > side.reference[i] ? 1 : 0;
  if (higher == 0) return;
  sieve_ = {};
  has_references_ = true;
  for (std::size_t i = 0; i < place_.lanes(); ++i) {
    if (side.top[i] > side.reference[i]) {
      if (side.dropped[i] > 0)
        side.dropped[i] *= std::exp(static_cast<double>(side.reference[i]) - static_cast<double>(side.top[i])) * (1 + 0x1p-40);
      side.reference[i] = side.top[i];
    }
    const bool has_one = !std::isinf(side.reference[i]);
    side.at[i] = has_one ? side.reference[i] : 0;
    has_references_ = has_references_ && has_one;
  }
}

/// True where the last sieve serves another tile, too: the bounds are no larger, and not much smaller.
bool PruneBlock::fits_sieve(const TileBounds& bounds) const noexcept {
  constexpr double near = 0.75;
  return bounds.lost <= sieve_.lost && bounds.longest <= sieve_.longest && bounds.lost >= near * sieve_.lost &&
         bounds.longest >= near * sieve_.longest && sieve_.longest > 0;
}

/// From what the pairs of a tile are candidates, in the terms of kernels::Int8Kernels::sift.
void PruneBlock::set_sieve(const TileBounds& bounds) {
  PruneLanes& side = scratch_.side;
  const auto lost = static_cast<float>(bounds.lost * (1 + 0x1p-20));
  const auto longest = static_cast<float>(bounds.longest * (1 + 0x1p-20));
  const bool by_mass = job_.rule.keys == 0;
  for (std::size_t i = 0; i < kLanes; ++i) {
    const float slack = slack_of(i, longest);
    side.own[i] = side.norm[i] * lost + side.lost[i] * longest + slack;
    side.slack[i] = std::max(side.slack[i], slack);
    side.margin[i] = std::max(side.margin[i], side.own[i]);
    const float least = by_mass ? std::min(-side.spread[i] - side.margin[i], -1.0F) : side.limit[i] - side.at[i];
    side.shift[i] = (side.own[i] - side.at[i]) * kernels::kSiftStep + kRaised;
    side.least[i] = std::max(least * kernels::kSiftStep + kRaised, 1.5F * kernels::kSiftLeast);
  }
  sieve_ = bounds;
}

void PruneBlock::sift(const KeyRange& keys) {
  PruneLanes& side = scratch_.side;
  const bool is_plain = has_references_ && inner_.begin <= keys.begin && keys.end <= inner_.end && !job_.plan.has_bias() &&
                        job_.plan.options.softcap == 0;
  if (!is_plain) logits(keys);
  const TileBounds& bounds = job_.bounds.tile(place_.batch, kv_head(), keys.begin / kKeys);
  if (!fits_sieve(bounds)) set_sieve(bounds);
  std::fill_n(side.sum, kLanes, 0.0F);
  float* const tile = scratch_.tile.get();
  std::int32_t* const found = scratch_.found.data();
  const kernels::Sieve sieve{.shift = side.shift, .limit = side.least, .sum = side.sum, .tile = tile, .found = found};
  const std::size_t count =
      is_plain ? job_.products.score_sift({place_.batch, kv_head(), keys}, scratch_.queries.get(), place_.lanes(), sieve)
               : job_.products.sift(keys.end - keys.begin, place_.lanes(), sieve);
  for (std::size_t n = 0; n < count; ++n) {
    const auto at = static_cast<std::size_t>(found[n]);
    const std::size_t i = at % kLanes;
    const float upper = side.at[i] + (tile[at] - kRaised) * (1 / kernels::kSiftStep);
    side.top[i] = std::max(side.top[i], upper - side.own[i]);
    scratch_.candidates[i][side.count[i]++] = {upper, static_cast<std::uint32_t>(keys.begin + at / kLanes)};
  }
  for (std::size_t i = 0; i < kLanes; ++i) side.dropped[i] += static_cast<double>(side.sum[i]) * (1 + 0x1p-16);
  raise_references();
  if (job_.rule.keys == 0 && is_bold_ && seen_ % kAdaptStep == 0) adapt_spreads();
  make_rooms();
}

/// So that what is left out in the end is near to what may be: the mass of a query is at least that of its largest logit.
void PruneBlock::adapt_spreads() {
  constexpr double part = 0.4;
  constexpr float closer = 0.5F;
  constexpr float wider = 1;
  PruneLanes& side = scratch_.side;
  const double allowed =
      part * (1 - job_.rule.mass) / job_.rule.mass * static_cast<double>(seen_ + 1) / static_cast<double>(order_.size());
  // No single key may be much of it.
  const auto least = static_cast<float>(2 - std::log(1 - job_.rule.mass));
  for (std::size_t i = 0; i < kLanes; ++i)
    side.spread[i] = std::clamp(side.spread[i] + (side.dropped[i] < allowed ? -closer : wider), least, spread_ + 4);
  sieve_ = {};
}

void PruneBlock::make_rooms() {
  PruneLanes& side = scratch_.side;
  int over = 0;
  for (std::size_t i = 0; i < kLanes; ++i) over |= side.count[i] + kKeys > side.wake[i] ? 1 : 0;
  if (over == 0) return;
  for (std::size_t i = 0; i < place_.lanes(); ++i) {
    if (side.count[i] + kKeys <= side.wake[i]) continue;
    make_room(i);
    sieve_ = {};
    side.wake[i] = static_cast<std::uint32_t>(std::clamp(2 * (side.count[i] + kKeys), job_.wake, job_.room));
  }
}

/// Leaves out what is no candidate any more now that more keys are known.
void PruneBlock::make_room(std::size_t i) {
  PruneLanes& side = scratch_.side;
  Candidate* const first = scratch_.candidates[i].data();
  Candidate* const end = first + side.count[i];
  const float infinity = std::numeric_limits<float>::infinity();
  float least = side.reference[i] - side.spread[i] - side.margin[i];
  if (job_.rule.keys != 0) {
    if (side.count[i] <= job_.rule.keys) return;
    Candidate* const nth = first + (job_.rule.keys - 1);
    std::nth_element(first, nth, end, [](const Candidate& a, const Candidate& b) { return a.upper > b.upper; });
    // So many keys have logits that are not below this.
    side.limit[i] = std::max(side.limit[i], std::nextafter(nth->upper - 2 * side.margin[i] - 2 * side.slack[i], -infinity));
    least = side.limit[i];
  }
  const Candidate* const kept = std::remove_if(first, end, [&](const Candidate& c) {
    const bool goes = c.upper < least;
    if (goes) side.dropped[i] += static_cast<double>(exp_above(c.upper - side.reference[i]));
    return goes;
  });
  side.count[i] = static_cast<std::uint32_t>(kept - first);
  if (side.count[i] <= job_.room / 4 * 3) return;
  if (!scratch_.lanes[i].is_full) ++full_;
  scratch_.lanes[i].is_full = true;
  side.count[i] = 0;
}

KeyRange PruneBlock::keys_of(std::size_t tile) const noexcept {
  return {std::max(tile * kKeys, range_.begin), std::min((tile + 1) * kKeys, range_.end)};
}

bool PruneBlock::sample() {
  const std::size_t lanes = place_.lanes();
  const std::size_t queries = std::min(kSampleQueries, lanes);
  const bool by_mass = job_.rule.keys == 0;
  const std::size_t step = std::max(kSampleStep, order_.size() / kSampleTiles);
  scratch_.sampled.clear();
  for (std::size_t n = 0; n < order_.size(); n += step) {
    const KeyRange keys = keys_of(order_[n]);
    logits(keys);
    for (std::size_t j = 0; by_mass && j < keys.end - keys.begin; j += kSampleKeys)
      for (std::size_t q = 0; q < queries; ++q) scratch_.sampled.push_back(scratch_.tile.get()[j * kLanes + q * lanes / queries]);
  }
  if (!by_mass || job_.rule.insist) return true;
  double share = 0;
  for (std::size_t q = 0; q < queries; ++q)
    share += share_of(scratch_.sampled, q, queries, scratch_.side.at[q * lanes / queries], job_.rule.mass);
  return share * kWorthwhile <= static_cast<double>(queries);
}

bool PruneBlock::scan() {
  order_tiles();
  if (!sample()) return false;
  const std::size_t most = job_.rule.keys == 0 && !job_.rule.insist ? place_.lanes() / 8 : place_.lanes();
  for (seen_ = 0; seen_ < order_.size(); ++seen_) {
    if (!passes_over(order_[seen_])) sift(keys_of(order_[seen_]));
    if (full_ > most) return false;
  }
  return true;
}

bool PruneBlock::run() {
  if (range_.empty()) {
    clear();
    return take() == Taking::done;
  }
  for (;;) {
    clear();
    load_queries();
    if (!scan()) return false;
    const Taking taking = take();
    if (taking != Taking::too_bold) return taking == Taking::done;
    is_bold_ = false;
  }
}

PruneBlock::Taking PruneBlock::take() {
  const PruneLanes& side = scratch_.side;
  const bool by_mass = job_.rule.keys == 0;
  std::size_t failed = 0;
  const std::size_t most = job_.rule.insist ? place_.lanes() : place_.lanes() / 8;
  for (std::size_t i = 0; i < place_.lanes(); ++i) {
    const bool is_bounded = !scratch_.lanes[i].is_full && side.margin[i] < std::numeric_limits<float>::infinity();
    if (!is_bounded || !(by_mass ? take_mass(i) : take_top(i))) {
      if (by_mass && is_bounded && is_bold_) return Taking::too_bold;
      if (by_mass && ++failed > most) return Taking::too_many;
      take_all(i);
    }
    weigh(i);
  }
  return Taking::done;
}

}  // namespace attn::engine

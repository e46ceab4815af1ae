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

constexpr std::size_t kSampleStep = 6;   ///< one tile in so many is looked at first, for references near the largest logits,
constexpr std::size_t kSampleTiles = 8;  ///< but not many more than these
constexpr std::size_t kSampleQueries = 4;
constexpr std::size_t kDepthStep = 5;
constexpr std::size_t kFewTiles = 32;
constexpr std::size_t kSampleKeys = 3;  ///< of them every so manieth key
constexpr double kWorthwhile = 32;      ///< a key that is taken costs as much as so many in an exact walk

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
      query(job.plan.dims.head_dim),
      tile(kKeys * kLanes),
      bias_rows(kKeys * kLanes),
      bias(kKeys * kLanes),
      centres(job.bounds.tiles() * kLanes),
      peaks(job.bounds.tiles() * kGroups * kLanes),
      limits(kernels::kTails * kLanes),
      sums(kernels::kTails * kLanes),
      scores(job.room * kernels::kGroupRoom),
      lanes(kLanes),
      groups(kLanes * job.room),
      first(job.room),
      output(kLanes * job.plan.dims.value_dim),
      found((kKeys + 1) * kLanes),
      is_known(job.bounds.tiles()) {}

PruneBlock::PruneBlock(const PruneJob& job, const BlockPlace& place, PruneScratch& scratch)
    : job_(job),
      place_(place),
      scratch_(scratch),
      errors_(job.bounds.errors(place.batch, kv_head(), 0)),
      range_(job.plan.range(place.batch, place.first, place.queries)) {
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
  std::fill_n(scratch_.side.top, kLanes, -std::numeric_limits<float>::infinity());
  for (std::size_t i = 0; i < kLanes; ++i) {
    PruneLane& lane = scratch_.lanes[i];
    lane.taken.clear();
    lane.mass_lost = 0;
    lane.is_open = i < place_.lanes() && !lane_range_[i].empty();
  }
  first_tile_ = range_.begin / kKeys;
  rows_ = 0;
  sum_rows_ = 0;
}

void PruneBlock::order_tiles() {
  const std::size_t end = (range_.end + kKeys - 1) / kKeys;
  order_.resize(end - first_tile_);
  std::iota(order_.begin(), order_.end(), first_tile_);
  if (!is_plain()) return;
  const std::size_t dim = job_.plan.dims.head_dim;
  for (std::size_t t = first_tile_; t < end; t += kKeys)
    job_.kernels.score_product(job_.bounds.centres(place_.batch, kv_head()) + t * dim, dim, std::min(kKeys, end - t), dim,
                               scratch_.query_lanes.get(), place_.lanes(), scratch_.centres.get() + t * kLanes, nullptr, {});
  const PruneLanes& side = scratch_.side;
  alignas(64) float norm[kLanes] = {};
  for (std::size_t i = 0; i < kLanes; ++i) norm[i] = side.norm[i] + side.lost[i];
  std::vector<float> highest(job_.bounds.tiles());
  for (std::size_t t = first_tile_; t < end; ++t) {
    const auto radius = static_cast<float>(job_.bounds.tile(place_.batch, kv_head(), t).radius);
    const float* const centre = scratch_.centres.get() + t * kLanes;
    constexpr std::size_t chains = 8;
    float most[chains];
    std::fill_n(most, chains, -std::numeric_limits<float>::infinity());
    // Lanes without a query hold what the width of vectors left there.
    for (std::size_t i = 0; i + chains <= place_.lanes(); i += chains)
      for (std::size_t c = 0; c < chains; ++c) {
        const float bound = centre[i + c] + norm[i + c] * radius;
        most[c] = bound > most[c] ? bound : most[c];
      }
    for (std::size_t i = place_.lanes() / chains * chains; i < place_.lanes(); ++i)
      most[0] = std::max(most[0], centre[i] + norm[i] * radius);
    highest[t] = *std::max_element(most, most + chains);
  }
  std::vector<std::pair<float, std::size_t>> ranked(order_.size());
  for (std::size_t n = 0; n < order_.size(); ++n) ranked[n] = {-highest[order_[n]], order_[n]};
  std::ranges::sort(ranked);
  std::ranges::transform(ranked, order_.begin(), &std::pair<float, std::size_t>::second);
}

/// What no key of a tile is above for lane i.
double PruneBlock::bound_of(std::size_t tile, std::size_t i) const {
  const TileBounds& bounds = job_.bounds.tile(place_.batch, kv_head(), tile);
  const PruneLanes& side = scratch_.side;
  const double norm = static_cast<double>(side.norm[i] + side.lost[i]) * (1 + 0x1p-20);
  return static_cast<double>(scratch_.centres.get()[tile * kLanes + i]) + norm * bounds.radius +
         norm * static_cast<double>(bounds.longest) * static_cast<double>(slack_of(job_.plan.dims.head_dim)) +
         std::abs(static_cast<double>(side.top[i])) * 0x1p-17 + 0x1p-10;
}

bool PruneBlock::passes_over(std::size_t tile) {
  if (!is_plain()) return false;
  const PruneLanes& side = scratch_.side;
  for (std::size_t i = 0; i < place_.lanes(); ++i) {
    const float level = job_.rule.keys == 0 ? side.top[i] - (2 * side.margin[i] + spread_ + 1) : side.floor[i];
    if (!(bound_of(tile, i) < static_cast<double>(level))) return false;
  }
  constexpr std::uint16_t nothing = 0xFF80;  // -infinity
  std::fill_n(peaks_of(tile), kGroups * kLanes, nothing);
  return true;
}

/// The rounded logits of a tile, -inf where a key is hidden.
void PruneBlock::logits(const KeyRange& keys) {
  const std::size_t count = keys.end - keys.begin;
  const std::size_t lanes = place_.lanes();
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
  job_.products.score({place_.batch, kv_head(), keys}, scratch_.queries.get(), lanes, scratch_.tile.get(), nullptr, nullptr);
  if (job_.plan.has_bias()) {
    float* rows = scratch_.bias_rows.get();
    for (std::size_t part = 0; part < place_.heads; ++part)
      job_.plan.fill_bias(place_.batch, place_.head + part, place_.first, place_.queries, keys.begin, count,
                          rows + part * place_.queries * kKeys, kKeys);
    job_.kernels.load_queries(rows, kKeys, lanes, count, 1.0F, scratch_.bias.get());
    stage.bias = scratch_.bias.get();
  }
  if (!is_open || !is_plain()) job_.kernels.logits(stage, count, lanes, scratch_.tile.get(), scratch_.side.ignored, nullptr);
}

/// Those of the query in more bits.
QueryErrors PruneBlock::fine_errors_of(std::size_t i) const {
  const QueryErrors coarse = errors_of(i);
  const float lost = scratch_.query.lost();
  return {(coarse.norm + coarse.lost + lost) * (1 + 0x1p-20F), lost};
}

/// How far bounds and float32 logits may be off, over all keys that a query of the block sees.
void PruneBlock::set_margins() {
  float lost = 0;
  float longest = 0;
  float sums[2] = {0, 0};
  for (const std::size_t tile : order_) {
    const TileBounds& bounds = job_.bounds.tile(place_.batch, kv_head(), tile);
    lost = std::max(lost, bounds.lost);
    longest = std::max(longest, bounds.longest);
    const kernels::KeyErrors errors = job_.bounds.errors(place_.batch, kv_head(), tile);
    sums[0] += errors.lost[0];
    sums[1] += errors.longest[0];
  }
  PruneLanes& side = scratch_.side;
  const auto tiles = static_cast<float>(order_.size());
  const float slack = slack_of(job_.plan.dims.head_dim) * (1 + 0x1p-20F);
  for (std::size_t i = 0; i < kLanes; ++i) {
    side.margin[i] = (side.norm[i] * lost + side.lost[i] * longest) * (1 + 0x1p-20F);
    side.usual[i] = (side.norm[i] * sums[0] + side.lost[i] * sums[1]) / tiles;
    side.fine[i] = (side.norm[i] + side.lost[i]) * sums[0] / tiles;
    side.slack[i] = (side.norm[i] + side.lost[i]) * longest * slack;
  }
}

void PruneBlock::look_at(std::size_t tile, bool whole) {
  PruneLanes& side = scratch_.side;
  const KeyRange keys = keys_of(tile);
  const kernels::KeyErrors errors = job_.bounds.errors(place_.batch, kv_head(), tile);
  std::uint16_t* const peaks = peaks_of(tile);
  if (!whole && is_plain() && inner_.begin <= keys.begin && keys.end <= inner_.end) {
    job_.products.peaks({place_.batch, kv_head(), keys}, scratch_.queries.get(), side.norm, side.lost, errors, place_.lanes(),
                        peaks, side.top);
    return;
  }
  logits(keys);
  job_.products.kernels().peaks_of(scratch_.tile.get(), keys.end - keys.begin, errors, {nullptr, nullptr, side.norm, side.lost},
                                   place_.lanes(), peaks, side.top);
}

/// From a tile's first key on, even where no query sees it.
KeyRange PruneBlock::keys_of(std::size_t tile) const noexcept { return {tile * kKeys, std::min((tile + 1) * kKeys, range_.end)}; }

std::uint16_t* PruneBlock::peaks_of(std::size_t tile) const noexcept {
  return scratch_.peaks.get() + (tile - first_tile_) * kGroups * kLanes;
}

bool PruneBlock::sample() {
  const std::size_t lanes = place_.lanes();
  const std::size_t queries = std::min(kSampleQueries, lanes);
  const bool by_mass = job_.rule.keys == 0;
  const std::size_t step = std::max(kSampleStep, order_.size() / kSampleTiles);
  scratch_.sampled.clear();
  looked_.clear();
  for (std::size_t n = 0; n < order_.size(); n += step) {
    const KeyRange keys = keys_of(order_[n]);
    look_at(order_[n], true);
    looked_.push_back(order_[n]);
    sum_rows_ += (keys.end - keys.begin + kernels::kGroup - 1) / kernels::kGroup;
    scratch_.is_known[order_[n]] = 1;
    for (std::size_t j = 0; by_mass && j < keys.end - keys.begin; j += kSampleKeys)
      for (std::size_t q = 0; q < queries; ++q) scratch_.sampled.push_back(scratch_.tile.get()[j * kLanes + q * lanes / queries]);
  }
  if (!by_mass) {
    find_strongest(static_cast<double>(job_.rule.keys));
    set_floors();
  }
  if (!by_mass || job_.rule.insist) return true;
  double share = 0;
  for (std::size_t q = 0; q < queries; ++q) {
    const std::size_t i = q * lanes / queries;
    const float top = std::isinf(scratch_.side.top[i]) ? 0 : scratch_.side.top[i];
    share += share_of(scratch_.sampled, q, queries, top - scratch_.side.margin[i], job_.rule.mass);
  }
  return share * kWorthwhile <= static_cast<double>(queries);
}

/// Tiles whose bounds say how far down the lists of groups are to go: one in a few, high and low ones alike.
void PruneBlock::choose_sample() {
  const std::size_t step = order_.size() < kFewTiles ? 1 : kDepthStep;
  looked_.clear();
  sum_rows_ = 0;
  for (std::size_t n = 0; n < order_.size(); n += step) {
    const KeyRange keys = keys_of(order_[n]);
    looked_.push_back(order_[n]);
    sum_rows_ += (keys.end - keys.begin + kernels::kGroup - 1) / kernels::kGroup;
  }
}

bool PruneBlock::scan() {
  order_tiles();
  set_margins();
  std::fill(scratch_.is_known.begin(), scratch_.is_known.end(), std::uint8_t{0});
  if (!sample()) return false;
  std::vector<std::size_t> passed;
  for (const std::size_t tile : order_) {
    if (scratch_.is_known[tile] != 0) continue;
    if (passes_over(tile))
      passed.push_back(tile);
    else
      look_at(tile, false);
  }
  const KeyRange last = keys_of(first_tile_ + order_.size() - 1);
  rows_ = (order_.size() - 1) * kGroups + (last.end - last.begin + kernels::kGroup - 1) / kernels::kGroup;
  choose_sample();
  settle();
  for (const std::size_t tile : passed)
    for (std::size_t i = 0; i < place_.lanes(); ++i)
      scratch_.side.passed[i] +=
          static_cast<double>(kKeys) *
          static_cast<double>(exp_above(static_cast<float>(bound_of(tile, i) - static_cast<double>(scratch_.side.reference[i]))));
  return true;
}

bool PruneBlock::run() {
  clear();
  if (range_.empty()) return take();
  load_queries();
  return scan() && take();
}

}  // namespace attn::engine

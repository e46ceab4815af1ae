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
constexpr std::size_t kSampleStep = 6;  ///< one tile in so many is looked at first, for references near the largest logits

}  // namespace

float exp_above(float x) {
  constexpr float raised = 127 * 0x1p23F + 0x1p13F;
  constexpr float infinite = 255 * 0x1p23F;
  const float y = std::min(std::max(x * kernels::kSiftStep + raised, kernels::kSiftLeast), infinite);
  return std::bit_cast<float>(static_cast<std::int32_t>(y));
}

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
    : job_(job), place_(place), scratch_(scratch), range_(job.plan.range(place.batch, place.first, place.queries)) {
  for (std::size_t i = 0; i < place.lanes(); ++i) {
    const KeyRange own = job.plan.range(place.batch, place.query_of(i));
    lane_range_[i] = own.empty() ? KeyRange{} : own;
    inner_.begin = i == 0 ? lane_range_[i].begin : std::max(inner_.begin, lane_range_[i].begin);
    inner_.end = i == 0 ? lane_range_[i].end : std::min(inner_.end, lane_range_[i].end);
  }
  // What lies so far below the largest logit is, were all keys like that, the mass that may be left out; a little less, because
  // they are not.
  constexpr double bold = 2;
  if (job.rule.keys == 0) spread_ = std::log(static_cast<double>(job.plan.dims.kv_len) / (1 - job.rule.mass)) - bold;
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
  std::fill_n(scratch_.side.reference, kLanes, -std::numeric_limits<float>::infinity());
  std::fill_n(scratch_.side.limit, kLanes, -std::numeric_limits<float>::infinity());
  for (PruneLane& lane : scratch_.lanes) {
    lane.taken.clear();
    lane.mass_lost = 0;
    lane.is_full = false;
  }
}

/// What sums of float32 may be off, those of the conversion to exponents and of what is added to logits included.
float PruneBlock::slack_of(std::size_t i, const TileBounds& bounds) const noexcept {
  const PruneLanes& side = scratch_.side;
  const auto features = static_cast<float>(job_.plan.dims.head_dim + 16);
  const float at = std::isinf(side.reference[i]) ? 0 : std::abs(side.reference[i]);
  return (side.norm[i] + side.lost[i]) * static_cast<float>(bounds.longest) * features * 0x1p-21F + at * 0x1p-17F + 0x1p-10F;
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
               static_cast<double>(slack_of(i, bounds));
    const double least = job_.rule.keys == 0 ? static_cast<double>(side.reference[i] - side.margin[i]) - spread_
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

void PruneBlock::raise_references() {
  PruneLanes& side = scratch_.side;
  int higher = 0;
  for (std::size_t i = 0; i < kLanes; ++i) higher |= side.top[i] > side.reference[i] ? 1 : 0;
  if (higher == 0) return;
  for (std::size_t i = 0; i < place_.lanes(); ++i) {
    if (!(side.top[i] > side.reference[i])) continue;
    if (side.dropped[i] > 0)
      side.dropped[i] *= std::exp(static_cast<double>(side.reference[i]) - static_cast<double>(side.top[i])) * (1 + 0x1p-40);
    side.reference[i] = side.top[i];
  }
}

void PruneBlock::sift(const KeyRange& keys) {
  const TileBounds& bounds = job_.bounds.tile(place_.batch, kv_head(), keys.begin / kKeys);
  PruneLanes& side = scratch_.side;
  const auto lost = static_cast<float>(bounds.lost * (1 + 0x1p-20));
  const auto longest = static_cast<float>(bounds.longest * (1 + 0x1p-20));
  const auto spread = static_cast<float>(spread_);
  const bool by_mass = job_.rule.keys == 0;
  constexpr float raised = 127 * 0x1p23F;
  for (std::size_t i = 0; i < kLanes; ++i) {
    const float at = std::isinf(side.reference[i]) ? 0 : side.reference[i];
    const float slack = slack_of(i, bounds);
    side.own[i] = side.norm[i] * lost + side.lost[i] * longest + slack;
    side.slack[i] = std::max(side.slack[i], slack);
    side.margin[i] = std::max(side.margin[i], side.own[i]);
    const float least = by_mass ? std::min(-spread - side.margin[i], -1.0F) : side.limit[i] - at;
    side.shift[i] = (side.own[i] - at) * kernels::kSiftStep + raised;
    side.least[i] = std::max(least * kernels::kSiftStep + raised, 1.5F * kernels::kSiftLeast);
    side.sum[i] = 0;
  }
  std::int32_t* const found = scratch_.found.data();
  const std::size_t count =
      job_.sifting.sift(scratch_.tile.get(), keys.end - keys.begin, place_.lanes(), side.shift, side.least, side.sum, found);
  for (std::size_t n = 0; n < count; ++n) {
    const auto at = static_cast<std::size_t>(found[n]);
    const std::size_t i = at % kLanes;
    scratch_.candidates[i][side.count[i]++] = {scratch_.tile.get()[at] + side.own[i],
                                               static_cast<std::uint32_t>(keys.begin + at / kLanes)};
  }
  std::uint32_t most = 0;
  for (std::size_t i = 0; i < kLanes; ++i) {
    side.dropped[i] += static_cast<double>(side.sum[i]) * (1 + 0x1p-16);
    most = std::max(most, side.count[i]);
  }
  if (most + kKeys <= job_.room) return;
  for (std::size_t i = 0; i < place_.lanes(); ++i)
    if (side.count[i] + kKeys > job_.room) make_room(i);
}

/// Leaves out what is no candidate any more now that more keys are known.
void PruneBlock::make_room(std::size_t i) {
  PruneLanes& side = scratch_.side;
  Candidate* const first = scratch_.candidates[i].data();
  Candidate* const end = first + side.count[i];
  const float infinity = std::numeric_limits<float>::infinity();
  float least = side.reference[i] - static_cast<float>(spread_) - side.margin[i];
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
  scratch_.lanes[i].is_full = true;
  side.count[i] = 0;
}

void PruneBlock::scan() {
  order_tiles();
  const auto keys_of = [&](std::size_t tile) {
    return KeyRange{std::max(tile * kKeys, range_.begin), std::min((tile + 1) * kKeys, range_.end)};
  };
  for (std::size_t n = 0; n < order_.size(); n += kSampleStep) logits(keys_of(order_[n]));
  for (const std::size_t tile : order_) {
    if (passes_over(tile)) continue;
    logits(keys_of(tile));
    sift(keys_of(tile));
  }
}

bool PruneBlock::run() {
  clear();
  if (!range_.empty()) {
    load_queries();
    scan();
  }
  const PruneLanes& side = scratch_.side;
  std::size_t failed = 0;
  const std::size_t most = place_.lanes() / 8;
  for (std::size_t i = 0; i < place_.lanes(); ++i) {
    PruneLane& lane = scratch_.lanes[i];
    if (lane.is_full || !(side.margin[i] < std::numeric_limits<float>::infinity()) ||
        !(job_.rule.keys != 0 ? take_top(i) : take_mass(i))) {
      if (job_.rule.keys == 0 && ++failed > most) return false;
      take_all(i);
    }
    weigh(i);
  }
  return true;
}

}  // namespace attn::engine

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

/// Not below e^x: the chord of kernels::Int8Kernels::sift, its rounding included. Infinite where float32 ends; for x that is no
/// NaN.
float exp_above(float x) {
  constexpr float raised = 127 * 0x1p23F + 0x1p13F;
  constexpr float infinite = 255 * 0x1p23F;
  const float y = std::min(std::max(x * kernels::kSiftStep + raised, kernels::kSiftLeast), infinite);
  return std::bit_cast<float>(static_cast<std::int32_t>(y));
}

float exp_above(double x) { return exp_above(static_cast<float>(x)); }

/// 16 chains, so that the sum is the same on every machine and none of them waits for itself.
float product(const float* a, const float* b, std::size_t dim) {
  constexpr std::size_t chains = 16;
  float sum[chains] = {};
  std::size_t d = 0;
  for (; d + chains <= dim; d += chains)
    for (std::size_t c = 0; c < chains; ++c) sum[c] += a[d + c] * b[d + c];
  for (std::size_t c = 0; d < dim; ++d, ++c) sum[c] += a[d] * b[d];
  for (std::size_t width = chains / 2; width > 0; width /= 2)
    for (std::size_t c = 0; c < width; ++c) sum[c] += sum[c + width];
  return sum[0];
}

bool is_stronger(const Taken& a, const Taken& b) { return a.logit != b.logit ? a.logit > b.logit : a.key < b.key; }

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
        static_cast<double>(kKeys) * static_cast<double>(exp_above(bound[i] - static_cast<double>(side.reference[i])));
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

double PruneBlock::exact_logit(std::size_t lane, std::size_t key) {
  const Plan& plan = job_.plan;
  const RowSource<float>& keys = job_.operands.key;
  const float* row = keys.is_direct() ? keys.direct().row(place_.batch, kv_head(), key)
                                      : keys.rows(place_.batch, kv_head(), key, 1, scratch_.key.data()).data;
  const float* query = scratch_.query_rows.get() + lane * plan.dims.head_dim;
  double logit = static_cast<double>(product(query, row, plan.dims.head_dim)) * plan.factor;
  if (plan.options.softcap != 0) logit = plan.options.softcap * std::tanh(logit / plan.options.softcap);
  if (plan.has_bias()) logit += plan.bias(place_.batch, place_.head_of(lane), place_.query_of(lane), key);
  return logit;
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

/// Takes candidates bin by bin, each a quarter of a nat of upper bounds, until the bound on all others is small enough.
bool PruneBlock::take_mass(std::size_t i) {
  PruneLane& lane = scratch_.lanes[i];
  constexpr std::size_t bins = 128;
  constexpr float in_nat = 4;
  double mass[bins + 1] = {};
  const PruneLanes& side = scratch_.side;
  const std::vector<Candidate>& candidates = scratch_.candidates[i];
  const float reference = side.reference[i];
  const float top = reference + side.margin[i];
  const auto bin_of = [&](float upper) {
    return static_cast<std::size_t>(std::min(std::max((top - upper) * in_nat, 0.0F), static_cast<float>(bins - 1)));
  };
  for (std::size_t n = 0; n < side.count[i]; ++n)
    mass[bin_of(candidates[n].upper)] += static_cast<double>(exp_above(candidates[n].upper - reference));
  // mass[b] becomes the bound on what the bins from b on and all that is no candidate hold.
  mass[bins] = side.dropped[i];
  for (std::size_t b = bins; b-- > 0;) mass[b] = (mass[b] + mass[b + 1]) * (1 + 0x1p-40);
  const double low = std::exp(-static_cast<double>(side.slack[i])) * (1 - 0x1p-30);
  const double allowed = (1 - job_.rule.mass) / job_.rule.mass;
  const double likely =
      mass[0] * std::exp(-static_cast<double>(side.margin[i]));  // most upper bounds are about the margin above their logits
  std::size_t done = 0;
  double sum = 0;
  for (std::size_t wanted = 1; done < bins && !(mass[done] <= allowed * sum * low); wanted = done + 1) {
    while (done == 0 && wanted < bins && mass[wanted] > allowed * likely * 0.9) ++wanted;
    const std::size_t before = lane.taken.size();
    for (std::size_t n = 0; n < side.count[i]; ++n) {
      const std::size_t bin = bin_of(candidates[n].upper);
      if (bin < done || bin >= wanted) continue;
      fetch(candidates[n].key);
      lane.taken.push_back({candidates[n].key, 0, 0});
    }
    for (std::size_t n = before; n < lane.taken.size(); ++n) {
      Taken& taken = lane.taken[n];
      taken.logit = exact_logit(i, taken.key);
      sum += taken.weight = std::exp(taken.logit - static_cast<double>(reference));
    }
    done = wanted;
  }
  lane.mass_lost = mass[done] == 0 ? 0 : mass[done] / (sum * low + mass[done]) * (1 + 0x1p-40);
  return lane_range_[i].empty() || mass[done] <= allowed * sum * low;
}

/// Asks for a key's row and its value's, which lie anywhere.
void PruneBlock::fetch(std::size_t key) const {
  for (const RowSource<float>* source : {&job_.operands.key, &job_.operands.value}) {
    if (!source->is_direct()) continue;
    const float* row = source->direct().row(place_.batch, kv_head(), key);
    for (std::size_t d = 0; d < source->dim(); d += 16) __builtin_prefetch(row + d);
  }
}

bool PruneBlock::take_top(std::size_t i) {
  PruneLane& lane = scratch_.lanes[i];
  PruneLanes& side = scratch_.side;
  make_room(i);
  if (lane.is_full) return false;
  const auto reference = static_cast<double>(side.reference[i]);
  const double slack = std::exp(static_cast<double>(side.slack[i])) * (1 + 0x1p-30);
  for (std::size_t n = 0; n < side.count[i]; ++n) {
    const std::uint32_t key = scratch_.candidates[i][n].key;
    const double logit = exact_logit(i, key);
    lane.taken.push_back({key, logit, std::exp(logit - reference)});
  }
  double rest = side.dropped[i];
  if (lane.taken.size() > job_.rule.keys) {
    const auto end = lane.taken.begin() + static_cast<std::ptrdiff_t>(job_.rule.keys);
    std::nth_element(lane.taken.begin(), end, lane.taken.end(), is_stronger);
    for (auto at = end; at != lane.taken.end(); ++at) rest += at->weight * slack;
    lane.taken.erase(end, lane.taken.end());
  }
  double sum = 0;
  for (const Taken& taken : lane.taken) sum += taken.weight / slack;
  lane.mass_lost = rest == 0 ? 0 : rest / (sum * (1 - 0x1p-30) + rest) * (1 + 0x1p-30);
  return lane_range_[i].empty() || sum > 0;
}

void PruneBlock::take_all(std::size_t i) {
  PruneLane& lane = scratch_.lanes[i];
  lane.taken.clear();
  double highest = -kInfinity;
  for (std::size_t j = lane_range_[i].begin; j < lane_range_[i].end; ++j) {
    if (job_.plan.may_hide() && !job_.plan.visible(place_.batch, place_.head_of(i), place_.query_of(i), j)) continue;
    const double logit = exact_logit(i, j);
    lane.taken.push_back({static_cast<std::uint32_t>(j), logit, 0});
    highest = std::max(highest, logit);
  }
  double sums[2] = {0, 0};
  const std::size_t most = job_.rule.keys == 0 ? lane.taken.size() : std::min(job_.rule.keys, lane.taken.size());
  const auto end = lane.taken.begin() + static_cast<std::ptrdiff_t>(most);
  if (end != lane.taken.end()) std::nth_element(lane.taken.begin(), end, lane.taken.end(), is_stronger);
  for (auto at = lane.taken.begin(); at != lane.taken.end(); ++at) {
    const bool is_hidden = at->logit == -kInfinity;
    sums[at < end ? 0 : 1] += at->weight = is_hidden ? 0 : std::exp(at->logit - highest);
  }
  lane.taken.erase(end, lane.taken.end());
  lane.mass_lost = sums[1] == 0 ? 0
                                : std::min(1.0, sums[1] / (sums[0] + sums[1]) *
                                                    std::exp(2 * static_cast<double>(scratch_.side.slack[i])) * (1 + 0x1p-30));
}

/// Exponentials over their sum, and the values they weigh.
void PruneBlock::weigh(std::size_t i) {
  PruneLane& lane = scratch_.lanes[i];
  const std::size_t dim = job_.plan.dims.value_dim;
  float* const out = scratch_.output.data() + i * dim;
  std::fill_n(out, dim, 0.0F);
  double sum = 0;
  for (const Taken& taken : lane.taken) sum += taken.weight;
  if (sum == 0) lane.taken.clear();  // as for the exact engine: no key is left
  const RowSource<float>& values = job_.operands.value;
  for (Taken& taken : lane.taken) {
    taken.weight /= sum;
    const auto weight = static_cast<float>(taken.weight);
    const float* value = values.is_direct() ? values.direct().row(place_.batch, kv_head(), taken.key)
                                            : values.rows(place_.batch, kv_head(), taken.key, 1, scratch_.value.data()).data;
    for (std::size_t f = 0; f < dim; ++f) out[f] += weight * value[f];
  }
}

void PruneBlock::hand_out(std::span<Observer<float>* const> observers, bool weights) const {
  const Dims& d = job_.plan.dims;
  if (weights) {
    scratch_.weights.assign(d.kv_len, 0.0F);
    for (std::size_t i = 0; i < place_.lanes(); ++i) {
      for (const Taken& taken : scratch_.lanes[i].taken) scratch_.weights[taken.key] = static_cast<float>(taken.weight);
      const Tile<float> tile{.batch = place_.batch,
                             .head = place_.head_of(i),
                             .query = place_.query_of(i),
                             .queries = 1,
                             .key = 0,
                             .keys = d.kv_len,
                             .data = scratch_.weights.data(),
                             .query_step = d.kv_len,
                             .key_step = 1};
      for (Observer<float>* observer : observers)
        if (observer->needs().weights) observer->weights(tile);
      for (const Taken& taken : scratch_.lanes[i].taken) scratch_.weights[taken.key] = 0;
    }
  }
  for (std::size_t part = 0; part < place_.heads; ++part) {
    const std::size_t first = part * place_.queries;
    std::uint8_t is_empty[kLanes] = {};
    for (std::size_t i = 0; i < place_.queries; ++i) is_empty[i] = scratch_.lanes[first + i].taken.empty() ? 1 : 0;
    const RowBlock<float> block{.batch = place_.batch,
                                .head = place_.head + part,
                                .query = place_.first,
                                .queries = place_.queries,
                                .output = scratch_.output.data() + first * d.value_dim,
                                .is_empty = is_empty};
    for (Observer<float>* observer : observers) observer->rows(block);
  }
}

void PruneBlock::report(PruneReport& report) const {
  for (std::size_t i = 0; i < place_.lanes(); ++i) {
    const PruneLane& lane = scratch_.lanes[i];
    const std::size_t seen = lane_range_[i].end - lane_range_[i].begin;
    if (seen == 0) continue;
    ++report.rows;
    report.visible += seen;
    report.kept += lane.taken.size();
    report.exact_rows += lane.taken.size() == seen ? 1U : 0U;
    report.largest_dropped = std::max(report.largest_dropped, lane.mass_lost);
    report.mean_dropped += lane.mass_lost;
    if (lane.mass_lost > 0)
      report.largest_error =
          std::max(report.largest_error, 2 * lane.mass_lost * job_.bounds.largest_value(place_.batch, kv_head()) * (1 + 0x1p-40));
  }
}

void PruneBlock::report_exact(PruneReport& report) const {
  for (std::size_t i = 0; i < place_.lanes(); ++i) {
    const std::size_t seen = lane_range_[i].end - lane_range_[i].begin;
    report.rows += seen == 0 ? 0U : 1U;
    report.exact_rows += seen == 0 ? 0U : 1U;
    report.visible += seen;
    report.kept += seen;
  }
}

}  // namespace attn::engine

// What a pruned walk takes of a block's candidates, and what becomes of it.
#include "engine/prune_block.hpp"

#include <algorithm>
#include <cmath>

namespace attn::engine {

using kernels::kLanes;

namespace {

constexpr std::size_t kAhead = 8;      ///< keys whose rows are asked for before they are needed
constexpr std::size_t kAtATime = 128;  ///< rows

bool has_larger_logit(const Taken& a, const Taken& b) { return a.logit != b.logit ? a.logit > b.logit : a.key < b.key; }

}  // namespace

/// Rows of keys or values that were taken: where they are, or made.
const float* const* PruneBlock::rows_of(const RowSource<float>& source, std::span<const Taken> taken) {
  scratch_.rows.resize(taken.size());
  scratch_.made.resize(source.is_direct() ? 0 : taken.size() * source.dim());
  for (std::size_t n = 0; n < taken.size(); ++n)
    scratch_.rows[n] = source.is_direct()
                           ? source.direct().row(place_.batch, kv_head(), taken[n].key)
                           : source.rows(place_.batch, kv_head(), taken[n].key, 1, scratch_.made.data() + n * source.dim()).data;
  return scratch_.rows.data();
}

/// The logits of all of them, in float32 up to the factor.
void PruneBlock::find_logits(std::size_t i, std::span<Taken> taken) {
  const Plan& plan = job_.plan;
  const float* const query = scratch_.query_rows.get() + i * plan.dims.head_dim;
  float scores[kAtATime];
  for (std::size_t first = 0; first < taken.size(); first += kAtATime) {
    const std::span<Taken> some = taken.subspan(first, std::min(kAtATime, taken.size() - first));
    job_.kernels.scattered_score_product(rows_of(job_.operands.key, some), some.size(), plan.dims.head_dim, query, scores);
    for (std::size_t n = 0; n < some.size(); ++n) {
      double& logit = some[n].logit = static_cast<double>(scores[n]) * plan.factor;
      if (plan.options.softcap != 0) logit = plan.options.softcap * std::tanh(logit / plan.options.softcap);
      if (plan.has_bias()) logit += plan.bias(place_.batch, place_.head_of(i), place_.query_of(i), some[n].key);
    }
  }
}

/// Takes candidates bin by bin, each a quarter of a nat of upper bounds, until the bound on all others is small enough.
bool PruneBlock::take_mass(std::size_t i) {
  PruneLane& lane = scratch_.lanes[i];
  constexpr std::size_t bins = 64;
  constexpr float in_nat = 4;
  double mass[bins + 1] = {};
  const PruneLanes& side = scratch_.side;
  const std::vector<Candidate>& candidates = scratch_.candidates;
  const std::size_t count = candidates.size();
  const float reference = side.reference[i];
  const float top = reference + side.extra[i];
  std::vector<float>& above = scratch_.above;
  std::vector<std::int32_t>& bin = scratch_.bins;
  above.resize(count);
  bin.resize(count);
  for (std::size_t n = 0; n < count; ++n) {
    above[n] = exp_above(candidates[n].upper - reference);
    bin[n] =
        static_cast<std::int32_t>(std::min(std::max(0.0F, (top - candidates[n].upper) * in_nat), static_cast<float>(bins - 1)));
  }
  for (std::size_t n = 0; n < count; ++n) mass[bin[n]] += static_cast<double>(above[n]);
  // mass[b] becomes the bound on what the bins from b on and all that is no candidate hold.
  mass[bins] = side.dropped[i];
  mass[bins] *= 1 + 0x1p-39;  // and outward, for the sums
  for (std::size_t b = bins; b-- > 0;) mass[b] = mass[b] * (1 + 0x1p-39) + mass[b + 1];
  const double low = std::exp(-static_cast<double>(side.slack[i])) * (1 - 0x1p-30);
  const double allowed = (1 - job_.rule.mass) / job_.rule.mass;
  const double likely =
      mass[0] * std::exp(-static_cast<double>(side.fine[i]));  // most upper bounds are as far above their logits
  std::size_t done = 0;
  double sum = 0;
  for (std::size_t wanted = 1; done < bins && !(mass[done] <= allowed * sum * low); wanted = done + 1) {
    while (done == 0 && wanted < bins && mass[wanted] > allowed * likely * 0.9) ++wanted;
    const std::size_t before = lane.taken.size();
    // Most are not taken: each is written where the next one goes, without asking.
    lane.taken.resize(before + count);
    Taken* to = lane.taken.data() + before;
    for (std::size_t n = 0; n < count; ++n) {
      to->key = candidates[n].key;
      to += bin[n] >= static_cast<std::int32_t>(done) && bin[n] < static_cast<std::int32_t>(wanted) ? 1 : 0;
    }
    lane.taken.resize(static_cast<std::size_t>(to - lane.taken.data()));
    for (std::size_t n = before; n < lane.taken.size(); ++n) {
      fetch(job_.operands.key, lane.taken[n].key);
      fetch(job_.operands.value, lane.taken[n].key);
    }
    const std::span<Taken> added = std::span(lane.taken).subspan(before);
    find_logits(i, added);
    for (Taken& taken : added) sum += taken.weight = std::exp(taken.logit - static_cast<double>(reference));
    done = wanted;
  }
  lane.mass_lost = mass[done] == 0 ? 0 : mass[done] / (sum * low + mass[done]) * (1 + 0x1p-40);
  return lane_range_[i].empty() || mass[done] <= allowed * sum * low;
}

/// Asks for a row, which lies anywhere.
void PruneBlock::fetch(const RowSource<float>& source, std::size_t key) const {
  if (!source.is_direct()) return;
  const float* row = source.direct().row(place_.batch, kv_head(), key);
  for (std::size_t d = 0; d < source.dim(); d += 16) __builtin_prefetch(row + d);
}

/// Leaves out candidates that are certainly not among the strongest keys.
void PruneBlock::keep_strongest(std::size_t i) {
  PruneLanes& side = scratch_.side;
  std::vector<Candidate>& all = scratch_.candidates;
  if (all.size() <= job_.rule.keys) return;
  const float least = least_of_strongest(i, all, fine_errors_of(i), 0);
  std::erase_if(all, [&](const Candidate& c) {
    const bool goes = c.upper < least;
    if (goes) side.dropped[i] += static_cast<double>(exp_above(c.upper - side.reference[i]));
    return goes;
  });
}

bool PruneBlock::take_top(std::size_t i) {
  PruneLane& lane = scratch_.lanes[i];
  const PruneLanes& side = scratch_.side;
  keep_strongest(i);
  const std::vector<Candidate>& candidates = scratch_.candidates;
  const auto reference = static_cast<double>(side.reference[i]);
  const double slack = std::exp(static_cast<double>(side.slack[i])) * (1 + 0x1p-30);
  for (const Candidate& candidate : candidates) lane.taken.push_back({candidate.key, 0, 0});
  for (std::size_t first = 0; first < lane.taken.size(); first += kAhead) {
    const std::span<Taken> rest = std::span(lane.taken).subspan(first);
    for (const Taken& next :
         rest.subspan(std::min(kAhead, rest.size()), std::min(2 * kAhead, rest.size()) - std::min(kAhead, rest.size())))
      fetch(job_.operands.key, next.key);
    find_logits(i, rest.first(std::min(kAhead, rest.size())));
  }
  for (Taken& taken : lane.taken) taken.weight = std::exp(taken.logit - reference);
  double rest = side.dropped[i];
  if (lane.taken.size() > job_.rule.keys) {
    const auto end = lane.taken.begin() + static_cast<std::ptrdiff_t>(job_.rule.keys);
    std::nth_element(lane.taken.begin(), end, lane.taken.end(), has_larger_logit);
    for (auto at = end; at != lane.taken.end(); ++at) rest += at->weight * slack;
    lane.taken.erase(end, lane.taken.end());
  }
  for (const Taken& taken : lane.taken) fetch(job_.operands.value, taken.key);
  double sum = 0;
  for (const Taken& taken : lane.taken) sum += taken.weight / slack;
  lane.mass_lost = rest == 0 ? 0 : rest / (sum * (1 - 0x1p-30) + rest) * (1 + 0x1p-30);
  return lane_range_[i].empty() || sum > 0;
}

void PruneBlock::take_all(std::size_t i) {
  PruneLane& lane = scratch_.lanes[i];
  lane.taken.clear();
  double highest = -std::numeric_limits<double>::infinity();
  for (std::size_t j = lane_range_[i].begin; j < lane_range_[i].end; ++j) {
    if (job_.plan.may_hide() && !job_.plan.visible(place_.batch, place_.head_of(i), place_.query_of(i), j)) continue;
    lane.taken.push_back({static_cast<std::uint32_t>(j), 0, 0});
  }
  find_logits(i, lane.taken);
  for (const Taken& taken : lane.taken) highest = std::max(highest, taken.logit);
  double sums[2] = {0, 0};
  const std::size_t most = job_.rule.keys == 0 ? lane.taken.size() : std::min(job_.rule.keys, lane.taken.size());
  const auto end = lane.taken.begin() + static_cast<std::ptrdiff_t>(most);
  if (end != lane.taken.end()) std::nth_element(lane.taken.begin(), end, lane.taken.end(), has_larger_logit);
  for (auto at = lane.taken.begin(); at != lane.taken.end(); ++at) {
    const bool is_hidden = at->logit == -std::numeric_limits<double>::infinity();
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
  float weights[kAtATime];
  for (std::size_t first = 0; first < lane.taken.size(); first += kAtATime) {
    const std::span<Taken> some = std::span(lane.taken).subspan(first, std::min(kAtATime, lane.taken.size() - first));
    for (std::size_t n = 0; n < some.size(); ++n) weights[n] = static_cast<float>(some[n].weight /= sum);
    job_.kernels.scattered_value_product(weights, rows_of(job_.operands.value, some), some.size(), dim, out);
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

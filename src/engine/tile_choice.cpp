// Which tiles of keys a block of queries keeps.
#include "engine/tile_choice.hpp"

#include "base/groups.hpp"
#include "engine/blocks.hpp"
#include "engine/tiled_settings.hpp"
#include "engine/tiled_workspace.hpp"
#include "kernels/kernels.hpp"

#include <attn/error.hpp>

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

namespace attn::engine {

namespace {

using kernels::kKeys;
using kernels::kLanes;

/// The mean of each tile's keys, [batch, kv_heads, tiles, head_dim]. Those of one head lie one after the other.
template <class T>
std::vector<T> means_of_tiles(const Plan& plan, const Operands<T>& operands, const Execution& execution) {
  const Dims& d = plan.dims;
  const std::size_t tiles = tile_count(d.kv_len);
  std::vector<T> means(d.batch * d.kv_heads * tiles * d.head_dim);
  Execution quiet = execution;
  quiet.progress = {};
  for_each_task(d.batch * d.kv_heads * tiles, quiet, [&](std::size_t task) {
    const std::size_t head = task / tiles;
    const std::size_t batch = head / d.kv_heads;
    const std::size_t first = task % tiles * kKeys;
    const std::size_t end = std::min(first + kKeys, plan.key_length[batch]);  // padding is no key
    if (first >= end) return;
    std::vector<T> buffer((end - first) * d.head_dim);
    const RowSpan<T> rows = operands.key.rows(batch, head % d.kv_heads, first, end - first, buffer.data());
    std::vector<double> sums(d.head_dim, 0.0);
    for (std::size_t j = 0; j < end - first; ++j)
      for (std::size_t f = 0; f < d.head_dim; ++f) sums[f] += static_cast<double>(rows.data[j * rows.stride + f]);
    for (std::size_t f = 0; f < d.head_dim; ++f)
      means[task * d.head_dim + f] = static_cast<T>(sums[f] / static_cast<double>(end - first));
  });
  return means;
}

/// The tiles of one block of queries.
template <class T>
class ChoiceOfBlock {
 public:
  ChoiceOfBlock(const Plan& plan, const BlockMap& map, const BlockPlace& place)
      : plan_(plan), map_(map), place_(place), mass_(tile_count(plan.dims.kv_len)), kept_(mass_.size()) {
    for (std::size_t i = 0; i < place.lanes(); ++i) range_[i] = plan.range(place.batch, place.query_of(i));
  }

  /// `rows` are the block's queries, `means` those of its keys' tiles.
  void estimate(const kernels::KernelTable<T>& kernels, const T* rows, const T* means);
  /// Keeps `tiles` tiles.
  void keep(std::size_t tiles);
  [[nodiscard]] bool keeps(std::size_t tile) const noexcept { return kept_[tile]; }

 private:
  [[nodiscard]] static bool reaches(const KeyRange& range, std::size_t tile) noexcept {
    return !range.empty() && range.begin < (tile + 1) * kKeys && tile * kKeys < range.end;
  }
  [[nodiscard]] bool may_be_seen(std::size_t tile) const {
    const KeyRange keys{tile * kKeys, std::min((tile + 1) * kKeys, plan_.dims.kv_len)};
    const KeyRange whole = plan_.range(place_.batch, place_.first, place_.queries);
    if (!reaches(whole, tile)) return false;
    return !plan_.may_hide() ||
           map_.cover(place_.batch, place_.head, place_.heads, place_.first, place_.queries, keys) != Cover::hidden;
  }
  /// True when the query of a lane sees a key of the tile.
  [[nodiscard]] bool sees(std::size_t lane, std::size_t tile) const {
    const KeyRange& range = range_[lane];
    if (!reaches(range, tile)) return false;
    if (!plan_.may_hide()) return true;
    for (std::size_t j = std::max(range.begin, tile * kKeys); j < std::min(range.end, (tile + 1) * kKeys); ++j)
      if (plan_.visible(place_.batch, place_.head_of(lane), place_.query_of(lane), j)) return true;
    return false;
  }
  void take_masses(const T* tile, std::size_t first, std::size_t count, const T* share);

  const Plan& plan_;
  const BlockMap& map_;
  const BlockPlace place_;
  KeyRange range_[kLanes];
  std::vector<double> mass_;
  std::vector<bool> kept_;
};

template <class T>
void ChoiceOfBlock<T>::estimate(const kernels::KernelTable<T>& kernels, const T* rows, const T* means) {
  const TiledSettings<T> settings(plan_);
  const std::size_t dim = plan_.dims.head_dim;
  const std::size_t lanes = place_.lanes();
  AlignedArray<T> queries(dim * kLanes);
  AlignedArray<T> scores((mass_.size() + kKeys) * kLanes);
  kernels.load_queries(rows, dim, lanes, dim, settings.score_factor, queries.get());
  alignas(64) T highest[kLanes];
  alignas(64) T begin[kLanes] = {};
  alignas(64) T end[kLanes] = {};
  std::fill_n(highest, kLanes, -std::numeric_limits<T>::infinity());
  kernels::LogitStage<T> stage = settings.scores;
  stage.cap = settings.cap;
  stage.negate = settings.normalize == Normalizer::softmin;
  stage.begin = begin;
  stage.end = end;
  for (std::size_t first = 0; first < mass_.size(); first += kKeys) {
    const std::size_t count = std::min(kKeys, mass_.size() - first);
    T* const tile = scores.get() + first * kLanes;
    for (std::size_t i = 0; i < lanes; ++i) {
      const KeyRange own = range_[i].empty() ? KeyRange{} : KeyRange{range_[i].begin / kKeys, (range_[i].end - 1) / kKeys + 1};
      begin[i] = static_cast<T>(std::clamp(own.begin, first, first + count) - first);
      end[i] = static_cast<T>(std::clamp(own.end, first, first + count) - first);
    }
    if (settings.distance) {
      kernels.score_distance(means + first * dim, dim, count, dim, queries.get(), lanes, tile);
    } else {
      kernels.score_product(means + first * dim, dim, count, dim, queries.get(), lanes, tile, nullptr, {});
    }
    kernels.logits(stage, count, lanes, tile, highest, nullptr);
  }
  T share[kLanes] = {};
  for (std::size_t first = 0; first < mass_.size(); first += kKeys) {
    const std::size_t count = std::min(kKeys, mass_.size() - first);
    T* const tile = scores.get() + first * kLanes;
    kernels.exponentials(tile, count, lanes, true, highest);
    for (std::size_t t = 0; t < count; ++t)
      for (std::size_t i = 0; i < lanes; ++i) {
        T& mass = tile[t * kLanes + i];
        mass = mass >= 0 ? mass : T(0);  // NaN: no estimate
        share[i] += mass;
      }
  }
  for (std::size_t i = 0; i < lanes; ++i) share[i] = share[i] > 0 ? 1 / share[i] : T(0);
  take_masses(scores.get(), 0, mass_.size(), share);
}

template <class T>
void ChoiceOfBlock<T>::take_masses(const T* tile, std::size_t first, std::size_t count, const T* share) {
  for (std::size_t t = 0; t < count; ++t) {
    double sum = 0;
    for (std::size_t i = 0; i < place_.lanes(); ++i) sum += static_cast<double>(tile[t * kLanes + i] * share[i]);
    mass_[first + t] = sum;
  }
}

template <class T>
void ChoiceOfBlock<T>::keep(std::size_t tiles) {
  std::vector<std::size_t> order(mass_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::erase_if(order, [&](std::size_t tile) { return !may_be_seen(tile); });
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return mass_[a] > mass_[b]; });
  std::size_t count = 0;
  const auto take = [&](std::size_t tile) {
    if (kept_[tile]) return;
    kept_[tile] = true;
    ++count;
  };
  if (plan_.options.causal && !order.empty()) {
    take(*std::min_element(order.begin(), order.end()));
    for (std::size_t i = 0; i < place_.lanes(); ++i)
      if (!range_[i].empty() && may_be_seen((range_[i].end - 1) / kKeys)) take((range_[i].end - 1) / kKeys);
  }
  for (const std::size_t tile : order)
    if (count < tiles) take(tile);
  for (std::size_t i = 0; i < place_.lanes(); ++i) {
    const auto seen = [&](std::size_t tile) { return sees(i, tile); };
    if (std::ranges::any_of(order, [&](std::size_t tile) { return kept_[tile] && seen(tile); })) continue;
    if (const auto best = std::ranges::find_if(order, seen); best != order.end()) take(*best);
  }
}

}  // namespace

std::string choice_refusal(const Plan& plan) {
  const Normalizer normalize = plan.options.normalize;
  const bool is_exponential = normalize == Normalizer::softmax || normalize == Normalizer::softmin ||
                              normalize == Normalizer::softmax1 || normalize == Normalizer::double_softmax;
  return is_exponential ? "" : "tiles of keys are ranked by their share of a softmax";
}

template <class T>
BlockMap::Layer choose_tiles(const Plan& plan, const Operands<T>& operands, const Execution& execution, std::size_t tiles) {
  const Dims& d = plan.dims;
  const std::vector<T> means = means_of_tiles(plan, operands, execution);
  const BlockMap map(plan, execution);
  BlockMap::Layer layer(d, false, false, false);
  const kernels::KernelTable<T>& kernels = kernels_for<T>(execution.isa);
  const Blocks blocks(d);
  Execution quiet = execution;
  quiet.progress = {};
  for_each_task(blocks.count(), quiet, [&](std::size_t task) {
    const std::size_t head = task / blocks.in_kv_head();
    const BlockPlace place = blocks.place(head / d.kv_heads, head % d.kv_heads, task % blocks.in_kv_head());
    std::vector<T> rows(place.lanes() * d.head_dim);
    for (std::size_t part = 0; part < place.heads; ++part)
      operands.query.make(place.batch, place.head + part, place.first, place.queries,
                          rows.data() + part * place.queries * d.head_dim);
    ChoiceOfBlock<T> choice(plan, map, place);
    choice.estimate(kernels, rows.data(), means.data() + head * tile_count(d.kv_len) * d.head_dim);
    choice.keep(tiles);
    for (std::size_t part = 0; part < place.heads; ++part)
      for (std::size_t tile = 0; tile < tile_count(d.kv_len); ++tile)
        layer.set(place.batch, place.head + part, place.first / kLanes, tile, choice.keeps(tile) ? Cover::open : Cover::hidden);
  });
  return layer;
}

template <class T>
void run_chosen(const Plan& plan, const Operands<T>& operands, std::span<Observer<T>* const> observers,
                const Execution& execution, std::size_t tiles) {
  const std::string refusal = choice_refusal(plan);
  if (!refusal.empty()) throw Error(Status::usage, "block-sparse attention does not apply: " + refusal);
  if (tiles >= tile_count(plan.dims.kv_len) || plan.dims.batch == 0 || plan.dims.kv_heads == 0)
    return run_tiled<T>(plan, operands, observers, execution);
  BlockMap map(plan, execution);
  map.choose(choose_tiles(plan, operands, execution, tiles));
  run_mapped(plan, operands, observers, execution, map);
}

std::uint64_t choice_bytes(const Dims& d, std::size_t item_bytes, std::size_t threads) noexcept {
  const std::uint64_t tiles = tile_count(d.kv_len);
  const std::uint64_t covers = d.batch * d.heads * groups_of(d.q_len, kLanes) * ((tiles + 3) / 4);
  const std::uint64_t block = kLanes * (tiles + kKeys + 2 * d.head_dim) * item_bytes + tiles * 2 * sizeof(double);
  return d.batch * d.kv_heads * tiles * d.head_dim * item_bytes + covers + threads * block;
}

template BlockMap::Layer choose_tiles<float>(const Plan&, const Operands<float>&, const Execution&, std::size_t);
template BlockMap::Layer choose_tiles<double>(const Plan&, const Operands<double>&, const Execution&, std::size_t);
template void run_chosen<float>(const Plan&, const Operands<float>&, std::span<Observer<float>* const>, const Execution&,
                                std::size_t);
template void run_chosen<double>(const Plan&, const Operands<double>&, std::span<Observer<double>* const>, const Execution&,
                                 std::size_t);

}  // namespace attn::engine

// One block of queries against one span of keys in the tiled engine.
#include "engine/tiled_walk.hpp"

#include "engine/keep_bits.hpp"

#include <cmath>
#include <limits>

namespace attn::engine {

using kernels::kKeys;
using kernels::kLanes;
using kernels::LogitStage;

template <class T>
template <class F>
void TiledWalk<T>::for_each_tile(const KeyRange& within, F&& f) {
  const std::size_t begin = std::max(within.begin, span_.keys.begin);
  const std::size_t end = std::min(within.end, span_.keys.end);
  for (std::size_t key = begin / kKeys * kKeys; key < end; key += kKeys) {
    Keys keys{std::max(key, begin), std::min(key + kKeys, end), false, Cover::open};
    keys.full = block_.inner_range().begin <= keys.begin && keys.end <= block_.inner_range().end;
    keys.cover = cover_of({keys.begin, keys.end});
    f(static_cast<const Keys&>(keys));
  }
}

template <class T>
Cover TiledWalk<T>::cover_of(const KeyRange& keys) const {
  const BlockPlace& place = block_.place();
  const bool may_hide = job_.plan.may_hide() || job_.map.is_chosen();
  return may_hide ? job_.map.cover(place.batch, place.head, place.heads, place.first, place.queries, keys) : Cover::open;
}

template <class T>
void TiledWalk<T>::raw_tile(const Keys& keys, T* maximum) {
  if (job_.products != nullptr)
    return job_.products->score(product_keys(keys), block_.product_queries(), block_.lanes(), tile_, maximum, product_scratch());
  const T* row = span_.key_row(keys.begin);
  const std::size_t stride = span_.key.stride;
  const std::size_t dim = job_.plan.dims.head_dim;
  if (job_.settings.distance) return k_.score_distance(row, stride, keys.count(), dim, block_.queries(), block_.lanes(), tile_);
  const auto product = block_.is_few() ? k_.few_score_product : k_.score_product;
  product(row, stride, keys.count(), dim, block_.queries(), block_.lanes(), tile_, maximum, values_of(keys));
}

template <class T>
ProductKeys TiledWalk<T>::product_keys(const Keys& keys) const {
  const BlockPlace& place = block_.place();
  return {place.batch, job_.plan.dims.kv_head(place.head), {keys.begin, keys.end}};
}

template <class T>
std::byte* TiledWalk<T>::product_scratch() {
  scratch_.products.reserve(job_.products->scratch_bytes());
  return scratch_.products.get();
}

template <class T>
kernels::Ahead<T> TiledWalk<T>::values_of(const Keys& keys) const {
  if (span_.value.data == nullptr) return next_keys(keys);
  if (is_warm()) return scratch_.upcoming.take(keys.count(), job_.plan.dims.head_dim);
  return {span_.value_row(keys.begin), span_.value.stride, keys.count(), job_.plan.dims.value_dim};
}

template <class T>
kernels::Ahead<T> TiledWalk<T>::next_keys(const Keys& keys) const {
  const std::size_t end = std::min(block_.range().end, span_.keys.end);
  if (keys.end >= end || is_warm()) return scratch_.upcoming.take(keys.count(), job_.plan.dims.value_dim);
  const KeyRange next{keys.end, std::min(keys.end + kKeys, end)};
  if (cover_of(next) == Cover::hidden) return {};
  return {span_.key_row(next.begin), span_.key.stride, next.end - next.begin, job_.plan.dims.head_dim};
}

template <class T>
bool TiledWalk<T>::is_biased(const Keys& keys) const {
  // Where logits themselves are the weights, adding 0 is seen: it makes 0 of -0.
  const bool shows_zero = job_.plan.has_bias() && job_.settings.normalize == Normalizer::none;
  return keys.cover != Cover::open || !job_.plan.slopes.empty() || shows_zero;
}

template <class T>
bool TiledWalk<T>::load_bias(const Keys& keys) {
  T* rows = scratch_.bias_rows.get();
  const BlockPlace& place = block_.place();
  for (std::size_t part = 0; part < place.heads; ++part)
    job_.plan.fill_bias(place.batch, place.head + part, place.first, place.queries, keys.begin, keys.count(),
                        rows + part * place.queries * kKeys, kKeys);
  k_.load_queries(rows, kKeys, block_.lanes(), keys.count(), T(1), scratch_.bias.get());
  return !job_.plan.may_hide() || k_.any_visible(rows, kKeys, block_.lanes(), keys.count());
}

template <class T>
bool TiledWalk<T>::load_keep(const Keys& keys) {
  const BlockPlace& place = block_.place();
  const auto fill = [&](std::size_t head, std::uint64_t* keep) {
    return fill_keep_bits(job_.plan, place.batch, head, place.first, place.queries, keys.begin, {keep, keys.count()});
  };
  bool any = fill(place.head, scratch_.keep);
  for (std::size_t part = 1; part < place.heads; ++part) {
    std::uint64_t own[kKeys];
    any = fill(place.head + part, own) || any;
    for (std::size_t j = 0; j < keys.count(); ++j) scratch_.keep[j] |= own[j] << part * place.queries;
  }
  return any;
}

template <class T>
bool TiledWalk<T>::logit_tile(const Keys& keys, bool negate, T* maximum, T* seen) {
  if (keys.cover == Cover::hidden) return false;
  if (job_.settings.plain && keys.full && keys.cover == Cover::open) {
    raw_tile(keys, maximum);
    return true;
  }
  LogitStage<T> stage = job_.settings.scores;
  const bool selects = job_.settings.selects && keys.cover != Cover::open;
  const bool biased = !selects && is_biased(keys);
  if (selects) {
    if (!load_keep(keys)) return false;
    stage.keep = scratch_.keep;
  }
  if (biased && !load_bias(keys)) return false;
  raw_tile(keys, nullptr);
  stage.cap = job_.settings.cap;
  stage.negate = negate;
  apply_bias_and_interval(keys, biased, stage, maximum, seen);
  return true;
}

template <class T>
void TiledWalk<T>::apply_bias_and_interval(const Keys& keys, bool biased, LogitStage<T> stage, T* maximum, T* seen) {
  if (biased) stage.bias = scratch_.bias.get();
  if (!keys.full) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const KeyRange own = lane < block_.lanes() ? block_.lane_range(lane) : KeyRange{};
      scratch_.lane_begin[lane] = static_cast<T>(std::clamp(own.begin, keys.begin, keys.end) - keys.begin);
      scratch_.lane_end[lane] = static_cast<T>(std::clamp(own.end, keys.begin, keys.end) - keys.begin);
    }
    stage.begin = scratch_.lane_begin;
    stage.end = scratch_.lane_end;
  }
  k_.logits(stage, keys.count(), block_.lanes(), tile_, maximum, seen);
}

template <class T>
void TiledWalk<T>::statistics() {
  kernels::SoftmaxRows<T>& rows = block_.statistics();
  for_each_tile(block_.range(), [&](const Keys& keys) {
    if (logit_tile(keys, false, rows.next, nullptr))
      k_.softmax_sums(tile_, keys.count(), block_.lanes(), job_.settings.natural, rows);
  });
}

template <class T>
void TiledWalk<T>::sums(Sums<T>& sums) {
  const bool few = block_.is_few() && job_.needs.output;
  // Logits that are kept and of which only sums are wanted stay where they are made.
  const bool in_place = keeps_logits() && wants_sums_only();
  if (few) begin_few(sums);
  if (keeps_logits()) open_kept();
  for_each_tile(block_.range(), [&](const Keys& keys) {
    if (in_place) tile_ = kept(keys);
    const bool any = logit_tile(keys, job_.settings.normalize == Normalizer::softmin, sums.rows.next, sums.seen);
    if (keeps_logits()) keep_logits(keys, any);
    if (!any) return;
    const bool select = job_.needs.output && needs_select(keys);
    if (sums.notes) sums.notes->take_logits(k_, tile_, keys.count(), block_.lanes(), keys.begin);
    if (wants_sums_only()) return k_.softmax_sums(tile_, keys.count(), block_.lanes(), job_.settings.natural, sums.rows);
    weigh_tile(keys, sums);
    if (job_.needs.facts) note_weights(keys, sums);
    if (job_.needs.output) add_values(keys, select, sums);
  });
  tile_ = scratch_.tile.get();
  if (few) end_few(sums);
}

template <class T>
void TiledWalk<T>::open_kept() {
  const std::size_t tiles = tile_count(job_.plan.dims.kv_len);
  scratch_.kept.reserve(tiles * TiledScratch<T>::kTile);
  scratch_.has_kept.resize(tiles);
}

template <class T>
void TiledWalk<T>::keep_logits(const Keys& keys, bool any) {
  scratch_.has_kept[keys.begin / kKeys] = any ? 1 : 0;
  if (any && tile_ != kept(keys)) std::copy_n(tile_, keys.count() * kLanes, kept(keys));
}

template <class T>
T* TiledWalk<T>::logits_again(const Keys& keys) {
  if (keeps_logits()) return scratch_.has_kept[keys.begin / kKeys] != 0 ? kept(keys) : nullptr;
  const bool any = logit_tile(keys, job_.settings.normalize == Normalizer::softmin, nullptr, nullptr);
  return any ? tile_ : nullptr;
}

template <class T>
void TiledWalk<T>::weigh_tile(const Keys& keys, Sums<T>& sums) {
  const bool natural = job_.settings.natural;
  if (job_.settings.is_online()) return k_.softmax_step(tile_, keys.count(), block_.lanes(), natural, sums.rows);
  if (job_.settings.is_double())
    return k_.double_step(tile_, keys.count(), block_.lanes(), natural, block_.statistics(), sums.second);
  block_.weigh(tile_, keys.count(), scratch_);
}

template <class T>
void TiledWalk<T>::note_weights(const Keys& keys, Sums<T>& sums) {
  const BlockPlace& place = block_.place();
  for (std::size_t lane = 0; lane < block_.lanes(); ++lane) {
    const std::int64_t position = job_.plan.position(place.batch, place.query_of(lane));
    scratch_.position[lane] = static_cast<T>(position - static_cast<std::int64_t>(keys.begin));
  }
  sums.notes->take_weights(k_, tile_, keys.count(), block_.lanes(), scratch_.position, sums.rows.rescale);
}

/// Masked values must not be read into the sum; 0 * NaN would be. Looks at the values only where some pair may be masked.
template <class T>
bool TiledWalk<T>::needs_select(const Keys& keys) {
  if (job_.products != nullptr || (keys.full && keys.cover == Cover::open)) return false;
  if (k_.all_finite(span_.value_row(keys.begin), span_.value.stride, keys.count(), job_.plan.dims.value_dim)) return false;
  scratch_.visible.reserve(TiledScratch<T>::kTile);
  k_.visibility(tile_, keys.count(), block_.lanes(), scratch_.visible.get());
  return true;
}

/// A few lanes keep their output as rows while it grows; [value_dim][kLanes] is what it comes from and goes back to.
template <class T>
void TiledWalk<T>::begin_few(const Sums<T>& sums) {
  const std::size_t dim = job_.plan.dims.value_dim;
  for (std::size_t lane = 0; lane < block_.lanes(); ++lane)
    for (std::size_t f = 0; f < dim; ++f) scratch_.few_output.get()[lane * dim + f] = sums.output.get()[f * kLanes + lane];
}

template <class T>
void TiledWalk<T>::end_few(Sums<T>& sums) {
  const std::size_t dim = job_.plan.dims.value_dim;
  k_.load_queries(scratch_.few_output.get(), dim, block_.lanes(), dim, T(1), sums.output.get());
}

template <class T>
void TiledWalk<T>::add_values(const Keys& keys, bool select, Sums<T>& sums) {
  const T* values = span_.value_row(keys.begin);
  const std::size_t stride = span_.value.stride;
  const std::size_t dim = job_.plan.dims.value_dim;
  const std::size_t lanes = block_.lanes();
  const T* rescale = sums.rows.rescale;  // stays 1 where nothing is rescaled
  if (job_.products != nullptr)
    return job_.products->add_values(product_keys(keys), tile_, lanes, rescale, sums.output.get(), product_scratch());
  if (select) {
    if (block_.is_few()) end_few(sums);
    k_.value_product_select(tile_, scratch_.visible.get(), values, stride, keys.count(), dim, lanes, rescale, sums.output.get());
    if (block_.is_few()) begin_few(sums);
  } else if (block_.is_few()) {
    k_.few_value_product(tile_, values, stride, keys.count(), dim, lanes, rescale, scratch_.few_output.get(), next_keys(keys));
  } else {
    k_.value_product(tile_, values, stride, keys.count(), dim, lanes, rescale, sums.output.get(), next_keys(keys));
  }
}

template <class T>
void TiledWalk<T>::open_pairs(const KeyRange& within, PairRows<T>& rows) {
  const std::size_t begin = std::max(within.begin, span_.keys.begin);
  const std::size_t end = std::min(within.end, span_.keys.end);
  rows.stride = end - std::min(begin, end);
  rows.begin = rows.end = begin;
  rows.numbers.reserve(block_.lanes() * rows.stride);
}

template <class T>
void TiledWalk<T>::add_pairs(const Keys& keys, const T* tile, const T* divisor, const PairKind& kind) {
  PairRows<T>& rows = *kind.rows;
  if (rows.end != keys.begin) {
    hand_out(kind);
    rows.begin = keys.begin;
  }
  T* to = rows.numbers.get() + (keys.begin - rows.begin);
  k_.store_rows(tile, divisor, block_.lanes(), keys.count(), to, rows.stride);
  if (kind.wanted == &Needs::weights) clear_masked(keys, to, rows.stride);
  rows.end = keys.end;
}

template <class T>
void TiledWalk<T>::hand_out(const PairKind& kind) {
  const BlockPlace& place = block_.place();
  const PairRows<T>& rows = *kind.rows;
  if (rows.begin == rows.end) return;
  for (std::size_t part = 0; part < place.heads; ++part) {
    const Tile<T> tile{.batch = place.batch,
                       .head = place.head + part,
                       .query = place.first,
                       .queries = place.queries,
                       .key = rows.begin,
                       .keys = rows.end - rows.begin,
                       .data = rows.numbers.get() + part * place.queries * rows.stride,
                       .query_step = rows.stride,
                       .key_step = 1};
    for (Observer<T>* observer : job_.observers)
      if (observer->needs().*kind.wanted) (observer->*kind.take)(tile);
  }
}

template <class T>
void TiledWalk<T>::weights() {
  const PairKind kind{&Needs::weights, &Observer<T>::weights, &scratch_.pairs[0]};
  open_pairs(block_.range(), *kind.rows);
  for_each_tile(block_.range(), [&](const Keys& keys) {
    T* tile = logits_again(keys);
    if (tile == nullptr) return;
    block_.weigh(tile, keys.count(), scratch_);
    add_pairs(keys, tile, block_.divisor(), kind);
  });
  hand_out(kind);
}

/// A NaN among the visible keys makes the divisor NaN and spreads over the row; the masked keys stay absent.
template <class T>
void TiledWalk<T>::clear_masked(const Keys& keys, T* rows, std::size_t stride) {
  const BlockPlace& place = block_.place();
  for (std::size_t lane = 0; lane < block_.lanes(); ++lane) {
    if (!std::isnan(block_.divisor()[lane])) continue;
    for (std::size_t j = 0; j < keys.count(); ++j)
      if (!job_.plan.visible(place.batch, place.head_of(lane), place.query_of(lane), keys.begin + j)) rows[lane * stride + j] = 0;
  }
}

template <class T>
void TiledWalk<T>::scores() {
  const KeyRange all{0, job_.plan.dims.kv_len};
  const PairKind raw{&Needs::raw_scores, &Observer<T>::raw_scores, &scratch_.pairs[0]};
  const PairKind capped{&Needs::capped_scores, &Observer<T>::capped_scores, &scratch_.pairs[1]};
  const PairKind masked{&Needs::masked_scores, &Observer<T>::masked_scores, &scratch_.pairs[2]};
  for (const PairKind* kind : {&raw, &capped, &masked})
    if (job_.needs.*kind->wanted) open_pairs(all, *kind->rows);
  for_each_tile(all, [&](const Keys& keys) {
    const auto add = [&](const PairKind& kind) {
      if (job_.needs.*kind.wanted) add_pairs(keys, tile_, scratch_.ones, kind);
    };
    score_stages(
        keys, [&] { add(raw); }, [&] { add(capped); }, [&] { add(masked); });
  });
  for (const PairKind* kind : {&raw, &capped, &masked})
    if (job_.needs.*kind->wanted) hand_out(*kind);
}

/// Brings the tile to one stage after another, as far as anyone asks, and calls what belongs to each.
template <class T>
template <class Raw, class Capped, class Masked>
void TiledWalk<T>::score_stages(const Keys& keys, Raw raw, Capped capped, Masked masked) {
  raw_tile(keys, nullptr);
  k_.logits(job_.settings.scores, keys.count(), block_.lanes(), tile_, nullptr, nullptr);
  raw();
  if (!job_.needs.capped_scores && !job_.needs.masked_scores) return;
  if (job_.settings.cap != 0) {
    LogitStage<T> stage;
    stage.cap = job_.settings.cap;
    k_.logits(stage, keys.count(), block_.lanes(), tile_, nullptr, nullptr);
  }
  capped();
  if (!job_.needs.masked_scores) return;
  const bool biased = job_.plan.has_bias();
  if (biased) load_bias(keys);
  apply_bias_and_interval(keys, biased, {}, nullptr, nullptr);
  masked();
}

template <class T>
void TiledWalk<T>::columns() {
  for_each_tile(block_.range(), [&](const Keys& keys) {
    if (!logit_tile(keys, job_.settings.normalize == Normalizer::softmin, nullptr, nullptr)) return;
    block_.weigh(tile_, keys.count(), scratch_);
    // A NaN is told from what is masked by weights that are final.
    const bool divides = std::any_of(block_.divisor(), block_.divisor() + block_.lanes(), [](T x) { return std::isnan(x); });
    const auto is_undivided = [&](const Needs& needs) { return needs.undivided && !divides; };
    hand_out_columns(keys, block_.divisor(), is_undivided);
    if (std::ranges::all_of(job_.observers,
                            [&](const Observer<T>* o) { return !o->needs().columns || is_undivided(o->needs()); }))
      return;
    k_.finish_tile(tile_, keys.count(), block_.lanes(), block_.divisor());
    const BlockPlace& place = block_.place();
    for (std::size_t lane = 0; lane < block_.lanes(); ++lane) {
      if (!std::isnan(block_.divisor()[lane])) continue;
      for (std::size_t j = 0; j < keys.count(); ++j)
        if (!job_.plan.visible(place.batch, place.head_of(lane), place.query_of(lane), keys.begin + j))
          tile_[j * kLanes + lane] = 0;
    }
    hand_out_columns(keys, nullptr, [&](const Needs& needs) { return !is_undivided(needs); });
  });
}

template <class T>
template <class Wants>
void TiledWalk<T>::hand_out_columns(const Keys& keys, const T* divisor, const Wants& wants) {
  const BlockPlace& place = block_.place();
  for (std::size_t part = 0; part < place.heads; ++part) {
    const std::size_t lane = part * place.queries;
    const Tile<T> handed{.batch = place.batch,
                         .head = place.head + part,
                         .query = place.first,
                         .queries = place.queries,
                         .key = keys.begin,
                         .keys = keys.count(),
                         .data = tile_ + lane,
                         .query_step = 1,
                         .key_step = kLanes,
                         .divisor = divisor == nullptr ? nullptr : divisor + lane};
    for (Observer<T>* observer : job_.observers)
      if (observer->needs().columns && wants(observer->needs())) observer->columns(handed);
  }
}

template class TiledWalk<float>;
template class TiledWalk<double>;

}  // namespace attn::engine

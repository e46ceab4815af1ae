// One block of queries in the tiled engine: tiles of logits, the running normalizer, the value product.
#include "engine/tiled_block.hpp"

#include "engine/keep_bits.hpp"
#include "engine/logarithm.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace attn::engine {

using kernels::kKeys;
using kernels::kLanes;
using kernels::LogitStage;

template <class T>
TiledBlock<T>::TiledBlock(const TiledJob<T>& job, TiledWorkspace<T>& space, std::size_t batch, std::size_t head,
                          std::size_t first, std::size_t queries)
    : job_(job),
      k_(job.kernels),
      space_(space),
      batch_(batch),
      head_(head),
      kv_head_(job.plan.dims.kv_head(head)),
      first_(first),
      queries_(queries),
      statistics_(job.settings.is_double() || (job.needs.log_sum_exp && job.settings.normalize != Normalizer::softmax)) {
  std::fill_n(ones_, kLanes, T(1));
  find_ranges();
}

template <class T>
void TiledBlock<T>::run() {
  load_queries(job_.settings.query_factor);
  if (statistics_) statistics_pass();
  main_pass();
  finish_rows();
  if (job_.needs.weights) hand_out_weights();
  if (job_.needs.any_scores()) hand_out_scores();
  hand_out_rows();
}

template <class T>
void TiledBlock<T>::find_ranges() {
  range_ = job_.plan.range(batch_, first_, queries_);
  inner_begin_ = 0;
  inner_end_ = std::numeric_limits<std::size_t>::max();
  for (std::size_t i = 0; i < queries_; ++i) {
    const KeyRange own = job_.plan.range(batch_, first_ + i);
    lane_range_[i] = own.empty() ? KeyRange{} : own;
    inner_begin_ = std::max(inner_begin_, lane_range_[i].begin);
    inner_end_ = std::min(inner_end_, lane_range_[i].end);
  }
}

template <class T>
template <class F>
void TiledBlock<T>::for_each_tile(KeyRange within, F&& f) {
  for (std::size_t key = within.begin / kKeys * kKeys; key < within.end; key += kKeys) {
    Keys keys{std::max(key, within.begin), std::min(key + kKeys, within.end), false, Cover::open};
    keys.full = inner_begin_ <= keys.begin && keys.end <= inner_end_;
    keys.cover = cover_of({keys.begin, keys.end});
    count_ = keys.count();
    f(static_cast<const Keys&>(keys));
  }
}

template <class T>
Cover TiledBlock<T>::cover_of(KeyRange keys) const {
  return job_.plan.may_hide() ? job_.map.cover(batch_, head_, 1, first_, queries_, keys) : Cover::open;
}

template <class T>
void TiledBlock<T>::load_queries(T factor) {
  const engine::Rows<T>& rows = job_.operands.query;
  k_.load_queries(rows.row(batch_, head_, first_), rows.row_stride, queries_, job_.plan.dims.head_dim, factor,
                  space_.query.get());
}

template <class T>
void TiledBlock<T>::raw_tile(const Keys& keys, T* maximum) {
  const engine::Rows<T>& rows = job_.operands.key;
  const T* row = rows.row(batch_, kv_head_, keys.begin);
  const std::size_t dim = job_.plan.dims.head_dim;
  if (job_.settings.distance) {
    k_.score_distance(row, rows.row_stride, count_, dim, space_.query.get(), queries_, space_.tile.get());
  } else {
    k_.score_product(row, rows.row_stride, count_, dim, space_.query.get(), queries_, space_.tile.get(), maximum,
                     values_of(keys));
  }
}

template <class T>
kernels::Ahead<T> TiledBlock<T>::values_of(const Keys& keys) const {
  if (!job_.needs.output) return {};
  const engine::Rows<T>& rows = job_.operands.value;
  return {rows.row(batch_, kv_head_, keys.begin), rows.row_stride, keys.count(), job_.plan.dims.value_dim};
}

template <class T>
kernels::Ahead<T> TiledBlock<T>::next_keys(const Keys& keys) const {
  if (keys.end >= range_.end) return {};
  const KeyRange next{keys.end, std::min(keys.end + kKeys, range_.end)};
  if (cover_of(next) == Cover::hidden) return {};
  const engine::Rows<T>& rows = job_.operands.key;
  return {rows.row(batch_, kv_head_, next.begin), rows.row_stride, next.end - next.begin, job_.plan.dims.head_dim};
}

template <class T>
bool TiledBlock<T>::is_biased(const Keys& keys) const {
  // Where logits themselves are the weights, adding 0 is seen: it makes 0 of -0.
  const bool shows_zero = job_.plan.has_bias() && job_.settings.normalize == Normalizer::none;
  return keys.cover != Cover::open || !job_.plan.slopes.empty() || shows_zero;
}

template <class T>
bool TiledBlock<T>::load_bias(const Keys& keys) {
  T* rows = space_.bias_rows.get();
  job_.plan.fill_bias(batch_, head_, first_, queries_, keys.begin, count_, rows, kKeys);
  k_.load_queries(rows, kKeys, queries_, count_, T(1), space_.bias.get());
  return !job_.plan.may_hide() || k_.any_visible(rows, kKeys, queries_, count_);
}

template <class T>
bool TiledBlock<T>::logit_tile(const Keys& keys, bool negate, T* maximum) {
  if (keys.cover == Cover::hidden) return false;
  if (job_.settings.plain && keys.full && keys.cover == Cover::open) {
    raw_tile(keys, maximum);
    return true;
  }
  LogitStage<T> stage = job_.settings.scores;
  const bool selects = job_.settings.selects && keys.cover != Cover::open;
  const bool biased = !selects && is_biased(keys);
  if (selects) {
    if (!fill_keep_bits(job_.plan, batch_, head_, first_, queries_, keys.begin, {keep_, count_})) return false;
    stage.keep = keep_;
  }
  if (biased && !load_bias(keys)) return false;
  raw_tile(keys, nullptr);
  stage.cap = job_.settings.cap;
  stage.negate = negate;
  apply_bias_and_interval(keys, biased, stage, maximum);
  return true;
}

template <class T>
void TiledBlock<T>::apply_bias_and_interval(const Keys& keys, bool biased, LogitStage<T> stage, T* maximum) {
  if (biased) stage.bias = space_.bias.get();
  if (!keys.full) {
    for (std::size_t i = 0; i < kLanes; ++i) {
      const KeyRange own = i < queries_ ? lane_range_[i] : KeyRange{};
      lane_begin_[i] = static_cast<T>(std::clamp(own.begin, keys.begin, keys.end) - keys.begin);
      lane_end_[i] = static_cast<T>(std::clamp(own.end, keys.begin, keys.end) - keys.begin);
    }
    stage.begin = lane_begin_;
    stage.end = lane_end_;
  }
  k_.logits(stage, count_, queries_, space_.tile.get(), maximum, seen_);
}

template <class T>
void TiledBlock<T>::start(Softmax& rows, bool with_one) {
  const T least = with_one ? T(0) : -std::numeric_limits<T>::infinity();
  std::fill_n(rows.maximum, kLanes, least);
  std::fill_n(rows.next, kLanes, least);
  std::fill_n(rows.sum, kLanes, with_one ? T(1) : T(0));
}

template <class T>
void TiledBlock<T>::statistics_pass() {
  start(first_softmax_, false);
  for_each_tile(range_, [this](const Keys& keys) {
    if (logit_tile(keys, false, first_softmax_.next))
      k_.softmax_step(space_.tile.get(), count_, queries_, job_.settings.natural, first_softmax_);
  });
}

template <class T>
void TiledBlock<T>::main_pass() {
  // As if one more key had logit 0: the running maximum starts there.
  start(main_, job_.settings.normalize == Normalizer::softmax1);
  if (job_.needs.output) std::fill_n(space_.output.get(), job_.plan.dims.value_dim * kLanes, T(0));
  for_each_tile(range_, [this](const Keys& keys) {
    if (!logit_tile(keys, job_.settings.normalize == Normalizer::softmin, main_.next)) return;
    const bool select = job_.needs.output && needs_select(keys);
    weigh_tile(false);
    if (job_.needs.output) add_values(keys, select);
  });
}

/// Logits to weights, up to the divisor. `final`: the sums are known and stay as they are.
template <class T>
void TiledBlock<T>::weigh_tile(bool final) {
  T* tile = space_.tile.get();
  const bool natural = job_.settings.natural;
  switch (job_.settings.normalize) {
    case Normalizer::softmax:
    case Normalizer::softmin:
    case Normalizer::softmax1:
      if (final) return k_.exponentials(tile, count_, queries_, natural, main_.maximum);
      return k_.softmax_step(tile, count_, queries_, natural, main_);
    case Normalizer::double_softmax:
      return k_.double_step(tile, count_, queries_, natural, first_softmax_, final ? main_.sum : second_sum_);
    case Normalizer::sigmoid:
      return k_.sigmoid(tile, count_, queries_);
    case Normalizer::none:
      return k_.zero_masked(tile, count_, queries_);
  }
}

/// Masked values must not be read into the sum; 0 * NaN would be. Looks at the values only where some pair may be masked.
template <class T>
bool TiledBlock<T>::needs_select(const Keys& keys) {
  if (keys.full && keys.cover == Cover::open) return false;
  const engine::Rows<T>& rows = job_.operands.value;
  if (k_.all_finite(rows.row(batch_, kv_head_, keys.begin), rows.row_stride, count_, job_.plan.dims.value_dim)) return false;
  if (space_.visible == nullptr) space_.visible = std::make_unique<AlignedArray<T>>(TiledWorkspace<T>::kTile);
  k_.visibility(space_.tile.get(), count_, queries_, space_.visible->get());
  return true;
}

template <class T>
void TiledBlock<T>::add_values(const Keys& keys, bool select) {
  const engine::Rows<T>& rows = job_.operands.value;
  const T* values = rows.row(batch_, kv_head_, keys.begin);
  const std::size_t dim = job_.plan.dims.value_dim;
  const T* rescale = job_.settings.is_online() ? main_.rescale : ones_;
  if (select) {
    k_.value_product_select(space_.tile.get(), space_.visible->get(), values, rows.row_stride, count_, dim, queries_, rescale,
                            space_.output.get());
  } else {
    k_.value_product(space_.tile.get(), values, rows.row_stride, count_, dim, queries_, rescale, space_.output.get(),
                     next_keys(keys));
  }
}

template <class T>
void TiledBlock<T>::finish_rows() {
  const Normalizer normalize = job_.settings.normalize;
  for (std::size_t i = 0; i < queries_; ++i) {
    // The largest logit adds exactly 1 to a sum, so only a query without any has 0; NaN is not 0.
    const T sum = job_.settings.is_double() ? first_softmax_.sum[i] : main_.sum[i];
    const bool counted = normalize == Normalizer::softmax || job_.settings.is_double();
    is_empty_[i] = (counted ? sum == 0 : seen_[i] == 0) ? 1 : 0;
    if (is_empty_[i] != 0) {
      divisor_[i] = 0;
    } else if (job_.settings.is_online()) {
      divisor_[i] = main_.sum[i];
    } else {
      divisor_[i] = job_.settings.is_double() ? second_sum_[i] : T(1);
    }
    if (job_.needs.log_sum_exp) log_sum_exp_[i] = log_sum_exp(statistics_ ? first_softmax_ : main_, i);
  }
  std::fill(divisor_ + queries_, divisor_ + kLanes, T(0));
}

template <class T>
double TiledBlock<T>::log_sum_exp(const Softmax& rows, std::size_t lane) const {
  const auto maximum = static_cast<double>(rows.maximum[lane]);
  const auto sum = static_cast<double>(rows.sum[lane]);
  if (std::isnan(sum)) return std::numeric_limits<double>::quiet_NaN();
  if (sum == 0) return -std::numeric_limits<double>::infinity();
  return (job_.settings.natural ? maximum : maximum * std::numbers::ln2) + natural_log(sum);
}

template <class T>
Tile<T> TiledBlock<T>::tile_of(const Keys& keys) const {
  return {.batch = batch_,
          .head = head_,
          .query = first_,
          .queries = queries_,
          .key = keys.begin,
          .keys = keys.count(),
          .data = space_.tile.get(),
          .query_step = 1,
          .key_step = kLanes};
}

template <class T>
void TiledBlock<T>::hand_out_weights() {
  for_each_tile(range_, [this](const Keys& keys) {
    if (!logit_tile(keys, job_.settings.normalize == Normalizer::softmin, nullptr)) return;
    weigh_tile(true);
    k_.finish_tile(space_.tile.get(), count_, queries_, divisor_);
    clear_masked(keys);
    for (Observer<T>* observer : job_.observers)
      if (observer->needs().weights) observer->weights(tile_of(keys));
  });
}

/// A NaN among the visible keys makes the divisor NaN and spreads over the row; the masked keys stay absent.
template <class T>
void TiledBlock<T>::clear_masked(const Keys& keys) {
  for (std::size_t i = 0; i < queries_; ++i) {
    if (!std::isnan(divisor_[i])) continue;
    for (std::size_t j = 0; j < count_; ++j)
      if (!job_.plan.visible(batch_, head_, first_ + i, keys.begin + j)) space_.tile.get()[j * kLanes + i] = 0;
  }
}

template <class T>
void TiledBlock<T>::hand_out_scores() {
  load_queries(job_.settings.score_factor);
  const KeyRange all{0, job_.plan.dims.kv_len};
  for_each_tile(all, [this](const Keys& keys) {
    const auto hand = [&](auto wanted, auto take) {
      for (Observer<T>* observer : job_.observers)
        if (observer->needs().*wanted) (observer->*take)(tile_of(keys));
    };
    raw_tile(keys, nullptr);
    k_.logits(job_.settings.scores, count_, queries_, space_.tile.get(), nullptr, nullptr);
    k_.finish_tile(space_.tile.get(), count_, queries_, nullptr);
    if (job_.needs.raw_scores) hand(&Needs::raw_scores, &Observer<T>::raw_scores);
    if (!job_.needs.capped_scores && !job_.needs.masked_scores) return;
    if (job_.settings.cap != 0) {
      LogitStage<T> stage;
      stage.cap = job_.settings.cap;
      k_.logits(stage, count_, queries_, space_.tile.get(), nullptr, nullptr);
      k_.finish_tile(space_.tile.get(), count_, queries_, nullptr);
    }
    if (job_.needs.capped_scores) hand(&Needs::capped_scores, &Observer<T>::capped_scores);
    if (!job_.needs.masked_scores) return;
    const bool biased = job_.plan.has_bias();
    if (biased) load_bias(keys);
    apply_bias_and_interval(keys, biased, {}, nullptr);
    k_.finish_tile(space_.tile.get(), count_, queries_, nullptr);
    hand(&Needs::masked_scores, &Observer<T>::masked_scores);
  });
}

template <class T>
void TiledBlock<T>::hand_out_rows() {
  if (job_.needs.output) k_.store_rows(space_.output.get(), divisor_, queries_, job_.plan.dims.value_dim, space_.rows.get());
  const RowBlock<T> block{.batch = batch_,
                          .head = head_,
                          .query = first_,
                          .queries = queries_,
                          .output = job_.needs.output ? space_.rows.get() : nullptr,
                          .log_sum_exp = job_.needs.log_sum_exp ? log_sum_exp_ : nullptr,
                          .is_empty = is_empty_};
  for (Observer<T>* observer : job_.observers) observer->rows(block);
}

template class TiledBlock<float>;
template class TiledBlock<double>;

}  // namespace attn::engine

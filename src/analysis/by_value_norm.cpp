// Weights by what they add to the output.
#include "analysis/by_value_norm.hpp"

#include "analysis/column_lanes.hpp"
#include "base/groups.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace attn::analysis {

using engine::KeyWeight;
using engine::Needs;
using engine::RowFacts;
using engine::Tile;

namespace {

using kernels::kLanes;

/// Keys of a piece: rows of a tile as kernels take them, with a lane for each of kLanes neighbouring keys, and few enough for
/// sums in float32.
constexpr std::size_t kPiece = 16 * kLanes;

/// The lowest key of the largest norm, where each lane has found its first row.
template <class T>
std::size_t lowest_key(const T (&best)[kLanes], const T (&row)[kLanes], T top) {
  std::size_t lowest = kPiece;
  for (std::size_t lane = 0; lane < kLanes; ++lane)
    if (best[lane] == top) lowest = std::min(lowest, static_cast<std::size_t>(row[lane]) * kLanes + lane);
  return lowest;
}

template <class T>
T norm_of(T weight, T value_norm) {
  // The product is made in any case, so that the compiler makes vector code of it.
  const T norm = std::abs(weight) * value_norm;
  return weight == 0 ? T(0) : norm;
}

bool is_stronger(const KeyWeight& a, const KeyWeight& b) { return a.weight != b.weight ? a.weight > b.weight : a.key < b.key; }

/// Facts of a row whose norms add up to `mass`.
RowFacts shares_of(double mass, double information, double distance) {
  RowFacts facts;
  facts.mass = mass;
  if (mass == 0) return facts;
  facts.entropy = std::log(mass) - information / mass;
  // Rounding must not make the entropy of one key less than none; NaN stays.
  if (facts.entropy < 0) facts.entropy = 0;
  facts.distance = distance / mass;
  if (!std::isfinite(mass)) facts.entropy = facts.distance = facts.mass = std::numeric_limits<double>::quiet_NaN();
  return facts;
}

}  // namespace

void KeyQueue::add(KeyWeight entry, std::size_t most) {
  entries_.push_back(entry);
  // Twice as many as are wanted, so that looking for the weakest pays.
  if (entries_.size() < 2 * most) return;
  const auto end = entries_.begin() + static_cast<std::ptrdiff_t>(most);
  std::nth_element(entries_.begin(), end - 1, entries_.end(), is_stronger);
  entries_.erase(end, entries_.end());
  threshold_ = entries_.back().weight;
}

std::vector<KeyWeight> KeyQueue::take(std::size_t most) {
  std::ranges::sort(entries_, is_stronger);
  if (entries_.size() > most) entries_.resize(most);
  return std::exchange(entries_, {});
}

template <class T>
ByValueNorm<T>::ByValueNorm(const engine::Plan& plan, std::shared_ptr<const ValueNorms<T>> norms,
                            std::vector<engine::Observer<T>*> inner)
    : plan_(plan), norms_(std::move(norms)), inner_(std::move(inner)), kernels_(*kernels::available<T>().front()) {
  for (const engine::Observer<T>* observer : inner_) inner_needs_ |= observer->needs();
  inner_needs_.top = std::min(inner_needs_.top, plan.dims.kv_len);
  if (inner_needs_.notes()) rows_.resize(plan.dims.batch * plan.dims.heads * plan.dims.q_len);
}

template <class T>
Needs ByValueNorm<T>::needs() const {
  return {.weights = inner_needs_.weights || inner_needs_.notes(), .columns = inner_needs_.columns};
}

template <class T>
void ByValueNorm<T>::weights(const Tile<T>& tile) {
  const T* value_norm = norms_->of(tile.batch, tile.head) + tile.key;
  for (std::size_t i = 0; i < tile.queries; ++i) {
    const std::int64_t position = plan_.position(tile.batch, tile.query + i);
    for (std::size_t first = 0; first < tile.keys; first += kPiece) {
      const std::size_t count = std::min(kPiece, tile.keys - first);
      const T* w = tile.data + i * tile.query_step + first * tile.key_step;
      alignas(64) T norms[kPiece];
      if (tile.key_step == 1)  // known to the compiler, which makes vector code of it
        for (std::size_t j = 0; j < count; ++j) norms[j] = norm_of(w[j], value_norm[first + j]);
      else
        for (std::size_t j = 0; j < count; ++j) norms[j] = norm_of(w[j * tile.key_step], value_norm[first + j]);
      std::fill(norms + count, norms + whole_groups(count, kLanes), T(0));
      const Tile<T> piece{.batch = tile.batch,
                          .head = tile.head,
                          .query = tile.query + i,
                          .queries = 1,
                          .key = tile.key + first,
                          .keys = count,
                          .data = norms,
                          .query_step = kPiece,
                          .key_step = 1};
      for (engine::Observer<T>* observer : inner_)
        if (observer->needs().weights) observer->weights(piece);
      if (inner_needs_.notes())
        take_piece(rows_[row_of(tile.batch, tile.head, tile.query + i)], norms, count, piece.key,
                   static_cast<T>(position - static_cast<std::int64_t>(piece.key)));
    }
  }
}

template <class T>
void ByValueNorm<T>::take_piece(RowNorms& row, const T* norms, std::size_t count, std::size_t first, T position) const {
  const std::size_t rows = groups_of(count, kLanes);
  alignas(64) T best[kLanes];
  alignas(64) T where[kLanes];
  std::fill_n(best, kLanes, -std::numeric_limits<T>::infinity());
  kernels_.largest(norms, rows, kLanes, best, where);
  const T top = column_maximum(best, kLanes);
  if (inner_needs_.facts) {
    alignas(64) T mass[kLanes];
    alignas(64) T information[kLanes];
    alignas(64) T distance[kLanes];
    alignas(64) T place[kLanes];
    // The kernel counts rows, which are kLanes keys: distances in these units, exactly.
    for (std::size_t lane = 0; lane < kLanes; ++lane) place[lane] = (position - static_cast<T>(lane)) / T(kLanes);
    kernels_.row_sums(norms, rows, kLanes, place, {.mass = mass, .information = information, .distance = distance});
    row.mass += column_sum(mass, kLanes);
    row.information += column_sum(information, kLanes);
    row.distance += column_sum(distance, kLanes) * kLanes;
    if (static_cast<double>(top) > row.maximum) {
      row.maximum = static_cast<double>(top);
      row.argmax = first + lowest_key(best, where, top);
    }
  }
  if (inner_needs_.top == 0 || !(static_cast<double>(top) > row.top.threshold())) return;
  for (std::size_t j = 0; j < count; ++j)
    if (const auto norm = static_cast<double>(norms[j]); norm > row.top.threshold())
      row.top.add({first + j, norm}, inner_needs_.top);
}

template <class T>
void ByValueNorm<T>::columns(const Tile<T>& tile) {
  const T* value_norm = norms_->of(tile.batch, tile.head) + tile.key;
  // Pieces lie along the longer side, in the order of queries for each key.
  const bool is_row = tile.queries == 1;
  const std::size_t length = is_row ? tile.keys : tile.queries;
  for (std::size_t line = 0; line < (is_row ? 1 : tile.keys); ++line) {
    for (std::size_t first = 0; first < length; first += kPiece) {
      const std::size_t count = std::min(kPiece, length - first);
      alignas(64) T norms[kPiece];
      Tile<T> piece{.batch = tile.batch,
                    .head = tile.head,
                    .query = tile.query,
                    .queries = 1,
                    .key = tile.key,
                    .keys = 1,
                    .data = norms,
                    .query_step = 1,
                    .key_step = 1};
      if (is_row) {
        const T* w = tile.data + first * tile.key_step;
        for (std::size_t j = 0; j < count; ++j) norms[j] = norm_of(w[j * tile.key_step], value_norm[first + j]);
        piece.key += first;
        piece.keys = piece.query_step = count;
      } else {
        const T* w = tile.data + line * tile.key_step + first * tile.query_step;
        for (std::size_t i = 0; i < count; ++i) norms[i] = norm_of(w[i * tile.query_step], value_norm[line]);
        piece.key += line;
        piece.query += first;
        piece.queries = piece.key_step = count;
      }
      for (engine::Observer<T>* observer : inner_)
        if (observer->needs().columns) observer->columns(piece);
    }
  }
}

template <class T>
void ByValueNorm<T>::rows(const engine::RowBlock<T>& block) {
  engine::RowBlock<T> own = block;
  std::vector<RowFacts> facts;
  std::vector<KeyWeight> top;
  std::vector<std::size_t> top_count;
  if (inner_needs_.notes()) {
    const std::size_t most = inner_needs_.top;
    top.resize(block.queries * most);
    for (std::size_t i = 0; i < block.queries; ++i) {
      RowNorms& row = rows_[row_of(block.batch, block.head, block.query + i)];
      facts.push_back(shares_of(row.mass, row.information, row.distance));
      facts.back().maximum = row.maximum;
      facts.back().argmax = row.argmax;
      const std::vector<KeyWeight> strongest = row.top.take(most);
      top_count.push_back(strongest.size());
      std::ranges::copy(strongest, top.begin() + static_cast<std::ptrdiff_t>(i * most));
    }
    own.facts = facts.data();
    own.top = top.data();
    own.top_count = top_count.data();
    own.top_step = most;
  }
  for (engine::Observer<T>* observer : inner_) observer->rows(own);
}

template class ByValueNorm<float>;
template class ByValueNorm<double>;

}  // namespace attn::analysis

// What heads look at.
#include "analysis/patterns.hpp"

#include <algorithm>
#include <cmath>

namespace attn::analysis {

namespace {

/// The mean of what rows say.
struct Mean {
  double sum = 0;
  std::size_t count = 0;
  void take(double x) {
    sum += x;
    ++count;
  }
  [[nodiscard]] double value() const { return count == 0 ? 0 : sum / static_cast<double>(count); }
};

}  // namespace

std::string_view HeadPattern::name() const noexcept {
  // First, for of few keys each evenly has much.
  if (uniform >= 0.95) return "uniform";
  constexpr double sharp = 0.5;
  const double top = std::max({previous, first, self});
  if (top >= sharp) return top == previous ? "previous" : top == first ? "first" : "self";
  return band >= 0.75 ? "band" : "mixed";
}

double HeadPattern::score() const noexcept {
  const std::string_view own = name();
  if (own == "band") return band;
  if (own == "uniform") return uniform;
  return std::max({previous, first, self});
}

template <class T>
void PatternWatch<T>::weights(const Tile<T>& tile) {
  for (std::size_t i = 0; i < tile.queries; ++i) {
    RowPattern& row = rows_[row_of(tile.batch, tile.head, tile.query + i)];
    const std::int64_t p = plan_.position(tile.batch, tile.query + i);
    for (std::size_t j = 0; j < tile.keys; ++j) row.keys += tile.at(i, j) != 0 ? std::size_t{1} : std::size_t{0};
    const auto at = [&](std::int64_t key) {
      const std::int64_t j = key - static_cast<std::int64_t>(tile.key);
      const bool is_here = j >= 0 && j < static_cast<std::int64_t>(tile.keys);
      return is_here ? static_cast<double>(tile.at(i, static_cast<std::size_t>(j))) : 0.0;
    };
    row.previous += at(p - 1);
    row.first += at(0);
    row.self += at(p);
    for (std::int64_t key = p - kBand; key <= p + kBand; ++key) row.band += at(key);
  }
}

template <class T>
void PatternWatch<T>::rows(const RowBlock<T>& block) {
  for (std::size_t i = 0; i < block.queries; ++i) {
    RowPattern& row = rows_[row_of(block.batch, block.head, block.query + i)];
    const RowFacts& facts = block.facts[i];
    row.is_negative = facts.has_negative();
    if (shares_) {
      row.entropy = facts.entropy;
      row.whole = facts.mass;
    } else if (!(facts.mass <= 0)) {
      // Weights need not add up to 1; how even they are is a matter of their shares.
      row.entropy = std::log(facts.mass) + facts.entropy / facts.mass;
    }
  }
}

template <class T>
std::optional<std::size_t> PatternWatch<T>::first_negative() const {
  const auto found = std::ranges::find_if(rows_, [](const RowPattern& row) { return row.is_negative; });
  if (found == rows_.end()) return std::nullopt;
  return static_cast<std::size_t>(found - rows_.begin());
}

template <class T>
std::vector<HeadPattern> PatternWatch<T>::heads() const {
  const engine::Dims& d = plan_.dims;
  std::vector<HeadPattern> heads(d.batch * d.heads);
  const auto has_key = [&](std::int64_t key) { return key >= 0 && key < static_cast<std::int64_t>(d.kv_len); };
  for (std::size_t h = 0; h < heads.size(); ++h) {
    Mean previous;
    Mean first;
    Mean self;
    Mean band;
    Mean uniform;
    for (std::size_t i = 0; i < d.q_len; ++i) {
      const RowPattern& row = rows_[h * d.q_len + i];
      // A row with a single key looks at everything and at that key alone: it tells nothing.
      if (row.keys < 2) continue;
      const std::int64_t p = plan_.position(h / d.heads, i);
      if (has_key(p - 1)) previous.take(row.previous / row.whole);
      first.take(row.first / row.whole);
      if (has_key(p)) self.take(row.self / row.whole);
      band.take(row.band / row.whole);
      uniform.take(std::min(row.entropy / std::log(static_cast<double>(row.keys)), 1.0));  // NaN stays
    }
    heads[h] = {previous.value(), first.value(), self.value(), band.value(), uniform.value()};
  }
  return heads;
}

template class PatternWatch<float>;
template class PatternWatch<double>;

}  // namespace attn::analysis

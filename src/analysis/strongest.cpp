// The strongest keys of each query, and the strongest queries of each key.
#include "analysis/strongest.hpp"

#include "analysis/column_lanes.hpp"

#include <attn/error.hpp>

#include <algorithm>

#include <fmt/format.h>

namespace attn::analysis {

using engine::KeyWeight;

void refuse_pairs(std::size_t most) {
  throw Error(Status::memory, fmt::format("the table would hold more than {} pairs of a query and a key", most),
              "list fewer, or allow more with --max-memory");
}

void Strongest::insert(std::size_t line, KeyWeight entry) {
  std::vector<KeyWeight>& entries = lines_[line];
  if (entries.size() == most_) {
    if (most_ == 0 || !(entry.weight > entries.back().weight)) return;
    entries.pop_back();
  } else {
    count_pair();
  }
  const auto weaker = [&](const KeyWeight& known) { return entry.weight > known.weight; };
  entries.insert(std::ranges::find_if(entries, weaker), entry);
}

template <class T>
StrongestKeys<T>::StrongestKeys(const engine::Plan& plan, const Selection& selection)
    : plan_(plan),
      selection_(selection),
      found_(plan.dims.batch * plan.dims.heads * plan.dims.q_len, std::min(selection.most, plan.dims.kv_len),
             selection.most_pairs),
      is_short_(plan.dims.batch * plan.dims.heads * plan.dims.q_len) {}

template <class T>
void StrongestKeys<T>::rows(const engine::RowBlock<T>& block) {
  for (std::size_t i = 0; i < block.queries; ++i) {
    const std::size_t row = (block.batch * plan_.dims.heads + block.head) * plan_.dims.q_len + block.query + i;
    const std::int64_t self = plan_.position(block.batch, block.query + i);
    const double wanted = selection_.mass ? *selection_.mass * block.facts[i].mass : 0;
    double held = 0;
    for (std::size_t n = 0; n < block.top_count[i] && !found_.is_full(row); ++n) {
      const KeyWeight& entry = block.top[i * block.top_step + n];
      if (selection_.no_self && static_cast<std::int64_t>(entry.key) == self) continue;
      if (entry.weight == 0 || entry.weight < selection_.minimum) continue;
      if (selection_.mass && held >= wanted) break;
      found_.append(row, entry);
      held += entry.weight;
    }
    is_short_[row] = selection_.mass && held < wanted ? 1 : 0;
  }
}

template <class T>
std::size_t StrongestKeys<T>::short_rows() const {
  return static_cast<std::size_t>(std::ranges::count(is_short_, 1));
}

template <class T>
StrongestQueries<T>::StrongestQueries(const engine::Plan& plan, const Selection& selection)
    : plan_(plan),
      selection_(selection),
      found_(plan.dims.batch * plan.dims.heads * plan.dims.kv_len, std::min(selection.most, plan.dims.q_len),
             selection.most_pairs),
      threshold_(plan.dims.batch * plan.dims.heads * plan.dims.kv_len, -std::numeric_limits<T>::infinity()) {}

template <class T>
void StrongestQueries<T>::columns(const engine::Tile<T>& tile) {
  for (std::size_t j = 0; j < tile.keys; ++j) {
    const std::size_t line = (tile.batch * plan_.dims.heads + tile.head) * plan_.dims.kv_len + tile.key + j;
    const T* w = tile.data + j * tile.key_step;
    // Most tiles hold nothing for a column that has its list.
    if (!any_above(w, tile.queries, threshold_[line])) continue;
    for (std::size_t i = 0; i < tile.queries; ++i) {
      const auto weight = static_cast<double>(w[i]);
      if (weight == 0 || !(weight >= selection_.minimum)) continue;
      const std::int64_t self = plan_.position(tile.batch, tile.query + i);
      if (selection_.no_self && static_cast<std::int64_t>(tile.key + j) == self) continue;
      found_.insert(line, {tile.query + i, weight});
    }
    if (found_.is_full(line)) threshold_[line] = static_cast<T>(found_.entries(line).back().weight);
  }
}

template class StrongestKeys<float>;
template class StrongestKeys<double>;
template class StrongestQueries<float>;
template class StrongestQueries<double>;

}  // namespace attn::analysis

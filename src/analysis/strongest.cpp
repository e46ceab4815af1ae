// The strongest keys of each query, and the strongest queries of each key.
#include "analysis/strongest.hpp"

#include <attn/error.hpp>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

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
      threshold_(plan.dims.batch * plan.dims.heads * plan.dims.kv_len, -std::numeric_limits<T>::infinity()),
      kernels_(*kernels::available<T>().front()) {}

template <class T>
void StrongestQueries<T>::columns(const engine::Tile<T>& tile) {
  const std::size_t line = (tile.batch * plan_.dims.heads + tile.head) * plan_.dims.kv_len + tile.key;
  // Most tiles hold nothing for a column that has its list, and the others little.
  const bool is_aligned = reinterpret_cast<std::uintptr_t>(tile.data) % 64 == 0;
  if (is_aligned && tile.query_step == 1 && tile.key_step == kernels::kLanes && tile.keys <= kernels::kKeys) {
    std::uint64_t bits[kernels::kKeys];
    if (!kernels_.rows_above(tile.data, tile.keys, tile.queries, threshold_.data() + line, bits)) return;
    for (std::size_t j = 0; j < tile.keys; ++j)
      for (std::uint64_t left = bits[j]; left != 0; left &= left - 1)
        take(tile, static_cast<std::size_t>(std::countr_zero(left)), j, line + j);
    return;
  }
  for (std::size_t j = 0; j < tile.keys; ++j)
    for (std::size_t i = 0; i < tile.queries; ++i) take(tile, i, j, line + j);
}

template <class T>
void StrongestQueries<T>::take(const engine::Tile<T>& tile, std::size_t i, std::size_t j, std::size_t line) {
  T& threshold = threshold_[line];
  if (!(tile.at(i, j) > threshold)) return;
  const auto weight = static_cast<double>(tile.at(i, j));
  if (weight == 0 || !(weight >= selection_.minimum)) return;
  const std::int64_t self = plan_.position(tile.batch, tile.query + i);
  if (selection_.no_self && static_cast<std::int64_t>(tile.key + j) == self) return;
  found_.insert(line, {tile.query + i, weight});
  if (found_.is_full(line)) threshold = static_cast<T>(found_.entries(line).back().weight);
}

template <class T>
std::string StrongestQueries<T>::told(const Lines& lines) const {
  std::string bytes;
  const auto put = [&bytes](const void* from, std::size_t size) { bytes.append(static_cast<const char*>(from), size); };
  for (std::size_t head = lines.head; head < lines.head + lines.heads; ++head) {
    for (std::size_t key = lines.begin; key < lines.end; ++key) {
      const auto& entries = found_.entries((lines.batch * plan_.dims.heads + head) * plan_.dims.kv_len + key);
      const std::size_t count = entries.size();
      put(&count, sizeof(count));
      put(entries.data(), count * sizeof(KeyWeight));
    }
  }
  return bytes;
}

template <class T>
void StrongestQueries<T>::learn(const Lines& lines, std::string_view bytes) {
  const auto take = [&bytes](void* to, std::size_t size) {
    if (bytes.size() < size) throw Error(Status::defect, "a rank has sent strongest queries that are cut off");
    std::memcpy(to, bytes.data(), size);
    bytes.remove_prefix(size);
  };
  for (std::size_t head = lines.head; head < lines.head + lines.heads; ++head) {
    for (std::size_t key = lines.begin; key < lines.end; ++key) {
      std::size_t count = 0;
      take(&count, sizeof(count));
      for (KeyWeight entry; count > 0; --count) {
        take(&entry, sizeof(entry));
        found_.append((lines.batch * plan_.dims.heads + head) * plan_.dims.kv_len + key, entry);
      }
    }
  }
}

template class StrongestKeys<float>;
template class StrongestKeys<double>;
template class StrongestQueries<float>;
template class StrongestQueries<double>;

}  // namespace attn::analysis

// What one row of weights says, read as it is.
#include "analysis/weight_row.hpp"

#include <algorithm>
#include <cmath>

namespace attn::analysis {

template <class T>
WeightRow read_weight_row(const engine::Plan& plan, std::size_t b, std::size_t i, std::span<const T> weights, std::size_t top) {
  WeightRow row;
  const auto position = static_cast<double>(plan.position(b, i));
  for (std::size_t j = 0; j < weights.size(); ++j) {
    const auto w = static_cast<double>(weights[j]);
    if (w == 0) continue;
    row.is_negative = row.is_negative || w < 0;
    if (row.is_empty || w > row.facts.maximum) {
      row.facts.maximum = w;
      row.facts.argmax = j;
    }
    row.is_empty = false;
    row.facts.mass += w;
    row.facts.entropy -= w * std::log(w);
    row.facts.distance += w * std::abs(position - static_cast<double>(j));
    if (top > 0 && !std::isnan(w)) row.top.push_back({j, w});
  }
  const auto most = static_cast<std::ptrdiff_t>(std::min(top, row.top.size()));
  std::ranges::partial_sort(row.top, row.top.begin() + most, [](const engine::KeyWeight& a, const engine::KeyWeight& c) {
    return a.weight > c.weight || (a.weight == c.weight && a.key < c.key);
  });
  row.top.resize(static_cast<std::size_t>(most));
  return row;
}

template WeightRow read_weight_row(const engine::Plan&, std::size_t, std::size_t, std::span<const float>, std::size_t);
template WeightRow read_weight_row(const engine::Plan&, std::size_t, std::size_t, std::span<const double>, std::size_t);

}  // namespace attn::analysis

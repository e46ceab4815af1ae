// Which of these goes with which of those, so that the sum of what the pairs cost is smallest.
#pragma once

#include <cstddef>
#include <vector>

namespace attn::analysis {

/// For each of `rows` the column that it gets, each column at most once; rows <= columns. `cost` is [rows, columns], finite
/// numbers. The Hungarian algorithm (Kuhn 1955) by shortest augmenting paths, O(rows^2 * columns). Throws Error(defect) when
/// there are more rows than columns.
[[nodiscard]] std::vector<std::size_t> best_assignment(std::size_t rows, std::size_t columns, const std::vector<double>& cost);

}  // namespace attn::analysis

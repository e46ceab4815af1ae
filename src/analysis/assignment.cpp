// Which of these goes with which of those, so that the sum of what the pairs cost is smallest.
#include "analysis/assignment.hpp"

#include "analysis/reals.hpp"

#include <attn/error.hpp>

#include <limits>

namespace attn::analysis {

namespace {

constexpr std::size_t kUnmatched = std::numeric_limits<std::size_t>::max();

/// The state of the algorithm: who has which column, and prices, for which cost - row price - column price is never negative and
/// 0 for all pairs.
class Assignment {
 public:
  Assignment(std::size_t rows, std::size_t columns, const std::vector<double>& cost)
      : columns_(columns), cost_(cost), row_price_(rows), column_price_(columns), owner_(columns, kUnmatched) {}

  /// Gives one more row a column. Others may have to move along the cheapest path to a free column.
  void add(std::size_t row) {
    std::vector<double> distance(columns_, kInfinity);
    std::vector<std::size_t> before(columns_, kUnmatched);  ///< the column on the path before this one
    std::vector<bool> reached(columns_, false);
    std::size_t from = kUnmatched;  // the path so far ends here; its owner looks for another column
    std::size_t seeker = row;
    double so_far = 0;
    while (true) {
      std::size_t nearest = kUnmatched;
      for (std::size_t j = 0; j < columns_; ++j) {
        if (reached[j]) continue;
        const double step = so_far + cost_[seeker * columns_ + j] - row_price_[seeker] - column_price_[j];
        if (step < distance[j]) {
          distance[j] = step;
          before[j] = from;
        }
        if (nearest == kUnmatched || distance[j] < distance[nearest]) nearest = j;
      }
      so_far = distance[nearest];
      reached[nearest] = true;
      from = nearest;
      if (owner_[nearest] == kUnmatched) break;
      seeker = owner_[nearest];
    }
    adjust_prices(row, distance, reached, so_far);
    for (std::size_t j = from; j != kUnmatched; j = before[j]) owner_[j] = before[j] == kUnmatched ? row : owner_[before[j]];
  }

  [[nodiscard]] std::vector<std::size_t> columns_of_rows() const {
    std::vector<std::size_t> columns(row_price_.size(), kUnmatched);
    for (std::size_t j = 0; j < columns_; ++j)
      if (owner_[j] != kUnmatched) columns[owner_[j]] = j;
    return columns;
  }

 private:
  void adjust_prices(std::size_t row, const std::vector<double>& distance, const std::vector<bool>& reached, double end) {
    row_price_[row] += end;
    for (std::size_t j = 0; j < columns_; ++j) {
      if (!reached[j]) continue;
      const double shift = end - distance[j];
      column_price_[j] -= shift;
      if (owner_[j] != kUnmatched) row_price_[owner_[j]] += shift;
    }
  }

  std::size_t columns_;
  const std::vector<double>& cost_;
  std::vector<double> row_price_;
  std::vector<double> column_price_;
  std::vector<std::size_t> owner_;  ///< the row that has a column
};

}  // namespace

std::vector<std::size_t> best_assignment(std::size_t rows, std::size_t columns, const std::vector<double>& cost) {
  if (rows > columns || cost.size() != rows * columns)
    throw Error(Status::defect, "best_assignment: a column for each row is needed");
  Assignment assignment(rows, columns, cost);
  for (std::size_t row = 0; row < rows; ++row) assignment.add(row);
  return assignment.columns_of_rows();
}

}  // namespace attn::analysis

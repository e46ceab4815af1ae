// A CSV table of numbers with a header, as tests look at it.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace attn::testing {

/// Cells that are no numbers read as 0.
class NumberTable {
 public:
  explicit NumberTable(const std::string& file) {
    std::ifstream text(file);
    std::string line;
    std::getline(text, line);
    while (std::getline(text, line)) {
      cells_.emplace_back();
      std::stringstream row(line);
      for (std::string cell; std::getline(row, cell, ',');) cells_.back().push_back(std::strtod(cell.c_str(), nullptr));
    }
  }
  [[nodiscard]] std::size_t rows() const { return cells_.size(); }
  /// Throws std::out_of_range where there is none.
  [[nodiscard]] double at(std::size_t row, std::size_t column) const { return cells_.at(row).at(column); }
  [[nodiscard]] std::size_t index(std::size_t row, std::size_t column) const { return static_cast<std::size_t>(at(row, column)); }

 private:
  std::vector<std::vector<double>> cells_;
};

}  // namespace attn::testing

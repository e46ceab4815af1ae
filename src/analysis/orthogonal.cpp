// Orthogonal rows or columns from any matrix, in a fixed order of operations.
#include "analysis/orthogonal.hpp"

#include "analysis/reals.hpp"

#include <array>
#include <cmath>
#include <vector>

namespace attn::analysis {

namespace {

void normalize(double* x, std::size_t n) {
  const double length = std::sqrt(dot(x, x, n));
  for (std::size_t j = 0; j < n; ++j) x[j] /= length;
}

/// rows <= columns
void orthogonalize_rows(double* matrix, std::size_t rows, std::size_t columns) {
  for (std::size_t i = 0; i < rows; ++i) {
    double* row = matrix + i * columns;
    normalize(row, columns);
    for (int pass = 0; pass < 2; ++pass) {
      for (std::size_t k = 0; k < i; ++k) {
        const double* earlier = matrix + k * columns;
        const double share = dot(row, earlier, columns);
        for (std::size_t j = 0; j < columns; ++j) row[j] -= share * earlier[j];
      }
      normalize(row, columns);
    }
  }
}

}  // namespace

void orthogonalize(std::span<double> matrix, std::size_t rows, std::size_t columns) {
  if (rows <= columns) {
    orthogonalize_rows(matrix.data(), rows, columns);
    return;
  }
  std::vector<double> transposed(matrix.size());
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t j = 0; j < columns; ++j) transposed[j * rows + i] = matrix[i * columns + j];
  }
  orthogonalize_rows(transposed.data(), columns, rows);
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t j = 0; j < columns; ++j) matrix[i * columns + j] = transposed[j * rows + i];
  }
}

}  // namespace attn::analysis

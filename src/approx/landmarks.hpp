// A few rows that stand for many, and matrices of them in float64.
#pragma once

#include "engine/operands.hpp"
#include "engine/plan.hpp"

#include <attn/array.hpp>

#include <cstddef>
#include <vector>

namespace attn::approx {

/// A row-major matrix.
struct Square {
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::vector<double> values;
};

/// The Moore-Penrose inverse, by the iteration of Razavi et al. (2014), as Nystroem attention takes it (Xiong et al. 2021,
/// section 3.2), until A X A is A within 1e-9 of its largest number or does not come nearer, in `most_steps` steps at most.
[[nodiscard]] Square pseudo_inverse(const Square& a, int most_steps);

/// A B.
[[nodiscard]] Square product(const Square& a, const Square& b);

/// Rows [0, length[b]) of each head cut into `count` pieces (fewer where there are fewer rows), as equal as whole numbers allow,
/// and the mean of each: [batch, heads, count, dim] of T, the rest zeros. `repeat`: each head stands so many times in a row.
template <class T>
[[nodiscard]] Array means_of_pieces(const engine::RowSource<T>& rows, std::size_t heads, const std::vector<std::size_t>& length,
                                    std::size_t count, std::size_t repeat);

/// Rows of an array [batch, heads, length, dim], which must live as long.
template <class T>
[[nodiscard]] engine::RowSource<T> rows_of(const Array& array);

}  // namespace attn::approx

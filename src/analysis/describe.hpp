// What an array holds: range, NaN, row norms, constant columns, and what of it will hurt in attention.
#pragma once

#include <attn/array.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace attn::analysis {

/// Smallest, middle and largest of some numbers; NaN when there are none.
struct Spread {
  double min = 0;
  double median = 0;
  double max = 0;
};

/// How many there are, and which is the first.
struct Occurrence {
  std::size_t count = 0;
  std::size_t first = 0;
  void add(std::size_t where) noexcept {
    if (count++ == 0) first = where;
  }
};

/// Rows are the last axis, counted over all other axes together; columns are the entries of the last axis.
struct Description {
  Shape shape;
  DType dtype = DType::f32;
  std::size_t elements = 0;
  std::size_t positive_infinite = 0;
  std::size_t negative_infinite = 0;
  Occurrence nan;   ///< elements
  Spread finite;    ///< of the finite numbers
  double mean = 0;  ///< of the finite numbers; NaN when there are none
  std::size_t rows = 0;
  std::size_t width = 0;
  Spread norms;  ///< Euclidean lengths of the rows without NaN and infinity
  Occurrence nan_rows;
  Occurrence zero_rows;
  Occurrence constant_columns;  ///< only where there are several rows
  std::size_t inexact = 0;      ///< integers beyond 2^53
  /// Integer and bool arrays with at most 16 different values: each with its count, in ascending order.
  std::vector<std::pair<std::int64_t, std::size_t>> counts;
};

/// One pass over the array, in pieces.
[[nodiscard]] Description describe(const Array& array);

/// What will hurt when the array takes part in attention, one sentence each; empty when nothing will.
[[nodiscard]] std::vector<std::string> warnings(const Description& description);

}  // namespace attn::analysis

// Changing the numbers of arrays: element types, one-hot rows, rows of unit length.
#pragma once

#include <attn/array.hpp>

#include <cstddef>
#include <optional>
#include <string>

namespace attn::analysis {

/// What is lost when an array changes its type.
struct Retyped {
  Array array;
  std::size_t overflowed = 0;  ///< finite numbers that became infinite in a narrower floating-point type
};

/// The array as `type`. Floating-point types round to nearest even. Everything else is exact: a fraction on its way to an integer
/// type, an integer that a floating-point type cannot hold and a number besides 0 and 1 on its way to bool throw Error(data) with
/// the element's index, unless `lossy` lets them be cut, rounded or taken as true. Integers out of range and NaN always throw.
[[nodiscard]] Retyped retyped(const Array& array, DType type, bool lossy);

/// "[3, 4]": where element `flat` of the flattened array stands.
[[nodiscard]] std::string index_text(std::size_t flat, const Shape& shape);

/// One row for each class id, 1 at the class and 0 elsewhere: [.., n] or [.., n, 1] -> [.., n, classes], of type `type`. Without
/// `classes` there are as many as the largest id says. Throws Error(data) for ids that are no whole numbers from 0 to classes
/// - 1.
[[nodiscard]] Array one_hot(const Array& ids, std::optional<std::size_t> classes, DType type);

enum class RowNorm {
  l1,   ///< sum of magnitudes
  l2,   ///< Euclidean length
  max,  ///< largest magnitude
};

struct NormalizedRows {
  Array array;
  std::size_t zero_rows = 0;   ///< rows of zeros, which stay as they are
  std::size_t first_zero = 0;  ///< the first of them among all rows
};

/// Divides each row (the last axis) by its norm, computed in double without overflow or underflow. Floating-point arrays keep
/// their type, all others become float32.
[[nodiscard]] NormalizedRows normalized_rows(const Array& array, RowNorm norm);

}  // namespace attn::analysis

// How far an array is from what was expected; written so that a NaN never passes for a number.
#pragma once

#include <attn/array.hpp>

#include <cstddef>
#include <string>
#include <vector>

namespace attn::testing {

/// The judgement over one array.
struct Judgement {
  double error = 0;    ///< the largest difference, in the unit that the tolerance has; infinity when anything is out of place
  std::string defect;  ///< empty when every element is within the tolerance
};

/// Compares got[index[i]] (index empty: got[i]) with expected[i]: the difference over `largest` must be at most `tolerance`;
/// an expected infinity or NaN must be exactly that.
[[nodiscard]] Judgement judge_by_largest(const Array& got, const std::vector<double>& expected,
                                         const std::vector<std::size_t>& index, double largest, double tolerance);

/// Compares element by element: |got - expected| <= atol + rtol * |expected|.
[[nodiscard]] Judgement judge_each(const Array& got, const Array& expected, double rtol, double atol);

/// The largest finite absolute value.
[[nodiscard]] double largest_of(const Array& array);

}  // namespace attn::testing

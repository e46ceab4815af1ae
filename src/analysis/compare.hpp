// Comparing two arrays element by element: how far apart they are, and whether that is too far.
#pragma once

#include <attn/array.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace attn::analysis {

/// Two elements agree when they are equal, when |a - b| <= atol + rtol * |b|, or when they are at most `ulp` units in the last
/// place apart, whichever is asked for. NaN agrees with NaN only with equal_nan, and infinity only with itself.
struct Tolerance {
  double rtol = 1e-5;
  double atol = 1e-8;
  std::optional<double> ulp = {};
  bool equal_nan = false;
};

struct Comparison {
  Shape a_shape;
  Shape b_shape;
  DType a_dtype = DType::f32;
  DType b_dtype = DType::f32;
  bool same_shape = false;  ///< else nothing below is filled
  std::size_t elements = 0;
  std::size_t differing = 0;   ///< elements that do not agree
  std::size_t not_finite = 0;  ///< of these, pairs with a NaN or an infinity
  double max_abs = 0;          ///< largest |a - b|; infinite when an element is counted in not_finite
  double max_rel = 0;          ///< largest |a - b| / |b| where b is not 0; infinite likewise
  double rms = 0;              ///< root mean square of a - b over pairs of finite numbers
  double max_ulp = 0;          ///< in units of the coarser type of the two; of integers the difference
  double cosine = 1;           ///< of the arrays as vectors, over pairs of finite numbers; NaN when one of them is zero
  std::size_t worst = 0;       ///< flat index of the element farthest beyond the tolerance, or of the largest difference
  double worst_a = 0;
  double worst_b = 0;
  std::string worst_a_text = {};  ///< as CSV would have them, so that integers keep all digits
  std::string worst_b_text = {};

  [[nodiscard]] bool agree() const noexcept { return same_shape && differing == 0; }
};

/// `b` is what is right, `a` what is judged. Computed in double, pairs of 64-bit integers exactly. One pass, in pieces.
[[nodiscard]] Comparison compare(const Array& a, const Array& b, const Tolerance& tolerance);

/// Distance of two finite numbers in units of the last place of `type` (f16, bf16, f32 or f64) at the larger of them.
[[nodiscard]] double ulp_distance(double a, double b, DType type) noexcept;

[[nodiscard]] std::string comparison_text(const std::string& a, const std::string& b, const Comparison& comparison);
[[nodiscard]] std::string comparison_json(const std::string& a, const std::string& b, const Comparison& comparison);

}  // namespace attn::analysis

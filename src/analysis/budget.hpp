// The precisions a claim may have been computed in: how large one rounding of each is.
#pragma once

#include <attn/array.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace attn::analysis {

/// What a computation in some precision may round, as unit roundoffs (half the distance of 1 to the next number). A bound
/// computed from it is a bound for any order of summation and for values that are stored at every stage.
struct Budget {
  std::string name;
  double operand = 0;                   ///< of the factors of a product as the multiplier takes them
  double stored = 0;                    ///< of scores, weights and outputs as they are kept between stages
  double sum = 0;                       ///< of sums, exponentials and quotients
  double tiny = 0;                      ///< half the smallest subnormal number: what is lost without regard to size
  bool cuts = false;                    ///< factors are cut, not rounded, so that their errors agree in sign
  std::optional<double> absolute = {};  ///< not derived at all: |claimed - exact| <= absolute
};

/// f32, f64, f16 and bf16 keep everything in that type; half types sum in f32, as matrix units and libraries do. tf32 cuts
/// factors to 10 bits and keeps f32. Anything else must be a number from 0, an absolute error. Throws Error(usage).
[[nodiscard]] Budget read_budget(const std::string& option, const std::string& text);

/// The budget of what a file of this type can hold: f16, bf16, f32 or f64; f32 for all else.
[[nodiscard]] std::string_view natural_budget(DType type) noexcept;

/// The names of the derived budgets.
[[nodiscard]] std::vector<std::string> budget_names();

/// True when all numbers of the array are factors of the budget's precision as they are.
[[nodiscard]] bool is_representable(const Array& array, const Budget& budget);

/// "bf16" or "f16" where an array of a wider type holds numbers of that type only, as an output has that was computed in it and
/// widened to be saved; else nothing. Fewer than 64 numbers, and whole numbers, say nothing.
[[nodiscard]] std::optional<std::string_view> narrower_budget(const Array& array);

}  // namespace attn::analysis

// The precisions a claim may have been computed in.
#include "analysis/budget.hpp"

#include "analysis/chunks.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace attn::analysis {

namespace {

struct Known {
  std::string_view name;
  double operand, stored, sum, tiny;
  bool cuts;
};

// Significands of 24, 11, 11, 8 and 53 bits. tf32's factors lose up to a whole unit of 2^-10, because they are cut.
constexpr std::array<Known, 5> kKnown{{{"f32", 0x1p-24, 0x1p-24, 0x1p-24, 0x1p-150, false},
                                       {"tf32", 0x1p-10, 0x1p-24, 0x1p-24, 0x1p-150, true},
                                       {"f16", 0x1p-11, 0x1p-11, 0x1p-24, 0x1p-25, false},
                                       {"bf16", 0x1p-8, 0x1p-8, 0x1p-24, 0x1p-134, false},
                                       {"f64", 0x1p-53, 0x1p-53, 0x1p-53, 0x1p-1074, false}}};

/// What attn's own float64 may be off; added to every budget.
constexpr double kOwn = 0x1p-53;

/// A double whose float has no bit beyond `dropped` low ones, or no float at all.
bool fits_float(double x, std::uint32_t dropped) {
  const auto narrow = static_cast<float>(x);
  if (static_cast<double>(narrow) != x) return false;
  return (std::bit_cast<std::uint32_t>(narrow) & ((1U << dropped) - 1U)) == 0;
}

bool fits(double x, std::string_view name) {
  if (!std::isfinite(x) || name == "f64") return true;
  if (name == "f32") return fits_float(x, 0);
  if (name == "tf32") return fits_float(x, 13);
  if (name == "bf16") return fits_float(x, 16);
  return static_cast<double>(half_to_float(float_to_half(static_cast<float>(x)))) == x;
}

}  // namespace

std::vector<std::string> budget_names() {
  std::vector<std::string> names;
  for (const Known& known : kKnown) names.emplace_back(known.name);
  return names;
}

Budget read_budget(const std::string& option, const std::string& text) {
  for (const Known& k : kKnown) {
    if (k.name == text) return {text, k.operand + kOwn, k.stored + kOwn, k.sum + kOwn, k.tiny, k.cuts, std::nullopt};
  }
  double value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_number = error == std::errc{} && stop == text.data() + text.size();
  if (!is_number || !(value >= 0) || !std::isfinite(value))
    throw Error(Status::usage, fmt::format("{}: '{}' is neither one of {} nor an absolute error from 0 (1e-5)", option, text,
                                           fmt::join(budget_names(), ", ")));
  Budget budget;
  budget.name = text;
  budget.absolute = value;
  return budget;
}

std::string_view natural_budget(DType type) noexcept {
  switch (type) {
    case DType::f16:
      return "f16";
    case DType::bf16:
      return "bf16";
    case DType::f64:
      return "f64";
    default:
      return "f32";
  }
}

std::optional<std::string_view> narrower_budget(const Array& array) {
  constexpr std::size_t fewest = 64;
  if (array.size() < fewest) return std::nullopt;
  bool bf16 = true;
  bool f16 = true;
  std::size_t fractions = 0;
  for_each_chunk(array, [&](std::size_t, std::span<const double> piece) {
    for (const double x : piece) {
      if (!bf16 && !f16) return;
      bf16 = bf16 && fits(x, "bf16");
      f16 = f16 && fits(x, "f16");
      if (std::isfinite(x) && x != std::floor(x)) ++fractions;
    }
  });
  if (fractions < fewest || (!bf16 && !f16)) return std::nullopt;
  return bf16 ? "bf16" : "f16";
}

bool is_representable(const Array& array, const Budget& budget) {
  bool all = true;
  for_each_chunk(array, [&](std::size_t, std::span<const double> piece) {
    all = all && std::ranges::all_of(piece, [&](double x) { return fits(x, budget.name); });
  });
  return all;
}

}  // namespace attn::analysis

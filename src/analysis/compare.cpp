// Comparing two arrays element by element.
#include "analysis/compare.hpp"

#include "analysis/chunks.hpp"
#include "analysis/numbers.hpp"
#include "analysis/reals.hpp"
#include "base/counted.hpp"
#include "base/json_number.hpp"

#include <attn/io.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

namespace attn::analysis {

namespace {

/// Bits of the significand and the exponent of the smallest normal number.
struct Precision {
  int bits = 53;
  int smallest = -1022;
};

Precision precision_of(DType type) noexcept {
  switch (type) {
    case DType::f16:
      return {11, -14};
    case DType::bf16:
      return {8, -126};
    case DType::f32:
      return {24, -126};
    default:
      return {53, -1022};
  }
}

/// The type with fewer bits: an answer cannot be better than that. Integers count as exact.
DType coarser(DType a, DType b) noexcept { return precision_of(a).bits <= precision_of(b).bits ? a : b; }

/// a - b where both are 64-bit integers, without the rounding of either.
template <class Integer>
double exact_difference(Integer a, Integer b) noexcept {
  const bool larger = a > b;
  const auto x = static_cast<std::uint64_t>(larger ? a : b);
  const auto y = static_cast<std::uint64_t>(larger ? b : a);
  const auto distance = static_cast<double>(x - y);
  return larger ? distance : -distance;
}

/// An element as CSV has it.
std::string element_text(const Array& array, std::size_t i) {
  if (array.dtype() == DType::i64) return std::to_string(array.values<std::int64_t>()[i]);
  if (array.dtype() == DType::u64) return std::to_string(array.values<std::uint64_t>()[i]);
  const double value = array.at_flat(i);
  return is_floating(array.dtype()) && array.dtype() != DType::f64 ? shortest(static_cast<float>(value)) : shortest(value);
}

class Comparer {
 public:
  Comparer(const Array& a, const Array& b, const Tolerance& tolerance) : a_(a), b_(b), tolerance_(tolerance) {
    result_.a_shape = a.shape();
    result_.b_shape = b.shape();
    result_.a_dtype = a.dtype();
    result_.b_dtype = b.dtype();
    result_.same_shape = a.shape() == b.shape();
    unit_ = coarser(a.dtype(), b.dtype());
    whole_ = !is_floating(a.dtype()) && !is_floating(b.dtype());
  }

  Comparison run() {
    if (!result_.same_shape) return std::move(result_);
    result_.elements = a_.size();
    DoubleReader reader(b_);
    for_each_chunk(a_, [&](std::size_t first, std::span<const double> a) {
      const std::span<const double> b = reader.read(first, a.size());
      for (std::size_t i = 0; i < a.size(); ++i) take(first + i, a[i], b[i]);
    });
    if (!a_.empty()) {
      result_.worst_a_text = element_text(a_, result_.worst);
      result_.worst_b_text = element_text(b_, result_.worst);
    }
    if (finite_ > 0) result_.rms = std::sqrt(squares_ / static_cast<double>(finite_));
    result_.cosine = std::clamp(dot_ / (std::sqrt(a_squares_) * std::sqrt(b_squares_)), -1.0, 1.0);
    return std::move(result_);
  }

 private:
  double difference(std::size_t i, double a, double b) const {
    if (a_.dtype() == DType::i64 && b_.dtype() == DType::i64)
      return exact_difference(a_.values<std::int64_t>()[i], b_.values<std::int64_t>()[i]);
    if (a_.dtype() == DType::u64 && b_.dtype() == DType::u64)
      return exact_difference(a_.values<std::uint64_t>()[i], b_.values<std::uint64_t>()[i]);
    return a - b;
  }

  void take(std::size_t i, double a, double b) {
    if (!std::isfinite(a) || !std::isfinite(b)) {
      const bool same = a == b || (tolerance_.equal_nan && std::isnan(a) && std::isnan(b));
      if (!same) mismatch(i, a, b);
      return;
    }
    const double apart = std::abs(difference(i, a, b));
    const double units = whole_ ? apart : ulp_distance(a, b, unit_);
    ++finite_;
    squares_ += apart * apart;
    dot_ += a * b;
    a_squares_ += a * a;
    b_squares_ += b * b;
    const double allowed = tolerance_.atol + tolerance_.rtol * std::abs(b);
    // Written so that a NaN that got here would fail.
    const bool agrees = apart == 0 || apart <= allowed || (tolerance_.ulp && units <= *tolerance_.ulp);
    if (!agrees) ++result_.differing;
    result_.max_abs = std::max(result_.max_abs, apart);
    if (b != 0) result_.max_rel = std::max(result_.max_rel, apart / std::abs(b));
    result_.max_ulp = std::max(result_.max_ulp, units);
    const double badness = badness_of(apart, allowed, units);
    if (i == 0 || !(badness <= worst_)) remember(i, a, b, badness);
  }

  /// In multiples of what is allowed, by the kindest criterion; where nothing is allowed the difference itself.
  [[nodiscard]] double badness_of(double apart, double allowed, double units) const {
    if (apart == 0 || (tolerance_.rtol == 0 && tolerance_.atol == 0 && !tolerance_.ulp)) return apart;
    const double by_size = allowed > 0 ? apart / allowed : kInfinity;
    const double by_units = tolerance_.ulp && *tolerance_.ulp > 0 ? units / *tolerance_.ulp : kInfinity;
    return std::min(by_size, by_units);
  }

  void mismatch(std::size_t i, double a, double b) {
    ++result_.differing;
    if (result_.not_finite++ == 0) remember(i, a, b, kInfinity);
    result_.max_abs = result_.max_rel = result_.max_ulp = kInfinity;
  }

  void remember(std::size_t i, double a, double b, double badness) {
    worst_ = badness;
    result_.worst = i;
    result_.worst_a = a;
    result_.worst_b = b;
  }

  const Array& a_;
  const Array& b_;
  const Tolerance& tolerance_;
  Comparison result_;
  DType unit_ = DType::f32;
  bool whole_ = false;
  double worst_ = -1;
  std::size_t finite_ = 0;
  double squares_ = 0;
  double dot_ = 0;
  double a_squares_ = 0;
  double b_squares_ = 0;
};

}  // namespace

double ulp_distance(double a, double b, DType type) noexcept {
  if (a == b) return 0;
  const Precision precision = precision_of(type);
  const double larger = std::max(std::abs(a), std::abs(b));
  const int exponent = std::max(std::ilogb(larger), precision.smallest);
  // Halves before the subtraction, so that it cannot overflow; the distance itself may.
  return std::ldexp(std::abs(a / 2 - b / 2), 1 - (exponent - precision.bits + 1));
}

Comparison compare(const Array& a, const Array& b, const Tolerance& tolerance) { return Comparer(a, b, tolerance).run(); }

std::string comparison_text(const std::string& a, const std::string& b, const Comparison& c) {
  if (!c.same_shape)
    return fmt::format("different shapes\n  {}  {} {}\n  {}  {} {}\n", a, dtype_name(c.a_dtype), to_string(c.a_shape), b,
                       dtype_name(c.b_dtype), to_string(c.b_shape));
  std::string text = c.agree() ? fmt::format("equal within the tolerance: {}\n", counted(c.elements, "element", "elements"))
                               : fmt::format("different: {} of {} beyond the tolerance\n", c.differing,
                                             counted(c.elements, "element", "elements"));
  if (c.elements == 0) return text;
  if (c.not_finite > 0) text += fmt::format("  NaN or infinite               {}\n", c.not_finite);
  text += fmt::format("  largest absolute difference   {}\n", number(c.max_abs));
  text += fmt::format("  largest relative difference   {}\n", number(c.max_rel));
  text += fmt::format("  root mean square              {}\n", number(c.rms));
  text += fmt::format("  units in the last place       {}\n", number(c.max_ulp));
  text += fmt::format("  cosine                        {:.12g}\n", c.cosine);
  text += fmt::format("  worst at {}: {} against {}\n", index_text(c.worst, c.a_shape), c.worst_a_text, c.worst_b_text);
  return text;
}

std::string comparison_json(const std::string& a, const std::string& b, const Comparison& c) {
  Json all{{"equal", c.agree()},
           {"a", {{"file", a}, {"shape", c.a_shape}, {"dtype", dtype_name(c.a_dtype)}}},
           {"b", {{"file", b}, {"shape", c.b_shape}, {"dtype", dtype_name(c.b_dtype)}}},
           {"same_shape", c.same_shape}};
  if (c.same_shape) {
    all["elements"] = c.elements;
    all["differing"] = c.differing;
    all["not_finite"] = c.not_finite;
    all["max_abs"] = json_number(c.max_abs);
    all["max_rel"] = json_number(c.max_rel);
    all["rms"] = json_number(c.rms);
    all["max_ulp"] = json_number(c.max_ulp);
    all["cosine"] = json_number(c.cosine);
    const bool any = c.elements > 0;
    all["worst"] =
        any ? Json{{"index", unravel(c.worst, c.a_shape)}, {"a", json_number(c.worst_a)}, {"b", json_number(c.worst_b)}}
            : Json(nullptr);
  }
  return all.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace attn::analysis

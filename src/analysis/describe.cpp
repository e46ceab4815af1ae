// What an array holds: range, NaN, row norms, constant columns, and what of it will hurt in attention.
#include "analysis/describe.hpp"

#include "analysis/chunks.hpp"
#include "analysis/numbers.hpp"
#include "analysis/reals.hpp"
#include "base/counted.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include <fmt/format.h>

namespace attn::analysis {

namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr double kLargestHalf = 65504;

/// The sum of squares of a row that may be tiny or huge, kept as a product.
double length(std::span<const double> row) {
  double largest = 0;
  for (const double x : row) largest = std::max(largest, std::abs(x));
  if (largest == 0) return 0;
  const double scale = largest > 0x1p-480 && largest < 0x1p480 ? 1.0 : largest;
  double sum = 0;
  for (const double x : row) sum += x / scale * (x / scale);
  return scale * std::sqrt(sum);
}

class Describer {
 public:
  explicit Describer(const Array& array) : array_(array) {
    result_.shape = array.shape();
    result_.dtype = array.dtype();
    result_.elements = array.size();
    result_.width = array.rank() == 0 ? 1 : array.shape().back();
    result_.rows = result_.width == 0 ? 0 : array.size() / result_.width;
    result_.finite = {kInfinity, kNone, -kInfinity};
    low_.assign(result_.rows > 1 ? result_.width : 0, kInfinity);
    high_.assign(low_.size(), -kInfinity);
    counting_ = !is_floating(array.dtype());
  }

  Description run() {
    const std::size_t width = result_.width;
    if (result_.rows > 0) {
      DoubleReader reader(array_);
      const std::size_t block = std::max<std::size_t>(1, chunk_size / width);
      for (std::size_t row = 0; row < result_.rows; row += block) {
        const std::size_t rows = std::min(block, result_.rows - row);
        const std::span<const double> values = reader.read(row * width, rows * width);
        for (std::size_t i = 0; i < rows; ++i) take_row(row + i, values.subspan(i * width, width));
      }
    }
    count_inexact();
    finish();
    return std::move(result_);
  }

 private:
  static constexpr std::size_t kMostCounts = 16;

  void take_row(std::size_t row, std::span<const double> values) {
    std::size_t nan = 0;
    std::size_t infinite = 0;
    double sum = 0;
    for (std::size_t j = 0; j < values.size(); ++j) {
      const double x = values[j];
      if (std::isnan(x)) {
        result_.nan.add(row * result_.width + j);
        ++nan;
      } else if (std::isinf(x)) {
        ++(x > 0 ? result_.positive_infinite : result_.negative_infinite);
        ++infinite;
      } else {
        result_.finite.min = std::min(result_.finite.min, x);
        result_.finite.max = std::max(result_.finite.max, x);
        sum += x;
      }
      if (counting_) count(row * result_.width + j, x);
    }
    sum_ += sum;
    take_columns(values, nan > 0);
    if (nan > 0) result_.nan_rows.add(row);
    if (nan > 0 || infinite > 0) return;
    const double norm = length(values);
    if (norm == 0) result_.zero_rows.add(row);
    norms_.push_back(norm);
  }

  void take_columns(std::span<const double> values, bool has_nan) {
    if (low_.empty()) return;
    for (std::size_t j = 0; j < values.size(); ++j) {
      // NaN widens the range to everything: such a column is not constant.
      const bool undefined = has_nan && std::isnan(values[j]);
      low_[j] = std::min(low_[j], undefined ? -kInfinity : values[j]);
      high_[j] = std::max(high_[j], undefined ? kInfinity : values[j]);
    }
  }

  void count(std::size_t flat, double value) {
    // 64-bit integers are counted as such, not as the nearest double.
    counting_ = array_.dtype() != DType::u64 || value < 0x1p53;
    if (!counting_) return;
    ++counts_[array_.dtype() == DType::i64 ? array_.values<std::int64_t>()[flat] : static_cast<std::int64_t>(value)];
    if (counts_.size() > kMostCounts) counting_ = false;
  }

  void count_inexact() {
    constexpr std::int64_t limit = std::int64_t{1} << 53;
    if (array_.dtype() == DType::i64) {
      for (const std::int64_t x : array_.values<std::int64_t>()) result_.inexact += x > limit || x < -limit ? 1U : 0U;
    } else if (array_.dtype() == DType::u64) {
      for (const std::uint64_t x : array_.values<std::uint64_t>())
        result_.inexact += x > static_cast<std::uint64_t>(limit) ? 1U : 0U;
    }
  }

  void finish() {
    const std::size_t finite = result_.elements - result_.nan.count - result_.positive_infinite - result_.negative_infinite;
    result_.mean = finite == 0 ? kNone : sum_ / static_cast<double>(finite);
    if (finite == 0) result_.finite = {kNone, kNone, kNone};
    for (std::size_t j = 0; j < low_.size(); ++j) {
      if (low_[j] == high_[j]) result_.constant_columns.add(j);
    }
    if (counting_) result_.counts.assign(counts_.begin(), counts_.end());
    result_.norms = {kNone, kNone, kNone};
    if (norms_.empty()) return;
    const auto middle = norms_.begin() + static_cast<std::ptrdiff_t>(norms_.size() / 2);
    std::ranges::nth_element(norms_, middle);
    double median = *middle;
    if (norms_.size() % 2 == 0) median = 0.5 * (median + *std::max_element(norms_.begin(), middle));
    result_.norms = {*std::ranges::min_element(norms_), median, *std::ranges::max_element(norms_)};
  }

  const Array& array_;
  Description result_;
  double sum_ = 0;
  std::vector<double> norms_;
  std::vector<double> low_;
  std::vector<double> high_;
  bool counting_ = false;
  std::map<std::int64_t, std::size_t> counts_;
};

/// "row 3", or "row [1, 0, 3]" where there are several axes of rows.
std::string row_text(std::size_t row, const Shape& shape) {
  if (shape.size() <= 2) return fmt::format("row {}", row);
  return "row " + index_text(row, Shape(shape.begin(), shape.end() - 1));
}

}  // namespace

Description describe(const Array& array) { return Describer(array).run(); }

std::vector<std::string> warnings(const Description& d) {
  std::vector<std::string> found;
  if (d.shape.empty()) found.emplace_back("a single number has no rows to attend with");
  if (d.shape.size() == 1) found.push_back(fmt::format("one dimension: attention takes it as one row of {} numbers", d.width));
  if (d.dtype == DType::boolean) found.emplace_back("a bool array is a mask; as numbers 0 and 1 it needs --as-float");
  if (d.nan.count > 0)
    found.push_back(fmt::format("{} in {}, the first at {}: they reach every query that may see them",
                                counted(d.nan.count, "NaN", "NaN"), counted(d.nan_rows.count, "row", "rows"),
                                index_text(d.nan.first, d.shape)));
  if (d.positive_infinite + d.negative_infinite > 0 && d.dtype != DType::boolean)
    found.push_back(counted(d.positive_infinite + d.negative_infinite, "infinity", "infinities") +
                    ": products with it are infinite or NaN");
  if (d.zero_rows.count > 0 && d.dtype != DType::boolean)
    found.push_back(
        fmt::format("{} zero, the first is {}: a zero vector has no direction, its cosine with everything counts as 0",
                    counted(d.zero_rows.count, "row is", "rows are"), row_text(d.zero_rows.first, d.shape)));
  const double product = d.norms.max * d.norms.max;
  if (product > kLargestHalf)
    found.push_back(fmt::format("dot products of its rows can reach {:.4g}, beyond float16 (65504)", product));
  if (d.constant_columns.count > 0 && d.dtype != DType::boolean)
    found.push_back(fmt::format("{} constant, the first is column {}",
                                counted(d.constant_columns.count, "column is", "columns are"), d.constant_columns.first + 1));
  if (d.inexact > 0)
    found.push_back(fmt::format("{} beyond 2^53, without an exact floating-point value; to round them: --lossy",
                                counted(d.inexact, "integer is", "integers are")));
  return found;
}

}  // namespace attn::analysis

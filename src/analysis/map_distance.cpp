// How far two attention maps are apart, row by row, with heads matched where their numbers differ.
#include "analysis/map_distance.hpp"

#include "analysis/assignment.hpp"
#include "analysis/chunks.hpp"
#include "base/groups.hpp"

#include <attn/error.hpp>

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

namespace attn::analysis {

namespace {

/// Rows of one task.
constexpr std::size_t kRowsOfTask = 64;

// What is seen in a row.
constexpr unsigned kEmptyA = 1;
constexpr unsigned kEmptyB = 2;
constexpr unsigned kNegativeA = 4;
constexpr unsigned kNegativeB = 8;
constexpr unsigned kOffA = 16;
constexpr unsigned kOffB = 32;

/// Sums for the distance of whole maps at unit length.
struct UnitSums {
  double a = 0;           ///< of a^2
  double b = 0;           ///< of b^2
  double apart = 0;       ///< of (a - b)^2
  double difference = 0;  ///< of a^2 - b^2 = (a - b) (a + b)

  void add(std::span<const double> x, std::span<const double> y) noexcept {
    for (std::size_t j = 0; j < x.size(); ++j) {
      const double d = x[j] - y[j];
      a += x[j] * x[j];
      b += y[j] * y[j];
      apart += d * d;
      difference += d * (x[j] + y[j]);
    }
  }
  void add(const UnitSums& other) noexcept {
    a += other.a;
    b += other.b;
    apart += other.apart;
    difference += other.difference;
  }
  /// |a/|a| - b/|b||^2 = (|a - b|^2 - (|a| - |b|)^2) / (|a| |b|), where equal maps cancel before they are rounded.
  [[nodiscard]] double distance() const noexcept {
    if (a == 0 || b == 0) return a == b ? 0 : 1;
    const double of_a = std::sqrt(a);
    const double of_b = std::sqrt(b);
    const double lengths = difference / (of_a + of_b);
    const double square = (apart - lengths * lengths) / (of_a * of_b);
    return square < 0 ? 0 : std::sqrt(square);
  }
};

/// Distances of rows in the order in which they come.
class Summing {
 public:
  explicit Summing(double tolerance) : tolerance_(tolerance) {}

  /// Whether this is the largest so far.
  bool add(double distance, std::size_t batch, std::size_t query) noexcept {
    const bool is_largest = sum_.rows++ == 0 || (!std::isnan(sum_.largest) && !(distance <= sum_.largest));
    if (!(distance <= tolerance_)) ++sum_.differing;
    if (std::isnan(distance)) ++sum_.not_a_number;
    if (std::isinf(distance)) ++sum_.infinite;
    total_ += distance;
    if (std::isfinite(distance)) finite_ += distance;
    if (!is_largest) return false;
    sum_.largest = distance;
    sum_.batch = batch;
    sum_.query = query;
    return true;
  }
  [[nodiscard]] DistanceSum sum() const noexcept {
    DistanceSum all = sum_;
    const std::size_t finite = all.rows - all.infinite - all.not_a_number;
    if (all.rows > 0) all.mean = total_ / static_cast<double>(all.rows);
    if (finite > 0) all.finite_mean = finite_ / static_cast<double>(finite);
    return all;
  }

 private:
  double tolerance_;
  DistanceSum sum_;
  double total_ = 0;
  double finite_ = 0;
};

/// One map, read row by row.
class MapRows {
 public:
  explicit MapRows(const Array& map) : shape_(map.shape()), reader_(map) {}
  [[nodiscard]] std::span<const double> row(std::size_t batch, std::size_t head, std::size_t query) {
    return reader_.read(((batch * shape_[1] + head) * shape_[2] + query) * shape_[3], shape_[3]);
  }

 private:
  const Shape& shape_;
  DoubleReader reader_;
};

class MapComparer {
 public:
  MapComparer(const Array& a, const Array& b, MapMetric metric, double tolerance, const engine::Execution& execution)
      : a_(a), b_(b), execution_(execution), heads_a_(a.shape()[1]), heads_b_(b.shape()[1]) {
    result_.metric = metric;
    result_.tolerance = tolerance;
    const Shape& s = a.shape();
    const Shape& t = b.shape();
    if (s[0] != t[0] || s[2] != t[2] || s[3] != t[3])
      throw Error(Status::data, fmt::format("the maps differ in batch entries, queries or keys: A {}, B {} (expected [batch, "
                                            "heads, q_len, kv_len] that differ in heads at most)",
                                            to_string(s), to_string(t)));
  }

  MapComparison run(std::optional<HeadMatch> match) {
    if (match == HeadMatch::order && heads_a_ != heads_b_)
      throw Error(Status::usage,
                  fmt::format("--match order needs as many heads in both maps: A has {}, B {}", heads_a_, heads_b_));
    result_.is_matched = match.value_or(heads_a_ == heads_b_ ? HeadMatch::order : HeadMatch::best) == HeadMatch::best;
    find_pairs();
    const Shape& s = a_.shape();
    result_.shape = {s[0], result_.pairs.size(), s[2], s[3]};
    measure();
    refuse_negative();
    sum_up();
    return std::move(result_);
  }

 private:
  /// Heads of A and of B that go together, and those that are left alone.
  void find_pairs() {
    if (!result_.is_matched) {
      for (std::size_t h = 0; h < heads_a_; ++h) result_.pairs.push_back({.a = h, .b = h, .rows = {}});
      return;
    }
    const bool a_has_fewer = heads_a_ <= heads_b_;
    const std::size_t few = std::min(heads_a_, heads_b_);
    const std::size_t many = std::max(heads_a_, heads_b_);
    const std::vector<std::size_t> other =
        few == 0 ? std::vector<std::size_t>() : best_assignment(few, many, costs(a_has_fewer, few, many));
    std::vector<bool> is_taken(many, false);
    for (std::size_t i = 0; i < few; ++i) {
      result_.pairs.push_back({.a = a_has_fewer ? i : other[i], .b = a_has_fewer ? other[i] : i, .rows = {}});
      is_taken[other[i]] = true;
    }
    std::ranges::sort(result_.pairs, {}, &HeadPair::a);
    for (std::size_t j = 0; j < many; ++j)
      if (!is_taken[j]) (a_has_fewer ? result_.b_alone : result_.a_alone).push_back(j);
  }

  /// What each pair of heads costs, [few, many]: the sum of its rows' distances, finite.
  std::vector<double> costs(bool a_has_fewer, std::size_t few, std::size_t many) {
    std::vector<double> finite(few * many);
    std::vector<double> others(few * many);  // how many are not finite
    std::vector<double> largest(few * many);
    engine::for_each_task(few * many, execution_, [&](std::size_t task) {
      MapRows a(a_);
      MapRows b(b_);
      const std::size_t of_a = a_has_fewer ? task / many : task % many;
      const std::size_t of_b = a_has_fewer ? task % many : task / many;
      for (std::size_t batch = 0; batch < a_.shape()[0]; ++batch) {
        for (std::size_t query = 0; query < a_.shape()[2]; ++query) {
          const double distance = row_distance(result_.metric, a.row(batch, of_a, query), b.row(batch, of_b, query));
          if (!std::isfinite(distance)) {
            others[task] += 1;
            continue;
          }
          finite[task] += distance;
          largest[task] = std::max(largest[task], distance);
        }
      }
    });
    // What is infinite counts as the largest that is not: a few such rows should not decide alone.
    const double most = std::ranges::max(largest);
    for (std::size_t i = 0; i < finite.size(); ++i) finite[i] += others[i] * (most > 0 ? most : 1);
    return finite;
  }

  /// Distances, flags and sums of the rows of all pairs.
  void measure() {
    const Shape& s = result_.shape;
    blocks_ = groups_of(s[2], kRowsOfTask);
    const std::size_t rows = s[0] * s[1] * s[2];
    result_.distances.resize(rows);
    result_.left_out.resize(rows);
    flags_.resize(rows);
    mass_a_.resize(rows);
    mass_b_.resize(rows);
    units_.resize(s[0] * s[1] * blocks_);
    engine::for_each_task(units_.size(), execution_, [&](std::size_t task) {
      MapRows a(a_);
      MapRows b(b_);
      const std::size_t plane = task / blocks_;
      const HeadPair& pair = result_.pairs[plane % s[1]];
      const std::size_t first = task % blocks_ * kRowsOfTask;
      for (std::size_t query = first; query < std::min(first + kRowsOfTask, s[2]); ++query)
        take_row(plane * s[2] + query, a.row(plane / s[1], pair.a, query), b.row(plane / s[1], pair.b, query), units_[task]);
    });
  }

  void take_row(std::size_t row, std::span<const double> a, std::span<const double> b, UnitSums& units) {
    const auto is_zero = [](double x) { return x == 0; };
    const auto is_negative = [](double x) { return x < 0; };
    const bool empty_a = std::ranges::all_of(a, is_zero);
    const bool empty_b = std::ranges::all_of(b, is_zero);
    mass_a_[row] = sum_of(a);
    mass_b_[row] = sum_of(b);
    unsigned flags = (empty_a ? kEmptyA : 0U) | (empty_b ? kEmptyB : 0U);
    if (std::ranges::any_of(a, is_negative)) flags |= kNegativeA;
    if (std::ranges::any_of(b, is_negative)) flags |= kNegativeB;
    if (!empty_a && !(std::abs(mass_a_[row] - 1) <= mass_tolerance(a_.dtype()))) flags |= kOffA;
    if (!empty_b && !(std::abs(mass_b_[row] - 1) <= mass_tolerance(b_.dtype()))) flags |= kOffB;
    flags_[row] = static_cast<std::uint8_t>(flags);
    result_.left_out[row] = empty_a && empty_b ? 1 : 0;
    result_.distances[row] = row_distance(result_.metric, a, b);
    units.add(a, b);
  }

  void refuse_negative() const {
    if (result_.metric == MapMetric::mse || result_.metric == MapMetric::cosine) return;
    const auto found = std::ranges::find_if(flags_, [](std::uint8_t flags) { return (flags & (kNegativeA | kNegativeB)) != 0; });
    if (found == flags_.end()) return;
    const auto row = static_cast<std::size_t>(found - flags_.begin());
    const Shape& s = result_.shape;
    const bool in_a = (*found & kNegativeA) != 0;
    const HeadPair& pair = result_.pairs[row / s[2] % s[1]];
    throw Error(Status::data,
                fmt::format("query {} of head {}, batch entry {}, of {} has negative weights, which have no divergence",
                            row % s[2], in_a ? pair.a : pair.b, row / s[2] / s[1], in_a ? "A" : "B"),
                "--metric mse and --metric cosine take any numbers");
  }

  /// Everything that is said of the rows, in their order.
  void sum_up() {
    const Shape& s = result_.shape;
    std::vector<Summing> of_pairs(s[1], Summing(result_.tolerance));
    Summing all(result_.tolerance);
    for (std::size_t row = 0; row < flags_.size(); ++row) {
      const std::size_t pair = row / s[2] % s[1];
      const std::size_t batch = row / s[2] / s[1];
      note(row, kOffA, heads_a_, result_.pairs[pair].a, mass_a_[row], result_.a);
      note(row, kOffB, heads_b_, result_.pairs[pair].b, mass_b_[row], result_.b);
      const unsigned empty = flags_[row] & (kEmptyA | kEmptyB);
      if (empty == (kEmptyA | kEmptyB)) {
        ++result_.empty_in_both;
        continue;
      }
      if (empty != 0) ++result_.empty_in_one;
      of_pairs[pair].add(result_.distances[row], batch, row % s[2]);
      if (all.add(result_.distances[row], batch, row % s[2])) result_.largest_of = pair;
    }
    result_.rows = all.sum();
    for (std::size_t p = 0; p < s[1]; ++p) {
      result_.pairs[p].rows = of_pairs[p].sum();
      result_.pairs[p].transfer = transfer_of(p);
      result_.transfer += result_.pairs[p].transfer / static_cast<double>(s[1]);
    }
  }

  void note(std::size_t row, unsigned flag, std::size_t heads, std::size_t head, double mass, MapFindings& findings) const {
    if ((flags_[row] & flag) == 0) return;
    const Shape& s = result_.shape;
    const std::size_t place = (row / s[2] / s[1] * heads + head) * s[2] + row % s[2];
    if (findings.rows_off++ > 0 && findings.first_off < place) return;
    findings.first_off = place;
    findings.mass_off = mass;
  }

  [[nodiscard]] double transfer_of(std::size_t pair) const {
    const Shape& s = result_.shape;
    double sum = 0;
    for (std::size_t batch = 0; batch < s[0]; ++batch) {
      UnitSums whole;
      for (std::size_t block = 0; block < blocks_; ++block) whole.add(units_[(batch * s[1] + pair) * blocks_ + block]);
      sum += whole.distance();
    }
    return s[0] == 0 ? 0 : sum / static_cast<double>(s[0]);
  }

  const Array& a_;
  const Array& b_;
  const engine::Execution& execution_;
  std::size_t heads_a_;
  std::size_t heads_b_;
  std::size_t blocks_ = 0;  ///< tasks of a plane
  MapComparison result_;
  std::vector<std::uint8_t> flags_;      ///< of each row
  std::vector<double> mass_a_, mass_b_;  ///< likewise
  std::vector<UnitSums> units_;          ///< of each task
};

}  // namespace

double usual_tolerance(MapMetric metric) noexcept { return metric == MapMetric::mse ? 1e-12 : 1e-8; }

MapComparison compare_maps(const Array& a, const Array& b, MapMetric metric, std::optional<HeadMatch> match, double tolerance,
                           const engine::Execution& execution) {
  return MapComparer(a, b, metric, tolerance, execution).run(match);
}

void walk_differences(const engine::Plan& plan, const Array& a, const Array& b, const MapComparison& comparison,
                      std::span<engine::Observer<double>* const> observers, const engine::Execution& execution) {
  const Shape& s = comparison.shape;
  walk_columns(
      plan,
      [&]() -> PieceReader {
        return [&s, &comparison, &a, &b, of_a = DoubleReader(a), of_b = DoubleReader(b), apart = std::vector<double>()](
                   std::size_t row, std::size_t first, std::size_t count) mutable -> std::span<const double> {
          const HeadPair& pair = comparison.pairs[row / s[2] % s[1]];
          const auto place = [&](const Array& map, std::size_t head) {
            return ((row / s[2] / s[1] * map.shape()[1] + head) * s[2] + row % s[2]) * s[3] + first;
          };
          const std::span<const double> x = of_a.read(place(a, pair.a), count);
          const std::span<const double> y = of_b.read(place(b, pair.b), count);
          apart.resize(count);
          for (std::size_t j = 0; j < count; ++j) apart[j] = std::abs(x[j] - y[j]);
          return apart;
        };
      },
      observers, execution);
}

}  // namespace attn::analysis

// How far two attention maps are apart, row by row, with heads matched where their numbers differ. The maps may be mapped files:
// what is held is a row of each for each thread, and a number for each row.
#pragma once

#include "analysis/row_distance.hpp"
#include "analysis/weights_file.hpp"
#include "engine/engine.hpp"

#include <attn/array.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace attn::analysis {

/// What the rows of one map are not.
struct MapFindings {
  std::size_t rows_off = 0;   ///< rows that hold weights and do not add up to 1, as nearly as the file's type can say it
  std::size_t first_off = 0;  ///< the first of them, in [batch, heads, q_len] of the map
  double mass_off = 0;        ///< what it adds up to
};

/// Distances of rows that are not left out, taken together.
struct DistanceSum {
  std::size_t rows = 0;
  std::size_t differing = 0;  ///< farther apart than the tolerance
  std::size_t infinite = 0;
  std::size_t not_a_number = 0;
  double mean = 0;         ///< of no rows 0; infinite or NaN when a row is
  double finite_mean = 0;  ///< of the rows whose distance is finite
  double largest = 0;      ///< NaN when a row is
  std::size_t batch = 0;   ///< the row of the largest, the first of several
  std::size_t query = 0;
};

/// A head of A and the head of B it was matched with.
struct HeadPair {
  std::size_t a = 0;
  std::size_t b = 0;
  DistanceSum rows;
  /// The attention-transfer loss of Zagoruyko and Komodakis 2017, eq. 2 with p = 2: the Euclidean distance of both maps at unit
  /// length, | A/|A| - B/|B| |, mean over the batch entries. From 0 to sqrt 2 for weights.
  double transfer = 0;
};

struct MapComparison {
  MapMetric metric = MapMetric::kl;
  double tolerance = 0;
  Shape shape;  ///< of the matched maps: [batch, pairs, q_len, kv_len]
  bool is_matched = false;
  std::vector<HeadPair> pairs;  ///< in the order of A's heads
  std::vector<std::size_t> a_alone, b_alone;
  DistanceSum rows;               ///< of all pairs
  std::size_t largest_of = 0;     ///< the pair with the largest
  double transfer = 0;            ///< mean over the pairs
  std::size_t empty_in_both = 0;  ///< rows of zeros in A and in B, which are left out: masked means absent
  std::size_t empty_in_one = 0;   ///< rows of zeros in only one of them, which count
  MapFindings a, b;
  std::vector<double> distances;       ///< of each row of shape; of one that is left out 0
  std::vector<std::uint8_t> left_out;  ///< likewise: 1 for a row that is

  [[nodiscard]] bool agree() const noexcept { return rows.differing == 0; }
};

/// How heads find each other: the n-th with the n-th, or so that the sum of their distances is smallest.
enum class HeadMatch { order, best };

/// The tolerance where none is asked for: 1e-8, and for mse, whose size falls as the square of the weights', 1e-12.
[[nodiscard]] double usual_tolerance(MapMetric metric) noexcept;

/// `a` and `b` are [batch, heads, q_len, kv_len] of any type. Without `match`, as many heads in both are matched in their order;
/// else each head of the map with fewer gets one of the other, so that the sum of their rows' distances is smallest; one that is
/// infinite or NaN counts as the largest that is not. Rows differ when their distance is not at most `tolerance`. Throws
/// Error(data) for shapes that do not fit, naming both, and for negative weights under kl and js; Error(usage) for
/// HeadMatch::order with different numbers of heads. The same numbers for any threads.
[[nodiscard]] MapComparison compare_maps(const Array& a, const Array& b, MapMetric metric, std::optional<HeadMatch> match,
                                         double tolerance, const engine::Execution& execution);

/// Hands out |a - b| of the matched maps, column by column, as weights of a plan of `comparison.shape` are.
void walk_differences(const engine::Plan& plan, const Array& a, const Array& b, const MapComparison& comparison,
                      std::span<engine::Observer<double>* const> observers, const engine::Execution& execution);

}  // namespace attn::analysis

// Distances of attention maps against SciPy's, closed forms, and all assignments one by one.
#include "analysis/map_distance.hpp"

#include "analysis/assignment.hpp"
#include "analysis/numbers.hpp"
#include "analysis/pooled_weights.hpp"
#include "tools/errors.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <limits>
#include <numbers>
#include <numeric>
#include <random>
#include <utility>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

namespace attn::analysis {

namespace {

using Json = nlohmann::json;
using Rows = std::vector<double>;

constexpr double kQuietNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

constexpr std::array<std::pair<const char*, MapMetric>, 4> kMetrics{
    {{"kl", MapMetric::kl}, {"js", MapMetric::js}, {"mse", MapMetric::mse}, {"cosine", MapMetric::cosine}}};

Json fixture() { return Json::parse(std::ifstream(ATTN_TEST_DATA "/maps/cases.json")); }

/// False for NaN, too.
bool is_near(double x, double y, double relative, double absolute) {
  return std::abs(x - y) <= absolute + relative * std::abs(y);
}

Array map_of(const Shape& shape, const std::vector<double>& values, DType type = DType::f64) {
  const Array wide = Array::of(shape, values);
  return type == DType::f64 ? wide : retyped(wide, type, true).array;
}

MapComparison compared(const Array& a, const Array& b, MapMetric metric, std::optional<HeadMatch> match = {},
                       std::size_t threads = 1, double tolerance = 1e-8) {
  return compare_maps(a, b, metric, match, tolerance, {.threads = threads, .isa = {}, .cancelled = nullptr, .progress = {}});
}

std::optional<Status> refused_with(const Array& a, const Array& b, MapMetric metric, std::optional<HeadMatch> match = {}) {
  return testing::status_of([&] { static_cast<void>(compared(a, b, metric, match)); });
}

std::vector<double> softmax_rows(const Shape& shape, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> number;
  std::vector<double> values(element_count(shape));
  for (std::size_t row = 0; row < values.size(); row += shape.back()) {
    double sum = 0;
    for (std::size_t j = row; j < row + shape.back(); ++j) sum += values[j] = std::exp(number(random));
    for (std::size_t j = row; j < row + shape.back(); ++j) values[j] /= sum;
  }
  return values;
}

double cost_of(const std::vector<std::size_t>& assigned, std::size_t columns, const std::vector<double>& cost) {
  double sum = 0;
  for (std::size_t i = 0; i < assigned.size(); ++i) sum += cost[i * columns + assigned[i]];
  return sum;
}

bool each_once(std::vector<std::size_t> assigned, std::size_t columns) {
  std::ranges::sort(assigned);
  return std::ranges::adjacent_find(assigned) == assigned.end() && (assigned.empty() || assigned.back() < columns);
}

}  // namespace

TEST_CASE("distances of rows are SciPy's") {
  const Json cases = fixture().at("rows");
  for (const Json& c : cases) {
    const auto a = c.at("a").get<Rows>();
    const auto b = c.at("b").get<Rows>();
    CAPTURE(a.size());
    for (const auto& [name, metric] : kMetrics) {
      CAPTURE(name);
      // SciPy's sums of terms of both signs are good to a few units of 1e-16.
      CHECK(is_near(row_distance(metric, a, b), c.at(name).get<double>(), 1e-12, 4e-16));
      CHECK(row_distance(metric, a, a) == 0);
    }
  }
}

TEST_CASE("distances of rows in closed form") {
  // A coin of p = 1/2 + e against a fair one: kl -ln(1 - 4e^2) / 2, here by its series; SciPy has 0 or less for such rows.
  const double e = std::ldexp(1, -30);
  const Rows near{0.5 + e, 0.5 - e};
  const Rows fair{0.5, 0.5};
  CHECK(is_near(row_distance(MapMetric::kl, near, fair), 2 * e * e, 1e-7, 0));
  CHECK(is_near(row_distance(MapMetric::js, near, fair), e * e / 2, 1e-7, 0));
  CHECK(is_near(row_distance(MapMetric::cosine, near, fair), 2 * e * e, 1e-7, 0));
  CHECK(row_distance(MapMetric::mse, near, fair) == e * e);
  const Rows one{1, 0, 0};
  const Rows other{0, 0, 1};
  CHECK(row_distance(MapMetric::kl, one, other) == kInfinity);
  CHECK(row_distance(MapMetric::js, one, other) == doctest::Approx(std::numbers::ln2));
  CHECK(row_distance(MapMetric::cosine, one, other) == doctest::Approx(1));
  CHECK(row_distance(MapMetric::mse, one, other) == doctest::Approx(2.0 / 3));
  // One key of n against all alike: ln n.
  const Rows even(7, 1.0 / 7);
  Rows single(7);
  single[4] = 1;
  CHECK(is_near(row_distance(MapMetric::kl, even, single), std::log(7), 1e-14, 0));
  // Weights that float64 can hardly tell from 0 are weights: ln 2^1000, though 2^-1000 - 1 rounds to -1.
  const Rows tiny{std::ldexp(1, -1000), 1};
  CHECK(is_near(row_distance(MapMetric::kl, tiny, Rows{1, 0}), 1000 * std::numbers::ln2, 1e-14, 0));
  CHECK(is_near(row_distance(MapMetric::js, tiny, Rows{1, 0}), std::numbers::ln2, 1e-14, 0));
  CHECK(is_near(row_distance(MapMetric::kl, Rows{1, 1e-300}, fair), 150 * std::numbers::ln10 - std::numbers::ln2, 1e-14, 0));
  // Shares of the sum, so that a factor does not count; of cosine it does not either.
  for (const MapMetric metric : {MapMetric::kl, MapMetric::js, MapMetric::cosine})
    CHECK(is_near(row_distance(metric, Rows{0.25, 0.75}, Rows{2, 6}), 0, 0, 1e-30));
  // Numbers whose squares float64 does not hold.
  CHECK(is_near(row_distance(MapMetric::cosine, Rows{3e200, 4e200}, Rows{4e-200, 3e-200}), 1 - 24.0 / 25, 1e-13, 0));
}

TEST_CASE("rows of zeros and NaN") {
  const Rows zero(3);
  const Rows row{0.5, 0.25, 0.25};
  const double of_one[]{kInfinity, std::numbers::ln2, 0.375 / 3, 1};
  for (std::size_t m = 0; m < kMetrics.size(); ++m) {
    const MapMetric metric = kMetrics[m].second;
    CHECK(row_distance(metric, zero, zero) == 0);
    CHECK(row_distance(metric, zero, row) == of_one[m]);
    CHECK(row_distance(metric, row, zero) == of_one[m]);
    CHECK(row_distance(metric, {}, {}) == 0);
    for (const double bad : {kQuietNan, kInfinity}) {
      CHECK(!std::isfinite(row_distance(metric, Rows{0.5, bad, 0.5}, row)));
      CHECK(!std::isfinite(row_distance(metric, row, Rows{bad, 0.5, 0.5})));
    }
    CHECK(std::isnan(row_distance(metric, zero, Rows{0, kQuietNan, 1})));
    CHECK(std::isnan(row_distance(metric, Rows{kQuietNan, 0, 0}, zero)));
  }
}

TEST_CASE("the best assignment costs what SciPy's does") {
  const Json cases = fixture().at("costs");
  for (const Json& c : cases) {
    const auto columns = c.at("columns").get<std::size_t>();
    const auto cost = c.at("cost").get<Rows>();
    const std::vector<std::size_t> found = best_assignment(c.at("rows").get<std::size_t>(), columns, cost);
    CHECK(found.size() == c.at("rows").get<std::size_t>());
    CHECK(each_once(found, columns));
    CHECK(is_near(cost_of(found, columns, cost), c.at("best").get<double>(), 1e-13, 1e-13));
  }
}

TEST_CASE("the best assignment is the best of all") {
  std::mt19937 random(20);
  std::uniform_int_distribution<int> number(-3, 3);
  for (std::size_t rows = 1; rows <= 5; ++rows) {
    for (std::size_t columns = rows; columns <= 6; ++columns) {
      std::vector<double> cost(rows * columns);
      for (double& x : cost) x = number(random);
      std::vector<std::size_t> order(columns);
      std::iota(order.begin(), order.end(), std::size_t{0});
      double best = kInfinity;
      do {
        best = std::min(best, cost_of({order.begin(), order.begin() + static_cast<std::ptrdiff_t>(rows)}, columns, cost));
      } while (std::next_permutation(order.begin(), order.end()));
      CHECK(cost_of(best_assignment(rows, columns, cost), columns, cost) == best);
    }
  }
  CHECK_THROWS_AS(static_cast<void>(best_assignment(2, 1, {1, 1})), Error);
  CHECK(best_assignment(0, 3, {}).empty());
}

TEST_CASE("heads are matched as SciPy matches them, and their means and transfers are NumPy's") {
  const Json cases = fixture().at("maps");
  for (const Json& c : cases) {
    const Array a = map_of(c.at("a").at("shape").get<Shape>(), c.at("a").at("values").get<Rows>());
    const Array b = map_of(c.at("b").at("shape").get<Shape>(), c.at("b").at("values").get<Rows>());
    for (const auto& [name, metric] : kMetrics) {
      CAPTURE(name);
      const Json& want = c.at(name);
      const MapComparison found = compared(a, b, metric);
      CHECK(found.is_matched);
      REQUIRE(found.pairs.size() == want.at("pairs").size());
      for (std::size_t p = 0; p < found.pairs.size(); ++p) {
        CHECK(found.pairs[p].a == want.at("pairs")[p][0].get<std::size_t>());
        CHECK(found.pairs[p].b == want.at("pairs")[p][1].get<std::size_t>());
        CHECK(is_near(found.pairs[p].rows.mean, want.at("means")[p].get<double>(), 1e-10, 1e-15));
        CHECK(is_near(found.pairs[p].transfer, want.at("transfer")[p].get<double>(), 1e-10, 1e-12));
      }
      CHECK(found.a_alone.size() + found.pairs.size() == a.shape()[1]);
      CHECK(found.b_alone.size() + found.pairs.size() == b.shape()[1]);
    }
  }
}

TEST_CASE("heads that were shuffled are found again, also where a few rows are infinitely far") {
  const Shape shape{2, 5, 6, 7};
  Rows a = softmax_rows(shape, 3);
  const std::size_t order[]{3, 0, 4, 2, 1};
  Rows b(a.size());
  const std::size_t plane = 6 * 7;
  for (std::size_t batch = 0; batch < 2; ++batch)
    for (std::size_t h = 0; h < 5; ++h)
      std::copy_n(a.begin() + static_cast<std::ptrdiff_t>((batch * 5 + h) * plane), plane,
                  b.begin() + static_cast<std::ptrdiff_t>((batch * 5 + order[h]) * plane));
  a[0] = 0;  // kl of this row is infinite with any head
  b[plane] = kQuietNan;
  const MapComparison in_order = compared(map_of(shape, a), map_of(shape, b), MapMetric::kl);
  CHECK_FALSE(in_order.is_matched);
  CHECK(in_order.rows.differing >= 50);
  const MapComparison best = compared(map_of(shape, a), map_of(shape, b), MapMetric::kl, HeadMatch::best);
  for (const HeadPair& pair : best.pairs) CHECK(pair.b == order[pair.a]);
  CHECK(best.rows.differing == 2);
  CHECK(best.rows.infinite == 1);
  CHECK(best.rows.not_a_number == 1);
  CHECK(best.rows.finite_mean == 0);
  CHECK(std::isnan(best.rows.mean));
  CHECK(std::isnan(best.rows.largest));
  CHECK(best.pairs[best.largest_of].b == 1);
  CHECK(best.pairs[0].rows.largest == kInfinity);
  CHECK_FALSE(best.agree());
}

TEST_CASE("rows of zeros in both maps are absent, in one they count") {
  const Shape shape{1, 1, 4, 3};
  Rows a = softmax_rows(shape, 5);
  Rows b = a;
  for (const std::size_t j : {0U, 1U, 2U}) a[j] = b[j] = 0;
  MapComparison c = compared(map_of(shape, a), map_of(shape, b), MapMetric::js);
  CHECK(c.empty_in_both == 1);
  CHECK(c.rows.rows == 3);
  CHECK(c.agree());
  CHECK(c.left_out == std::vector<std::uint8_t>{1, 0, 0, 0});
  for (const std::size_t j : {3U, 4U, 5U}) a[j] = 0;
  c = compared(map_of(shape, a), map_of(shape, b), MapMetric::js);
  CHECK(c.empty_in_one == 1);
  CHECK(c.rows.differing == 1);
  CHECK(c.rows.query == 1);
  CHECK(c.rows.mean == doctest::Approx(std::numbers::ln2 / 3));
}

TEST_CASE("rows that do not add up to 1 are counted, as nearly as the type can say it") {
  const Shape shape{2, 3, 5, 4};
  const Rows right = softmax_rows(shape, 8);
  Rows off = right;
  const std::size_t row = (1 * 3 + 2) * 5 + 4;
  for (std::size_t j = 0; j < 4; ++j) off[row * 4 + j] *= 1.01;
  const MapComparison c = compared(map_of(shape, right, DType::f32), map_of(shape, off, DType::f32), MapMetric::kl);
  CHECK(c.a.rows_off == 0);
  CHECK(c.b.rows_off == 1);
  CHECK(c.b.first_off == row);
  CHECK(c.b.mass_off == doctest::Approx(1.01));
  CHECK(c.agree());  // its shares are the same
  for (const DType type : {DType::f16, DType::bf16}) {
    const MapComparison narrow = compared(map_of(shape, right, type), map_of(shape, right), MapMetric::kl, {}, 1, 1e-4);
    CHECK(narrow.a.rows_off == 0);
    CHECK(narrow.agree());
    CHECK(narrow.rows.mean > 0);
  }
}

TEST_CASE("what cannot be compared is refused") {
  const Rows row{0.5, 0.5};
  const Array map = map_of({1, 1, 1, 2}, row);
  CHECK(refused_with(map, map_of({1, 1, 2, 1}, row), MapMetric::mse) == Status::data);
  CHECK(refused_with(map, map_of({2, 1, 1, 1}, row), MapMetric::mse) == Status::data);
  CHECK(refused_with(map, map_of({1, 1, 1, 2}, {1.5, -0.5}), MapMetric::kl) == Status::data);
  CHECK(refused_with(map_of({1, 1, 1, 2}, {1.5, -0.5}), map, MapMetric::js) == Status::data);
  CHECK_FALSE(refused_with(map, map_of({1, 1, 1, 2}, {1.5, -0.5}), MapMetric::mse));
  CHECK(refused_with(map, map_of({1, 2, 1, 2}, {1, 0, 0, 1}), MapMetric::kl, HeadMatch::order) == Status::usage);
}

TEST_CASE("maps without anything in them agree") {
  for (const Shape& shape : {Shape{0, 2, 3, 4}, Shape{1, 0, 3, 4}, Shape{1, 2, 0, 4}, Shape{1, 2, 3, 0}}) {
    const MapComparison c = compared(map_of(shape, {}), map_of(shape, {}), MapMetric::kl);
    CHECK(c.agree());
    CHECK(c.rows.rows == 0);
    CHECK(c.transfer == 0);
  }
  const MapComparison none = compared(map_of({1, 0, 3, 4}, {}), map_of({1, 1, 3, 4}, Rows(12)), MapMetric::kl);
  CHECK(none.pairs.empty());
  CHECK(none.b_alone == std::vector<std::size_t>{0});
}

TEST_CASE("numbers and cells are the same for any threads") {
  const Shape of_a{2, 3, 131, 97};
  const Shape of_b{2, 4, 131, 97};
  const Array a = map_of(of_a, softmax_rows(of_a, 11), DType::f32);
  const Array b = map_of(of_b, softmax_rows(of_b, 12), DType::f16);
  const auto cells_of = [&](const MapComparison& c, std::size_t threads) {
    const engine::Plan plan = plan_of_weights(c.shape, 0);
    PooledWeights<double> cells(plan, Pool::mean, {.rows = 10, .columns = 7, .heads = {0, 1, 2, 3, 4, 5}});
    walk_differences(plan, a, b, c, std::array<engine::Observer<double>*, 1>{&cells},
                     {.threads = threads, .isa = {}, .cancelled = nullptr, .progress = {}});
    return cells.cells(4);
  };
  const MapComparison one = compared(a, b, MapMetric::kl, {}, 1);
  const MapComparison five = compared(a, b, MapMetric::kl, {}, 5);
  CHECK(one.distances == five.distances);
  CHECK(one.rows.mean == five.rows.mean);
  CHECK(one.transfer == five.transfer);
  const std::vector<double> cells = cells_of(one, 1);
  CHECK(cells == cells_of(five, 5));
  // Cell [9, 6] of batch 1, pair 1: queries 117 to 130, keys 83 to 96.
  double sum = 0;
  for (std::size_t i = 117; i < 131; ++i)
    for (std::size_t j = 83; j < 97; ++j)
      sum +=
          std::abs(a.at_flat(((3 + one.pairs[1].a) * 131 + i) * 97 + j) - b.at_flat(((4 + one.pairs[1].b) * 131 + i) * 97 + j));
  CHECK(is_near(cells.back(), sum / (14 * 14), 1e-12, 0));
}

}  // namespace attn::analysis

// Descriptions against counts and norms worked out by hand, at all types and odd sizes.
#include "analysis/describe.hpp"

#include "analysis/inspect.hpp"
#include "io/support.hpp"

#include <cmath>
#include <limits>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

using namespace attn;
using namespace attn::analysis;
using test::contains;

namespace {

bool any_contains(const std::vector<std::string>& texts, const std::string& part) {
  return std::ranges::any_of(texts, [&](const std::string& text) { return contains(text, part); });
}

}  // namespace

TEST_CASE("range, mean and norms of every type are those of its numbers") {
  for (const DType type : test::all_types) {
    for (const std::size_t rows : {1U, 2U, 3U, 683U, 1367U}) {
      const Array array = test::sample_array(type, {rows, 6});
      const Description d = describe(array);
      double low = HUGE_VAL;
      double high = -HUGE_VAL;
      double sum = 0;
      std::vector<double> norms;
      for (std::size_t i = 0; i < rows; ++i) {
        double squares = 0;
        for (std::size_t j = 0; j < 6; ++j) {
          const double x = array.at_flat(i * 6 + j);
          low = std::min(low, x);
          high = std::max(high, x);
          sum += x;
          squares += x * x;
        }
        norms.push_back(std::sqrt(squares));
      }
      std::ranges::sort(norms);
      INFO(dtype_name(type) << " " << rows);
      CHECK(d.finite.min == low);
      CHECK(d.finite.max == high);
      CHECK(d.mean == doctest::Approx(sum / static_cast<double>(array.size())));
      CHECK(d.norms.min == doctest::Approx(norms.front()));
      CHECK(d.norms.max == doctest::Approx(norms.back()));
      CHECK(d.norms.median == doctest::Approx(0.5 * (norms[(rows - 1) / 2] + norms[rows / 2])));
      CHECK(d.nan.count == 0);
      CHECK(d.counts.empty() == is_floating(type));
      std::size_t counted = 0;
      for (const auto& [value, count] : d.counts) counted += count;
      CHECK(counted == (is_floating(type) ? 0 : array.size()));
    }
  }
}

TEST_CASE("NaN and infinity are counted and kept out of the rest") {
  const double nan = std::nan("");
  const Description d = describe(Array::of<double>({2, 2, 2}, {1, nan, nan, 3, HUGE_VAL, 0, 0, -5}));
  CHECK(d.nan.count == 2);
  CHECK(d.nan.first == 1);
  CHECK(d.nan_rows.count == 2);
  CHECK(d.positive_infinite == 1);
  CHECK(d.negative_infinite == 0);
  CHECK(d.finite.min == -5);
  CHECK(d.finite.max == 3);
  CHECK(d.mean == doctest::Approx(-0.2));
  CHECK(d.norms.min == 5);
  CHECK(d.constant_columns.count == 0);
  CHECK(any_contains(warnings(d), "2 NaN in 2 rows, the first at [0, 0, 1]"));
  CHECK(any_contains(warnings(d), "1 infinity:"));
  const Description empty = describe(Array(DType::f32, {0, 3}));
  CHECK(std::isnan(empty.mean));
  CHECK(std::isnan(empty.norms.median));
  CHECK(describe(Array(DType::f32, {3, 0})).rows == 0);
}

TEST_CASE("a column is constant when all its rows agree, NaN agrees with nothing") {
  const double nan = std::nan("");
  const Description d = describe(Array::of<double>({3, 4}, {1, 7, nan, HUGE_VAL, 2, 7, nan, HUGE_VAL, 3, 7, nan, HUGE_VAL}));
  CHECK(d.constant_columns.count == 2);
  CHECK(d.constant_columns.first == 1);
  CHECK(describe(Array::of<double>({1, 2}, {1, 1})).constant_columns.count == 0);
}

TEST_CASE("warnings come when they should and not before") {
  CHECK(warnings(describe(Array::of<float>({2, 2}, {1, 2, 3, 4}))).empty());
  CHECK(any_contains(warnings(describe(Array::of<float>({2, 2}, {0, 0, 3, 4}))), "1 row is zero, the first is row 0"));
  CHECK_FALSE(any_contains(warnings(describe(Array::of<float>({1, 1}, {255.9F}))), "float16"));
  CHECK(any_contains(warnings(describe(Array::of<float>({1, 1}, {256.0F}))), "float16"));
  const std::int64_t edge = std::int64_t{1} << 53;
  CHECK(describe(Array::of<std::int64_t>({1, 2}, {edge, -edge})).inexact == 0);
  CHECK(describe(Array::of<std::int64_t>({1, 2}, {edge + 1, -edge - 1})).inexact == 2);
  CHECK(describe(Array::of<std::uint64_t>({1, 1}, {std::numeric_limits<std::uint64_t>::max()})).inexact == 1);
  CHECK(describe(Array::of<std::int64_t>({1, 2}, {edge + 1, edge})).counts.size() == 2);
}

TEST_CASE("norms of tiny and huge rows do not vanish or overflow") {
  const Description d = describe(Array::of<double>({2, 2}, {3e-200, 4e-200, 3e200, 4e200}));
  CHECK(d.norms.min == doctest::Approx(5e-200));
  CHECK(d.norms.max == doctest::Approx(5e200));
  CHECK(d.zero_rows.count == 0);
}

TEST_CASE("the JSON of a description is JSON, whatever the file is called and holds") {
  test::TemporaryDirectory folder;
  const std::string file = folder / "n\xff\".csv";
  test::write_file(file, "nan,inf\n");
  test::Listener reporter;
  const auto reports = inspect(FileName::parse(file), {}, false, reporter);
  const auto json = nlohmann::json::parse(inspect_json(reports, {}));
  REQUIRE(json.size() == 1);
  CHECK(json[0]["mean"] == "nan");
  CHECK(json[0]["nan"] == 1);
  CHECK(json[0]["row_norms"]["max"] == "nan");
  CHECK(contains(inspect_csv(reports), "\"\""));
}

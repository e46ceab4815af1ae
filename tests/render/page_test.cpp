// Pages for browsers: numbers keep three correct digits, names cannot leave the data, and nothing is asked of a network.
#include "render/page.hpp"

#include <cmath>
#include <cstdlib>
#include <limits>
#include <random>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace attn::render {

namespace {

Picture picture_of(std::vector<double> values) {
  Picture picture;
  picture.title = "a <title> & more";
  picture.rows = {"query", 1, {"</script><script>alert(1)"}};
  picture.columns = {"key", values.size(), {}};
  picture.column_titles = {"0"};
  const std::size_t count = values.size();
  picture.panels.push_back({"head 0", {1, count, std::move(values)}});
  return picture;
}

/// The number that three decimal digits say.
double rounded(double value) { return std::strtod(fmt::format("{:.2e}", value).c_str(), nullptr); }

}  // namespace

TEST_CASE("a code gives back the number rounded to three decimal digits") {
  constexpr unsigned seed = 4;
  INFO("seed ", seed);
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> power(-44, 0);
  for (const double sign : {1.0, -1.0}) {
    std::vector<double> values{1, 0.999, 0.9995, 0.99949999, 1e-30, 0.1, 0.5, 0.12345, sign * 0.25};
    for (int n = 0; n < 5000; ++n)
      values.push_back((n % 2 == 0 ? sign : 1) * std::pow(10, sign > 0 ? power(random) : power(random) / 2));
    const Picture picture = picture_of(values);
    const DecimalCode decimals(picture.panels);
    for (const double value : values) {
      const std::uint16_t code = decimals.code(value);
      CHECK(code < DecimalCode::tiny);
      CHECK(decimals.value(code) == rounded(value));
    }
  }
}

TEST_CASE("0, what is too small, infinities and NaN have codes of their own") {
  const double infinity = std::numeric_limits<double>::infinity();
  const Picture picture = picture_of({1, 0, std::nan(""), infinity});
  const DecimalCode decimals(picture.panels);
  CHECK(decimals.code(0) == 0);
  CHECK(decimals.value(0) == 0);
  CHECK(decimals.code(1e-80) == DecimalCode::tiny);
  CHECK(decimals.code(std::nan("")) == DecimalCode::nan);
  CHECK(decimals.code(infinity) == DecimalCode::infinity);
  CHECK(decimals.code(-infinity) == DecimalCode::minus_infinity);
  CHECK(decimals.value(decimals.code(9.99)) == 9.99);
  // All of nothing, and the smallest number there is.
  CHECK(DecimalCode(picture_of({0, 0}).panels).code(0) == 0);
  const double least = std::numeric_limits<double>::denorm_min();
  const DecimalCode small(picture_of({least}).panels);
  CHECK(small.value(small.code(least)) == rounded(least));
}

TEST_CASE("names stay in the data, and the page needs nothing else") {
  const std::string page = draw_page(picture_of({0.25, 1}), {.pool = "mean of"});
  CHECK(page.find("alert(1)") != std::string::npos);
  CHECK(page.find("</script><script>alert") == std::string::npos);
  CHECK(page.find("<title>a &lt;title> &amp; more</title>") != std::string::npos);
  CHECK(page.find("http:") == std::string::npos);
  CHECK(page.find("https:") == std::string::npos);
  CHECK(page.find("@DATA@") == std::string::npos);
  const std::string mark = "id=\"data\">";
  const std::size_t begin = page.find(mark) + mark.size();
  const auto data = nlohmann::json::parse(page.substr(begin, page.find("</script>", begin) - begin));
  CHECK(data["rows"]["names"][0] == "</script><script>alert(1)");
  CHECK(data["panels"][0]["cells"].get<std::string>().size() == 8);
  CHECK(data["logarithmic"]["low"] == 0.25);
}

}  // namespace attn::render

// Tests the comparison of printed numbers against intervals worked out by hand.
#include "document/printed.hpp"

#include <attn/error.hpp>

#include <cmath>
#include <string>

#include <doctest/doctest.h>

using attn::document::compare_printed;
using attn::document::half_unit;

namespace {

bool same(const std::string& printed, const std::string& now) { return compare_printed(printed, now).differences.empty(); }

}  // namespace

TEST_CASE("a number stands for half a unit of its last digit on both sides") {
  CHECK(half_unit("3") == 0.5);
  CHECK(half_unit("-3.") == 0.5);
  CHECK(half_unit("0.25") == 0.005);
  CHECK(half_unit("1.5e-7") == doctest::Approx(5e-9).epsilon(1e-12));
  CHECK(half_unit("+2E3") == 500);
  for (const char* text : {"", "x", "nan", "inf", "1x", "1e"}) CHECK_THROWS_AS((void)half_unit(text), attn::Error);

  CHECK(same("0.33", "0.325"));
  CHECK(same("0.33", "0.335"));
  CHECK(same("0.33", "0.33333334"));
  CHECK_FALSE(same("0.33", "0.3249"));
  CHECK_FALSE(same("0.33", "0.3351"));
  CHECK(same("-0.33", "-0.3301"));
  CHECK_FALSE(same("-0.33", "0.33"));
  CHECK(same("0.00", "-1e-9"));
  CHECK(same("1.5e-7", "1.4501e-07"));
  CHECK_FALSE(same("1.5e-7", "1.4499e-07"));
  CHECK_FALSE(same("4", "3"));
  CHECK(same("1.00", "1"));
  // Beyond double there is only the text.
  CHECK(same("0.4E680", "0.4E680"));
  CHECK_FALSE(same("0.4E680", "0.5E680"));
  CHECK_FALSE(same("1", "0.4E680"));
  CHECK_FALSE(same("0e500", "1"));
  // Long numbers are compared to what a double holds, and not beyond.
  CHECK(same("123456789.125", "123456789.1255"));
  CHECK_FALSE(same("123456789.125", "123456789.126"));
}

TEST_CASE("what is no number is text") {
  CHECK_FALSE(same("0.5", "nan"));
  CHECK_FALSE(same("nan", "0.5"));
  CHECK(same("nan,inf", "nan,inf"));
  CHECK_FALSE(same("inf", "1e300"));
  CHECK_FALSE(same("f32", "f64"));
  CHECK_FALSE(same("y1.npy", "y2.npy"));
  CHECK_FALSE(same("a", "b"));
  CHECK_FALSE(same("1,2", "1;2"));
  CHECK_FALSE(same("1,2", "1,2,3"));
  CHECK_FALSE(same("1 2", "12"));
  CHECK(same("  a   1 ", "a 1"));
  CHECK(same("[1.0, -2]", "[1, -2.0]"));
  CHECK_FALSE(same("3-4", "3+4"));
}

TEST_CASE("lines are compared in pairs, and ... stands for any of them") {
  const auto missing = compare_printed("1\n2\n3\n", "1\n2\n");
  REQUIRE(missing.differences.size() == 1);
  CHECK(missing.differences[0].line == 3);
  CHECK(missing.differences[0].printed == "3");
  CHECK(missing.differences[0].now.empty());
  const auto more = compare_printed("1\n", "1\n2\n");
  REQUIRE(more.differences.size() == 1);
  CHECK(more.differences[0].now == "2");
  CHECK(std::isinf(more.largest));
  CHECK(same("", ""));
  CHECK_FALSE(same("", "1\n"));
  CHECK(same("...\n", ""));
  CHECK(same("...\n", "1\n2\n"));
  CHECK(same("1\n...\n", "1\n2\n3\n"));
  CHECK(same("1\n...\n3\n", "1\n2\n3\n"));
  CHECK(same("...\n3\n...\n5\n", "1\n3\n4\n5\n"));
  CHECK_FALSE(same("1\n...\n4\n", "1\n2\n3\n"));
  CHECK_FALSE(same("...\n7\n...\n", "1\n2\n3\n"));
  CHECK_FALSE(same("1\n...\n", ""));
}

TEST_CASE("numbers are counted and the largest distance is known") {
  const auto result = compare_printed("1,2.0\n3,4\n", "1,2.5\n3,5.5\n");
  CHECK(result.numbers == 4);
  REQUIRE(result.differences.size() == 2);
  CHECK(result.differences[0].line == 1);
  CHECK(result.differences[0].printed == "2.0");
  CHECK(result.differences[0].now == "2.5");
  CHECK(result.largest == doctest::Approx(1.5));
}

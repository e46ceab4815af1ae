// The steps of a conversion: their order, column names, and errors that name the file.
#include "analysis/convert.hpp"

#include "io/support.hpp"

#include <doctest/doctest.h>

using namespace attn;
using namespace attn::analysis;
using test::contains;
using test::error_of;

namespace {

Loaded loaded(Array array, std::vector<std::string> columns = {}) {
  Loaded result;
  result.array = std::move(array);
  result.name = {.path = "x.csv", .selector = {}};
  result.columns = std::move(columns);
  return result;
}

}  // namespace

TEST_CASE("columns keep their names until they are no columns any more") {
  const Loaded input = loaded(Array::of<float>({2, 3}, {1, 2, 3, 4, 5, 6}), {"a", "b", "c"});
  test::Listener reporter;
  const Converted chosen = convert(input, {.columns = "c,a", .rows = "1"}, reporter);
  CHECK(chosen.columns == std::vector<std::string>{"c", "a"});
  CHECK(chosen.array.shape() == Shape{1, 2});
  CHECK(chosen.array.at_flat(0) == 6);
  CHECK(convert(input, {.transpose = true}, reporter).columns.empty());
  CHECK(convert(input, {.reshape = {-1}}, reporter).columns.empty());
  CHECK(convert(input, {.normalize_rows = RowNorm::l1}, reporter).columns.size() == 3);
}

TEST_CASE("steps are taken in their fixed order") {
  test::Listener reporter;
  const Loaded input = loaded(Array::of<float>({4, 2}, {1, 9, 0, 9, 2, 9, 3, 9}));
  const Converted result = convert(
      input, {.columns = "1", .rows = "0..2", .one_hot = true, .reshape = {1, 3, -1}, .transpose = true, .dtype = DType::i8},
      reporter);
  CHECK(result.array.shape() == Shape{1, 3, 3});
  CHECK(result.array.dtype() == DType::i8);
  const double expected[] = {0, 1, 0, 1, 0, 0, 0, 0, 1};
  for (std::size_t i = 0; i < 9; ++i) CHECK(result.array.at_flat(i) == expected[i]);
}

TEST_CASE("what happened to numbers is announced") {
  test::Listener reporter;
  (void)convert(loaded(Array::of<float>({2, 1}, {0, 5})), {.normalize_rows = RowNorm::l2}, reporter);
  REQUIRE(reporter.warnings.size() == 1);
  CHECK(contains(reporter.warnings[0], "the first is row 0"));
  (void)convert(loaded(Array::of<float>({1}, {1e6F})), {.dtype = DType::f16}, reporter);
  REQUIRE(reporter.warnings.size() == 2);
  CHECK(contains(reporter.warnings[1], "1 number is beyond the range of float16"));
}

TEST_CASE("errors name the file, and steps that exclude each other are refused") {
  test::Listener reporter;
  const Loaded input = loaded(Array::of<float>({2, 2}, {1, 2, 3, 4.5F}));
  CHECK(error_of([&] { (void)convert(input, {.rows = "7"}, reporter); }).where().file == "x.csv");
  CHECK(error_of([&] { (void)convert(input, {.columns = "3"}, reporter); }).where().file == "x.csv");
  CHECK(error_of([&] { (void)convert(input, {.dtype = DType::i8}, reporter); }).where().file == "x.csv");
  CHECK(error_of([&] { (void)convert(input, {.classes = 4}, reporter); }).status() == Status::usage);
  CHECK(error_of([&] { (void)convert(input, {.split_heads = 2, .merge_heads = true}, reporter); }).status() == Status::usage);
  CHECK(error_of([&] {
          (void)convert(loaded(Array::of<float>({2}, {1, 2})), {.rows = "0"}, reporter);
        }).status() == Status::data);
}

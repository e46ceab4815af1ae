// Rows, columns, transposes, shapes and heads against index arithmetic written out.
#include "analysis/rearrange.hpp"

#include "io/support.hpp"

#include <doctest/doctest.h>

using namespace attn;
using namespace attn::analysis;
using test::error_of;

namespace {

std::vector<std::size_t> rows_of(const std::string& text, std::size_t rows) {
  std::vector<std::size_t> all;
  for (const RowRun& run : parse_rows(text, rows)) {
    for (std::size_t row = run.first; row <= run.last; ++row) all.push_back(row);
  }
  return all;
}

/// 0, 1, 2, ... as `type`.
Array counted(const Shape& shape, DType type = DType::f32) {
  std::vector<double> values(element_count(shape));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i);
  return Array::of<double>(shape, values).converted(type);
}

}  // namespace

TEST_CASE("rows count from 0, ranges hold both ends and may be open") {
  CHECK(rows_of("3", 5) == std::vector<std::size_t>{3});
  CHECK(rows_of("3,0..2,3", 5) == std::vector<std::size_t>{3, 0, 1, 2, 3});
  CHECK(rows_of("..1", 5) == std::vector<std::size_t>{0, 1});
  CHECK(rows_of("3..", 5) == std::vector<std::size_t>{3, 4});
}

TEST_CASE("rows without meaning and rows that are not there are told apart") {
  for (const char* text : {"", "a", "1,", ",1", "..", "1...2", "-1", "1.5", "2..1", "0x1"}) {
    INFO(text);
    CHECK(error_of([&] { (void)parse_rows(text, 5); }).status() == Status::usage);
  }
  for (const char* text : {"5", "0..5", "5..", "..7", "99999999999999999"}) {
    INFO(text);
    CHECK(error_of([&] { (void)parse_rows(text, 5); }).status() == Status::data);
  }
  CHECK(test::contains(error_of([] { (void)parse_rows("5", 5); }).what(), "0 to 4"));
  CHECK(error_of([] { (void)parse_rows("0..", 0); }).status() == Status::data);
}

TEST_CASE("taking rows keeps every matrix of a stack apart, for every element size") {
  for (const DType type : test::all_types) {
    const Array all = test::sample_array(type, {2, 5, 3});
    const Array some = take_rows(all, std::vector<RowRun>{{4, 4}, {1, 2}});
    REQUIRE(some.shape() == Shape{2, 3, 3});
    const std::size_t rows[] = {4, 1, 2};
    for (std::size_t i = 0; i < some.size(); ++i) CHECK(some.at_flat(i) == all.at_flat(i / 9 * 15 + rows[i / 3 % 3] * 3 + i % 3));
  }
}

TEST_CASE("one run of a matrix shares its memory and outlives it") {
  Array part;
  {
    const Array all = counted({5, 3});
    part = take_rows(all, std::vector<RowRun>{{1, 3}});
    CHECK(part.data() == all.data() + 3 * sizeof(float));
  }
  CHECK(part.shape() == Shape{3, 3});
  CHECK(part.at_flat(0) == 3);
  CHECK(part.at_flat(8) == 11);
  CHECK(take_rows(counted({5, 0}), std::vector<RowRun>{{1, 3}}).shape() == Shape{3, 0});
  CHECK(error_of([] { (void)take_rows(counted({5}), std::vector<RowRun>{{0, 0}}); }).status() == Status::data);
}

TEST_CASE("taking columns repeats and reorders") {
  const Array some = take_columns(counted({2, 4}, DType::i16), std::vector<std::size_t>{3, 0, 3});
  CHECK(some.shape() == Shape{2, 3});
  const double expected[] = {3, 0, 3, 7, 4, 7};
  for (std::size_t i = 0; i < 6; ++i) CHECK(some.at_flat(i) == expected[i]);
  CHECK(take_columns(counted({4}), std::vector<std::size_t>{1}).shape() == Shape{1});
}

TEST_CASE("transposing swaps the last two axes at all sizes around the tile") {
  for (const std::size_t rows : {0U, 1U, 2U, 31U, 32U, 33U, 67U}) {
    for (const std::size_t columns : {0U, 1U, 5U, 32U, 65U}) {
      const Array all = counted({2, rows, columns});
      const Array swapped = transposed(all);
      REQUIRE(swapped.shape() == Shape{2, columns, rows});
      for (std::size_t o = 0; o < 2; ++o) {
        for (std::size_t i = 0; i < rows; ++i) {
          for (std::size_t j = 0; j < columns; ++j)
            REQUIRE(swapped.at_flat((o * columns + j) * rows + i) == all.at_flat((o * rows + i) * columns + j));
        }
      }
    }
  }
  CHECK(transposed(counted({3})).shape() == Shape{3, 1});
  CHECK_THROWS_AS((void)transposed(counted({})), Error);
}

TEST_CASE("one size of a new shape may be left open") {
  CHECK(reshaped(counted({4, 6}), std::vector<std::int64_t>{2, 3, -1}).shape() == Shape{2, 3, 4});
  CHECK(reshaped(counted({4, 6}), std::vector<std::int64_t>{-1}).shape() == Shape{24});
  CHECK(reshaped(counted({0, 6}), std::vector<std::int64_t>{-1, 3}).shape() == Shape{0, 3});
  for (const auto& bad : std::vector<std::vector<std::int64_t>>{{-1, -1}, {-2, 12}, {}, {1, 1, 1, 1, 24}})
    CHECK(error_of([&] { (void)reshaped(counted({4, 6}), bad); }).status() == Status::usage);
  for (const auto& bad : std::vector<std::vector<std::int64_t>>{{5, -1}, {5, 5}, {0, -1}, {std::int64_t{1} << 62, 8}})
    CHECK(error_of([&] { (void)reshaped(counted({4, 6}), bad); }).status() == Status::data);
}

TEST_CASE("heads are split and merged as the layout says") {
  const Array packed = counted({2, 3, 8});
  const Array split = split_heads(packed, 4);
  REQUIRE(split.shape() == Shape{2, 4, 3, 2});
  for (std::size_t b = 0; b < 2; ++b) {
    for (std::size_t h = 0; h < 4; ++h) {
      for (std::size_t i = 0; i < 3; ++i) {
        for (std::size_t d = 0; d < 2; ++d)
          CHECK(split.at_flat(((b * 4 + h) * 3 + i) * 2 + d) == packed.at_flat((b * 3 + i) * 8 + h * 2 + d));
      }
    }
  }
  const Array merged = merge_heads(split);
  REQUIRE(merged.shape() == packed.shape());
  for (std::size_t i = 0; i < packed.size(); ++i) CHECK(merged.at_flat(i) == packed.at_flat(i));
  CHECK(split_heads(counted({3, 8}), 2).shape() == Shape{2, 3, 4});
  CHECK(merge_heads(counted({2, 3, 4})).shape() == Shape{3, 8});
  const Error error = error_of([] { (void)split_heads(counted({3, 12}), 5); });
  CHECK(error.status() == Status::data);
  CHECK(test::contains(error.hint(), "1, 2, 3, 4, 6, 12"));
  CHECK(error_of([] { (void)split_heads(counted({3, 12}), 0); }).status() == Status::data);
  CHECK(error_of([] { (void)split_heads(counted({12}), 3); }).status() == Status::data);
  CHECK(error_of([] { (void)merge_heads(counted({3, 12})); }).status() == Status::data);
}

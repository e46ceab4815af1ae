// Generated arrays against fixtures computed in Python from the publications, and against bytes that must never change.
#include "analysis/generate.hpp"

#include "io/support.hpp"

#include <cmath>
#include <limits>

#include <doctest/doctest.h>

using namespace attn;
using namespace attn::analysis;
using test::error_of;

namespace {

Array expected(const std::string& name) { return test::read(std::string(ATTN_TEST_DATA) + "/gen/" + name).array; }

/// Largest difference in units of the last place of `b`.
double units_apart(const Array& a, const Array& b) {
  REQUIRE(a.shape() == b.shape());
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double x = b.at_flat(i);
    const double unit = std::nextafter(std::abs(x), HUGE_VAL) - std::abs(x);
    const double apart = std::abs(a.at_flat(i) - x) / unit;
    worst = apart <= worst ? worst : apart;  // NaN wins
  }
  return worst;
}

std::uint64_t fnv1a(const Array& array) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (std::size_t i = 0; i < array.bytes(); ++i) {
    hash ^= std::to_integer<std::uint64_t>(array.data()[i]);
    hash *= 0x100000001b3;
  }
  return hash;
}

}  // namespace

TEST_CASE("random numbers are those of the publications") {
  const Recipe normal{.shape = {257}, .dtype = DType::f64};
  CHECK(units_apart(generate(normal), expected("normal_seed0.npy")) <= 8);
  CHECK(units_apart(generate({.shape = {63}, .seed = 0xfffffffffffffffd, .dtype = DType::f64}),
                    expected("normal_seed_large.npy")) <= 8);
  CHECK(units_apart(generate({.kind = Kind::uniform, .shape = {257}, .seed = 7, .low = -2, .high = 3, .dtype = DType::f64}),
                    expected("uniform_seed7.npy")) == 0);
  CHECK(units_apart(generate({.kind = Kind::integers, .shape = {257}, .seed = 1, .low = -3, .high = 3, .dtype = DType::i64}),
                    expected("integers_seed1.npy")) == 0);
  const Array classes = expected("classes_seed5.npy");
  const Array rows = generate({.kind = Kind::one_hot, .shape = {101, 10}, .seed = 5, .dtype = DType::boolean});
  for (std::size_t i = 0; i < rows.size(); ++i)
    CHECK(rows.at_flat(i) == (static_cast<double>(i % 10) == classes.at_flat(i / 10) ? 1 : 0));
}

TEST_CASE("positions are the sinusoids to one unit in the last place, in both types") {
  for (const char* name : {"positions_64.npy", "positions_7.npy"}) {
    const Array exact = expected(name);
    const Array wide = generate({.kind = Kind::positions, .shape = exact.shape(), .dtype = DType::f64});
    CHECK(units_apart(wide, exact) <= 1);
    const Array narrow = generate({.kind = Kind::positions, .shape = exact.shape()});
    const Array rounded = exact.converted(DType::f32);
    for (std::size_t i = 0; i < narrow.size(); ++i) {
      const float x = narrow.values<float>()[i];
      const float y = rounded.values<float>()[i];
      CHECK((x == y || x == std::nextafter(y, HUGE_VALF) || x == std::nextafter(y, -HUGE_VALF)));
    }
  }
}

TEST_CASE("the bytes of a seed never change") {
  const auto hash = [](Kind kind, DType type, Shape shape) {
    Recipe recipe{.kind = kind, .shape = std::move(shape), .seed = 42, .dtype = type};
    if (kind == Kind::integers) recipe.high = 9;
    return fnv1a(generate(recipe));
  };
  CHECK(hash(Kind::normal, DType::f32, {3, 5, 701}) == 0xc8fbcd9860e4482a);
  CHECK(hash(Kind::normal, DType::f64, {3, 5, 701}) == 0x531194b7e1736013);
  CHECK(hash(Kind::uniform, DType::f32, {10007}) == 0xa17fdb11773f6e8);
  CHECK(hash(Kind::uniform, DType::f64, {10007}) == 0xe868e9f079b68189);
  CHECK(hash(Kind::integers, DType::f32, {10007}) == 0xbf13b26528cd758b);
  CHECK(hash(Kind::one_hot, DType::f32, {997, 13}) == 0x9eee508bb14d9528);
  CHECK(hash(Kind::positions, DType::f32, {501, 63}) == 0xd1d9b4ebf13b4749);
  CHECK(hash(Kind::positions, DType::f64, {501, 64}) == 0x7139ec03bacbd6f1);
  CHECK(hash(Kind::orthogonal, DType::f32, {2, 31, 67}) == 0x94dce108e1c0bdf4);
  CHECK(hash(Kind::orthogonal, DType::f64, {67, 31}) == 0x86fc64e2ca8db163);
}

TEST_CASE("elements depend on their flat index alone, and float32 is float64 rounded") {
  for (const Kind kind : {Kind::normal, Kind::uniform, Kind::integers}) {
    const Array all = generate({.kind = kind, .shape = {9001}, .seed = 3, .high = 5, .dtype = DType::f64});
    const Array some = generate({.kind = kind, .shape = {67, 61}, .seed = 3, .high = 5});
    for (std::size_t i = 0; i < some.size(); ++i) REQUIRE(some.values<float>()[i] == static_cast<float>(all.values<double>()[i]));
    const Array other = generate({.kind = kind, .shape = {67, 61}, .seed = 4, .high = 5});
    CHECK(fnv1a(some) != fnv1a(other));
  }
}

TEST_CASE("moments and limits are those of the distributions") {
  constexpr std::size_t n = 200'000;
  const Array normal = generate({.shape = {n}, .mean = 3, .std = 2, .dtype = DType::f64});
  double sum = 0;
  double squares = 0;
  for (const double x : normal.values<double>()) {
    sum += x;
    squares += (x - 3) * (x - 3);
  }
  CHECK(std::abs(sum / n - 3) < 5 * 2 / std::sqrt(static_cast<double>(n)));
  CHECK(std::abs(squares / n - 4) < 5 * 4 * std::sqrt(2.0 / n));
  std::size_t counts[7] = {};
  const Array integers = generate({.kind = Kind::integers, .shape = {n}, .low = -3, .high = 3});
  for (const float x : integers.values<float>()) ++counts[static_cast<std::size_t>(x + 3)];
  for (const std::size_t count : counts) CHECK(std::abs(static_cast<double>(count) - n / 7.0) < 5 * std::sqrt(n / 7.0));
  // A range of one step of float32: half of the numbers would round up to `high`.
  const float next = std::nextafter(1.0F, 2.0F);
  const Array narrow = generate({.kind = Kind::uniform, .shape = {999}, .low = 1, .high = static_cast<double>(next)});
  for (const float x : narrow.values<float>()) REQUIRE(x == 1.0F);
}

TEST_CASE("orthogonal matrices are orthonormal along the shorter side") {
  for (const Shape& shape : {Shape{1, 1}, Shape{7, 7}, Shape{5, 64}, Shape{2, 64, 5}, Shape{3, 17}, Shape{8}}) {
    const Array m = generate({.kind = Kind::orthogonal, .shape = shape, .seed = 9, .dtype = DType::f64});
    const std::size_t columns = shape.back();
    const std::size_t rows = shape.size() > 1 ? shape[shape.size() - 2] : 1;
    const bool by_row = rows <= columns;
    const std::size_t vectors = by_row ? rows : columns;
    const std::size_t length = by_row ? columns : rows;
    const auto at = [&](std::size_t v, std::size_t k) { return m.at_flat(by_row ? v * columns + k : k * columns + v); };
    for (std::size_t a = 0; a < vectors; ++a) {
      for (std::size_t b = 0; b <= a; ++b) {
        double product = 0;
        for (std::size_t k = 0; k < length; ++k) product += at(a, k) * at(b, k);
        CHECK(std::abs(product - (a == b ? 1 : 0)) <= 1e-14);
      }
    }
  }
}

TEST_CASE("structured kinds") {
  const Array eye = generate({.kind = Kind::identity, .shape = {2, 3, 4}});
  for (std::size_t i = 0; i < eye.size(); ++i) CHECK(eye.at_flat(i) == (i % 4 == i / 4 % 3 ? 1 : 0));
  const Array range = generate({.kind = Kind::range, .shape = {5000, 2}, .dtype = DType::i32});
  for (std::size_t i = 0; i < range.size(); ++i) REQUIRE(range.at_flat(i) == static_cast<double>(i));
  CHECK(generate({.kind = Kind::ones, .shape = {3}, .dtype = DType::boolean}).at_flat(2) == 1);
  CHECK(generate({.kind = Kind::zeros, .shape = {3}}).at_flat(2) == 0);
  for (const Kind kind : {Kind::normal, Kind::one_hot, Kind::positions, Kind::orthogonal, Kind::identity}) {
    CHECK(generate({.kind = kind, .shape = {0, 4}}).shape() == Shape{0, 4});
    CHECK(generate({.kind = kind, .shape = {4, 0}}).shape() == Shape{4, 0});
  }
}

TEST_CASE("ranges and shapes without meaning are refused") {
  const double nan = std::nan("");
  const std::vector<Recipe> bad{
      {.shape = {}},
      {.shape = {1, 1, 1, 1, 1}},
      {.shape = {1}, .std = -1},
      {.shape = {1}, .mean = nan},
      {.kind = Kind::uniform, .shape = {1}, .low = 1, .high = 1},
      {.kind = Kind::uniform, .shape = {1}, .low = 0, .high = nan},
      {.kind = Kind::uniform, .shape = {1}, .low = -1.7e308, .high = 1.7e308},
      {.kind = Kind::integers, .shape = {1}, .low = 0.5, .high = 3},
      {.kind = Kind::integers, .shape = {1}, .low = 3, .high = 2},
      {.kind = Kind::integers, .shape = {1}, .low = 0, .high = 1e300},
  };
  for (const Recipe& recipe : bad) CHECK(error_of([&] { (void)generate(recipe); }).status() == Status::usage);
  CHECK(error_of([] { (void)generate({.shape = {4}, .dtype = DType::i32}); }).status() == Status::usage);
  CHECK(error_of([] { (void)generate({.kind = Kind::range, .shape = {300}, .dtype = DType::u8}); }).status() == Status::data);
  CHECK(error_of([] { (void)generate({.shape = {std::size_t{1} << 40, std::size_t{1} << 40}}); }).status() == Status::memory);
}

// Projections: against sums in long double, over odd sizes, types, orientations, parts of joined weights and threads.
#include "model/linear.hpp"

#include "io/support.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include <doctest/doctest.h>

using namespace attn;
using namespace attn::model;
using namespace attn::test;

namespace {

constexpr unsigned kSeed = 20240611;

Array random_array(const Shape& shape, DType type, std::mt19937& random) {
  std::normal_distribution<double> normal;
  Array array(DType::f64, shape);
  for (double& x : array.mutable_values<double>()) x = normal(random);
  return array.converted(type);
}

/// A weight of its own, or the middle one of three in a joined tensor.
Matrix random_matrix(std::size_t in, std::size_t out, Orientation orientation, bool joined, DType type, std::mt19937& random) {
  const std::size_t parts = joined ? 3 : 1;
  const bool in_first = orientation == Orientation::in_out;
  Matrix m{.array = random_array(in_first ? Shape{in, parts * out} : Shape{parts * out, in}, type, random),
           .orientation = orientation,
           .in = in,
           .out = out};
  m.stride = m.array.shape()[1];
  m.first = !joined ? 0 : in_first ? out : out * in;
  return m;
}

double element(const Matrix& m, std::size_t i, std::size_t o) {
  return m.array.at_flat(m.orientation == Orientation::in_out ? m.first + i * m.stride + o : m.first + o * m.stride + i);
}

/// The largest error of `out` in units of the sum of absolute products.
template <class T>
double worst_error(const Linear& linear, const Array& x, const std::vector<T>& out) {
  const Matrix& w = linear.weight;
  double worst = 0;
  for (std::size_t r = 0; r < x.size() / w.in; ++r) {
    for (std::size_t o = 0; o < w.out; ++o) {
      long double sum = linear.has_bias() ? static_cast<long double>(linear.bias.at_flat(o)) : 0;
      long double size = std::abs(sum);
      for (std::size_t i = 0; i < w.in; ++i) {
        const long double product =
            static_cast<long double>(x.at_flat(r * w.in + i)) * static_cast<long double>(element(w, i, o));
        sum += product;
        size += std::abs(product);
      }
      const double error = static_cast<double>(std::abs(static_cast<long double>(out[r * w.out + o]) - sum) / size);
      if (!(error <= worst)) worst = error;
    }
  }
  return worst;
}

template <class T>
std::vector<T> applied(const Linear& linear, const Array& x, Arithmetic arithmetic, std::size_t threads) {
  std::vector<T> out(x.size() / linear.weight.in * linear.weight.out, T{77});
  apply_linear(linear, x, "x", out.data(), arithmetic, {.threads = threads, .isa = {}, .cancelled = nullptr, .progress = {}});
  return out;
}

template <class T>
void check(const Linear& linear, const Array& x) {
  const auto limit = 4 * static_cast<double>(std::numeric_limits<T>::epsilon());
  for (const Arithmetic arithmetic : {Arithmetic::blas, Arithmetic::plain}) {
    const std::vector<T> out = applied<T>(linear, x, arithmetic, 1);
    const double worst = worst_error(linear, x, out);
    CAPTURE(worst);
    // Sums grow by one rounding a term at worst; random ones by far less.
    CHECK(worst <= limit * std::sqrt(static_cast<double>(linear.weight.in) + 1));
    for (const std::size_t threads : {2U, 5U}) CHECK(applied<T>(linear, x, arithmetic, threads) == out);
  }
}

}  // namespace

TEST_CASE("projections over sizes, types and layouts") {
  std::mt19937 random(kSeed);
  MESSAGE("seed " << kSeed);
  struct Sizes {
    std::size_t rows, in, out;
  };
  // One row, block edges (128, 512 rows; 256, 1024 columns) and primes around vectors.
  for (const Sizes s : {Sizes{1, 1, 1},
                        {1, 67, 300},
                        {2, 7, 5},
                        {3, 16, 17},
                        {13, 31, 29},
                        {129, 5, 33},
                        {641, 9, 3},
                        {2, 3, 1031},
                        {130, 3, 1025}}) {
    for (const Orientation orientation : {Orientation::in_out, Orientation::out_in}) {
      for (const bool joined : {false, true}) {
        for (const DType type : {DType::f32, DType::f64, DType::f16, DType::bf16}) {
          CAPTURE(s.rows);
          CAPTURE(s.in);
          CAPTURE(s.out);
          CAPTURE(joined);
          CAPTURE(dtype_name(type));
          Linear linear{.weight = random_matrix(s.in, s.out, orientation, joined, type, random), .bias = {}};
          const bool has_bias = (s.rows + s.out) % 2 == 0;
          if (has_bias) linear.bias = random_array({s.out}, type, random);
          const DType x_type = type == DType::bf16 ? DType::f16 : DType::f32;
          const Array x = random_array(s.rows % 2 == 0 ? Shape{2, s.rows / 2, s.in} : Shape{s.rows, s.in}, x_type, random);
          check<double>(linear, x);
          if (type != DType::f64) check<float>(linear, x);
        }
      }
    }
  }
}

TEST_CASE("nothing to project") {
  std::mt19937 random(kSeed);
  const Linear linear{.weight = random_matrix(3, 2, Orientation::out_in, false, DType::f32, random), .bias = {}};
  CHECK(applied<float>(linear, Array(DType::f32, {0, 3}), Arithmetic::blas, 1).empty());
  const Error error = error_of([&] {
    float out[2];
    apply_linear(linear, Array(DType::f32, {1, 4}), "query x.npy", out, Arithmetic::plain, {});
  });
  CHECK(error.status() == Status::data);
  CHECK(contains(error.what(), "query x.npy [1, 4] does not fit the parameters: they take rows of 3 numbers"));
}

TEST_CASE("rows do not mix: NaN and infinity stay in theirs") {
  std::mt19937 random(kSeed);
  for (const std::size_t rows : {5U, 200U}) {
    const Linear linear{.weight = random_matrix(19, 23, Orientation::out_in, false, DType::f32, random), .bias = {}};
    Array x = random_array({rows, 19}, DType::f32, random);
    const std::vector<float> clean = applied<float>(linear, x, Arithmetic::blas, 1);
    Array spoiled(DType::f32, x.shape());
    std::memcpy(spoiled.mutable_data(), x.data(), x.bytes());
    spoiled.mutable_values<float>()[2 * 19 + 3] = std::numeric_limits<float>::quiet_NaN();
    spoiled.mutable_values<float>()[4 * 19] = std::numeric_limits<float>::infinity();
    const std::vector<float> out = applied<float>(linear, spoiled, Arithmetic::blas, 1);
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t o = 0; o < 23; ++o) {
        if (r == 2 || r == 4) {
          CHECK_FALSE(std::isfinite(out[r * 23 + o]));
        } else {
          REQUIRE(out[r * 23 + o] == clean[r * 23 + o]);
        }
      }
    }
  }
}

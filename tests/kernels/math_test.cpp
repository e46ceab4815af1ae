// exp2, tanh and the logistic function of every vector target against long double, and their special values.
#include "kernels/kernel_support.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include <doctest/doctest.h>

namespace attn::kernels::test {

namespace {

template <class T>
constexpr T kNan = std::numeric_limits<T>::quiet_NaN();

/// The largest error of `kernel` over `draws` arguments given by `argument`, in units in the last place.
template <class T, class Kernel, class Argument, class Exact>
double worst_ulps(Kernel kernel, Argument argument, Exact exact, std::size_t draws = 400000) {
  constexpr std::size_t rows = 64;
  double worst = 0;
  for (std::size_t done = 0; done < draws; done += rows * kLanes) {
    Lanes<T> values(rows);
    for (std::size_t i = 0; i < rows * kLanes; ++i) values.get()[i] = argument();
    const Lanes<T> arguments(values);
    kernel(values.get(), rows);
    for (std::size_t i = 0; i < rows * kLanes; ++i) {
      const double error = ulps(values.get()[i], exact(static_cast<long double>(arguments.get()[i])));
      if (!(error <= worst)) worst = error;
    }
  }
  return worst;
}

}  // namespace

TEST_CASE_TEMPLATE("exp2 is within 1.1 units in the last place", T, float, double) {
  const double limit = std::is_same_v<T, float> ? -125.0 : -1021.0;
  for (const auto* table : available<T>()) {
    CAPTURE(table->isa);
    const auto exact = [](long double x) { return std::exp2(x); };
    Random random(1);
    CHECK(worst_ulps<T>(
              table->exp2, [&] { return static_cast<T>(random.uniform() * limit); }, exact) <= 1.1);
    CHECK(worst_ulps<T>(
              table->exp2, [&] { return static_cast<T>(-random.uniform()); }, exact) <= 1.1);
    CHECK(worst_ulps<T>(
              table->exp2, [&] { return static_cast<T>(-std::ldexp(random.uniform(), -20)); }, exact) <= 1.1);
  }
}

TEST_CASE_TEMPLATE("exp2 of the special arguments", T, float, double) {
  const int least = std::is_same_v<T, float> ? -125 : -1021;
  for (const auto* table : available<T>()) {
    CAPTURE(table->isa);
    Lanes<T> x(1, T(0));
    x.at(0, 1) = -T(0);
    x.at(0, 2) = -kInf<T>;
    x.at(0, 3) = kNan<T>;
    x.at(0, 4) = std::numeric_limits<T>::lowest();
    x.at(0, 5) = static_cast<T>(least);
    x.at(0, 6) = static_cast<T>(least) - T(0.75);
    x.at(0, 7) = T(-1);
    x.at(0, 8) = -std::numeric_limits<T>::denorm_min();
    table->exp2(x.get(), 1);
    CHECK(x.at(0, 0) == 1);
    CHECK(x.at(0, 1) == 1);
    CHECK(x.at(0, 2) == 0);
    CHECK(std::isnan(x.at(0, 3)));
    CHECK(x.at(0, 4) == 0);
    CHECK(x.at(0, 5) == std::ldexp(T(1), least));
    CHECK(x.at(0, 6) == 0);
    CHECK(x.at(0, 7) == T(0.5));
    CHECK(x.at(0, 8) == 1);
  }
}

TEST_CASE_TEMPLATE("tanh is accurate near zero, in the middle and far out", T, float, double) {
  for (const auto* table : available<T>()) {
    CAPTURE(table->isa);
    const auto exact = [](long double x) { return std::tanh(x); };
    Random random(2);
    CHECK(worst_ulps<T>(
              table->tanh, [&] { return static_cast<T>(random.normal()); }, exact) <= 4.0);
    CHECK(worst_ulps<T>(
              table->tanh, [&] { return static_cast<T>(random.normal() * 1e-3); }, exact) <= 4.0);
    CHECK(worst_ulps<T>(
              table->tanh, [&] { return static_cast<T>(random.normal() * 20); }, exact) <= 4.0);
    Lanes<T> x(1, T(0));
    x.at(0, 1) = kInf<T>;
    x.at(0, 2) = -kInf<T>;
    x.at(0, 3) = kNan<T>;
    x.at(0, 4) = T(1e-30);
    x.at(0, 5) = -T(0);
    x.at(0, 6) = -T(3e30);
    table->tanh(x.get(), 1);
    CHECK(x.at(0, 0) == 0);
    CHECK(x.at(0, 1) == 1);
    CHECK(x.at(0, 2) == -1);
    CHECK(std::isnan(x.at(0, 3)));
    CHECK(x.at(0, 4) == T(1e-30));
    CHECK(std::signbit(x.at(0, 5)));
    CHECK(x.at(0, 6) == -1);
  }
}

TEST_CASE_TEMPLATE("the logistic function does not overflow", T, float, double) {
  for (const auto* table : available<T>()) {
    CAPTURE(table->isa);
    const auto kernel = [&](T* values, std::size_t rows) { table->sigmoid(values, rows, kLanes); };
    const auto exact = [](long double x) { return 1 / (1 + std::exp(-x)); };
    Random random(3);
    CHECK(worst_ulps<T>(
              kernel, [&] { return static_cast<T>(random.normal()); }, exact) <= 5.0);
    // The rounding of x * log2(e) grows with x, as it does in x itself.
    CHECK(worst_ulps<T>(
              kernel, [&] { return static_cast<T>(random.uniform() * 80 - 40); }, exact) <= 50.0);
    Lanes<T> x(1, T(0));
    x.at(0, 1) = kInf<T>;
    x.at(0, 2) = -kInf<T>;
    x.at(0, 3) = kNan<T>;
    x.at(0, 4) = std::numeric_limits<T>::max();
    x.at(0, 5) = std::numeric_limits<T>::lowest();
    table->sigmoid(x.get(), 1, kLanes);
    CHECK(x.at(0, 0) == T(0.5));
    CHECK(x.at(0, 1) == 1);
    CHECK(x.at(0, 2) == 0);
    CHECK(std::isnan(x.at(0, 3)));
    CHECK(x.at(0, 4) == 1);
    CHECK(x.at(0, 5) == 0);
  }
}

}  // namespace attn::kernels::test

// GELU, its approximation, SiLU and ReLU of every vector target against long double, their tails and special values.
#include "kernels/activations.hpp"

#include "kernels/kernel_support.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include <doctest/doctest.h>

namespace attn::kernels::test {

namespace {

template <class T>
using Kernel = void (*)(T*, const T*, std::size_t);

constexpr long double kPi = 3.14159265358979323846L;

long double gelu(long double x) { return x * std::erfc(-x / std::sqrt(2.0L)) / 2; }
long double gelu_tanh(long double x) { return x / (1 + std::exp(-2 * std::sqrt(2 / kPi) * (x + 0.044715L * x * x * x))); }
long double silu(long double x) { return x / (1 + std::exp(-x)); }

/// The largest error for arguments of `size` in units in the last place, and over the largest result.
template <class T, class Exact>
void check_error(Kernel<T> kernel, Exact exact, double size, double most_ulps, double most_absolute) {
  Random random(20240611);
  std::vector<T> x(100003);
  for (T& number : x) number = static_cast<T>((2 * random.uniform() - 1) * size);
  const std::vector<T> arguments = x;
  kernel(x.data(), nullptr, x.size());
  double worst_ulps = 0;
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const long double truth = exact(static_cast<long double>(arguments[i]));
    const double error = ulps(x[i], truth);
    if (!(error <= worst_ulps)) worst_ulps = error;
    const auto difference = static_cast<double>(std::abs(static_cast<long double>(x[i]) - truth));
    if (!(difference <= worst)) worst = difference;
  }
  CAPTURE(size);
  CHECK(worst_ulps <= most_ulps);
  CHECK(worst <= most_absolute * size * static_cast<double>(std::numeric_limits<T>::epsilon()));
}

template <class T>
T of(Kernel<T> kernel, T x) {
  kernel(&x, nullptr, 1);
  return x;
}

}  // namespace

TEST_CASE_TEMPLATE("activations against long double", T, float, double) {
  for (const auto* table : available<T>()) {
    CAPTURE(table->isa);
    const ActivationKernels<T>& kernels = activation_kernels<T>(table->isa);
    for (const double size : {1e-3, 1.0, 4.0, 10.0}) {
      check_error<T>(kernels.gelu, gelu, size, 8, 2);
      // Here the exponent is a number like any other and is rounded: what is lost is small beside the largest result.
      check_error<T>(kernels.gelu_tanh, gelu_tanh, size, size < 2 ? 6 : size < 5 ? 1e3 : 1e9, 2);  // at -10: 0 for 1e-38
      check_error<T>(kernels.silu, silu, size, size < 2 ? 6 : 60, 2);
    }
  }
}

TEST_CASE_TEMPLATE("activations of special arguments", T, float, double) {
  constexpr T infinity = std::numeric_limits<T>::infinity();
  constexpr T nan = std::numeric_limits<T>::quiet_NaN();
  for (const auto* table : available<T>()) {
    CAPTURE(table->isa);
    const ActivationKernels<T>& k = activation_kernels<T>(table->isa);
    for (const Kernel<T> kernel : {k.relu, k.gelu, k.gelu_tanh, k.silu}) {
      CHECK(of(kernel, T(0)) == 0);
      CHECK(of(kernel, infinity) == infinity);
      CHECK(of(kernel, T(1000)) == 1000);
      CHECK(of(kernel, std::numeric_limits<T>::max()) == std::numeric_limits<T>::max());
      CHECK(std::abs(of(kernel, T(-1000))) == 0);
      CHECK(std::isnan(of(kernel, nan)));
    }
    CHECK(of(k.relu, T(-2)) == 0);
    CHECK(of(k.relu, T(2)) == 2);
  }
}

TEST_CASE_TEMPLATE("activations: every count, the same bits everywhere", T, float, double) {
  Random random(7);
  std::vector<T> x(67);
  std::vector<T> factor(x.size());
  for (T& number : x) number = static_cast<T>(random.normal() * 3);
  for (T& number : factor) number = static_cast<T>(random.normal());
  using Member = void (*ActivationKernels<T>::*)(T*, const T*, std::size_t);
  for (const Member member : {&ActivationKernels<T>::relu, &ActivationKernels<T>::gelu, &ActivationKernels<T>::gelu_tanh,
                              &ActivationKernels<T>::silu}) {
    // One number after the other on the portable target.
    const Kernel<T> plain = activation_kernels<T>("portable").*member;
    std::vector<T> expected = x;
    for (T& number : expected) plain(&number, nullptr, 1);
    for (const auto* table : available<T>()) {
      CAPTURE(table->isa);
      const Kernel<T> kernel = activation_kernels<T>(table->isa).*member;
      for (std::size_t count = 0; count <= x.size(); ++count) {
        CAPTURE(count);
        std::vector<T> got = x;
        kernel(got.data(), nullptr, count);
        CHECK(std::memcmp(got.data(), expected.data(), count * sizeof(T)) == 0);
        CHECK(std::memcmp(got.data() + count, x.data() + count, (x.size() - count) * sizeof(T)) == 0);
        got = x;
        kernel(got.data(), factor.data(), count);
        for (std::size_t i = 0; i < count; ++i) CHECK(got[i] == expected[i] * factor[i]);
      }
    }
  }
}

}  // namespace attn::kernels::test

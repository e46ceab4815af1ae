// The kernels that measure a processor do the work they are counted for: chains against std::fma, sums against exact integers.
#include "kernels/peak.hpp"

#include "kernels/kernel_support.hpp"

#include <doctest/doctest.h>

using namespace attn::kernels;
using attn::kernels::test::Random;

TEST_CASE_TEMPLATE("every chain takes every step, on every target", T, float, double) {
  Random random(7);
  std::vector<T> inputs(kPeakInputs * kPeakLanes);
  for (T& x : inputs) x = static_cast<T>(0.25 + 0.5 * random.uniform());
  for (const auto* table : available<T>()) {
    CAPTURE(table->isa);
    const PeakKernels<T>& kernels = peak_kernels<T>(table->isa);
    for (const std::size_t steps : {0U, 1U, 2U, 37U}) {
      CAPTURE(steps);
      std::vector<T> sums(kPeakLanes, std::numeric_limits<T>::quiet_NaN());
      kernels.fused_chains(inputs.data(), steps, sums.data());
      std::size_t lanes = 0;
      while (lanes < kPeakLanes && !std::isnan(sums[lanes])) ++lanes;
      REQUIRE(lanes > 0);
      REQUIRE(kernels.flops_per_step % (2 * lanes) == 0);
      const std::size_t chains = kernels.flops_per_step / (2 * lanes);
      REQUIRE(chains + 2 <= kPeakInputs);
      for (std::size_t lane = 0; lane < lanes; ++lane) {
        T expected = 0;
        for (std::size_t c = 0; c < chains; ++c) {
          T x = inputs[(2 + c) * kPeakLanes + lane];
          for (std::size_t step = 0; step < steps; ++step) x = std::fma(x, inputs[lane], inputs[kPeakLanes + lane]);
          expected = c == 0 ? x : expected + x;
        }
        CHECK(sums[lane] == expected);
      }
    }
  }
}

TEST_CASE_TEMPLATE("reading reads every element", T, float, double) {
  for (const auto* table : available<T>()) {
    CAPTURE(table->isa);
    const PeakKernels<T>& kernels = peak_kernels<T>(table->isa);
    for (const std::size_t count : {0U, 1U, 7U, 8U, 63U, 64U, 65U, 127U, 128U, 129U, 1021U}) {
      CAPTURE(count);
      // One element more than is read, which must not count; whole numbers, so that every order of adding gives the same sum.
      std::vector<T> values(count + 1);
      for (std::size_t i = 0; i <= count; ++i) values[i] = static_cast<T>(i + 1);
      CHECK(kernels.read(values.data(), count) == static_cast<T>(count * (count + 1) / 2));
    }
  }
}

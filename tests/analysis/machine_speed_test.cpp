// Threads that start together, random arrays that do not depend on them, and measured rates that are at least numbers.
#include "analysis/machine_speed.hpp"

#include "analysis/team.hpp"
#include "engine/engine.hpp"

#include <cmath>
#include <set>
#include <thread>

#include <doctest/doctest.h>

using namespace attn;
using namespace attn::analysis;

TEST_CASE("each thread of a team works once, all at the same time") {
  for (const std::size_t threads : {1U, 2U, 3U, 8U}) {
    CAPTURE(threads);
    std::vector<int> calls(threads, 0);
    std::atomic<std::size_t> inside = 0;
    on_each_thread(threads, [&](std::size_t i) {
      ++calls[i];
      ++inside;
      // Nobody leaves before all are inside: this would hang if they came one after the other.
      while (inside < threads) std::this_thread::yield();
    });
    CHECK(calls == std::vector<int>(threads, 1));
  }
}

TEST_CASE("what a member of a team throws comes out, once all are done") {
  std::atomic<int> finished = 0;
  CHECK_THROWS_WITH_AS(on_each_thread(3,
                                      [&](std::size_t i) {
                                        if (i == 1) throw Error(Status::interrupted, "stop");
                                        ++finished;
                                      }),
                       "stop", Error);
  CHECK(finished == 2);
}

TEST_CASE("rounds are at least three, and each thread works in each") {
  std::vector<int> calls(2, 0);
  const double seconds = fastest_round(2, 0, [&](std::size_t i) { ++calls[i]; });
  CHECK(seconds > 0);
  CHECK(std::isfinite(seconds));
  CHECK(calls[0] >= 3);
  CHECK(calls[0] == calls[1]);
}

TEST_CASE_TEMPLATE("random arrays are the same for any number of threads, and differ by seed and stream", T, float, double) {
  const Shape shape{3, 12347};
  const auto bytes = [&](std::uint64_t seed, std::uint32_t stream, std::size_t threads) {
    const Array array = random_array<T>(shape, seed, stream, threads, nullptr);
    const auto values = array.values<T>();
    return std::vector<T>(values.begin(), values.end());
  };
  const std::vector<T> one = bytes(5, 1, 1);
  CHECK(one == bytes(5, 1, 2));
  CHECK(one == bytes(5, 1, 7));
  CHECK(one != bytes(6, 1, 1));
  CHECK(one != bytes(5, 2, 1));
  double sum = 0;
  double squares = 0;
  for (const T x : one) {
    sum += static_cast<double>(x);
    squares += static_cast<double>(x) * static_cast<double>(x);
  }
  const auto n = static_cast<double>(one.size());
  // Five standard errors of the mean and of the mean square of uniform numbers.
  CHECK(std::abs(sum / n) < 5 / std::sqrt(n));
  CHECK(std::abs(squares / n - 1) < 5 * std::sqrt(0.8 / n));
  CHECK(std::set<T>(one.begin(), one.end()).size() > one.size() * 99 / 100);
}

TEST_CASE("making random numbers can be interrupted") {
  const std::atomic<bool> cancelled = true;
  CHECK_THROWS_AS((void)random_array<float>({10}, 0, 0, 2, &cancelled), Error);
}

TEST_CASE_TEMPLATE("rates are positive numbers on every target", T, float, double) {
  const Array array = random_array<T>({1000}, 0, 0, 1, nullptr);
  for (const std::string& isa : engine::available_isas()) {
    CAPTURE(isa);
    PeakMeter<T> meter(isa, 2);
    CHECK(meter.flops_per_second() == 0);
    meter.measure();
    const double first = meter.flops_per_second();
    CHECK(first > 0);
    CHECK(std::isfinite(first));
    meter.measure();
    CHECK(meter.flops_per_second() >= first);
    ReadMeter<T> reading({array, array}, isa, 2);
    CHECK(reading.bytes_per_second() == 0);
    reading.measure();
    const double read = reading.bytes_per_second();
    CHECK(read > 0);
    CHECK(std::isfinite(read));
    reading.measure();
    CHECK(reading.bytes_per_second() >= read);
  }
  ReadMeter<T> nothing({}, "portable", 1);
  nothing.measure();
  CHECK(nothing.bytes_per_second() == 0);
}

// e^x of every vector target against long double, its ends and special values, and steps of a recurrence against plain loops.
#include "kernels/recurrence.hpp"

#include "kernels/kernel_support.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include <doctest/doctest.h>

namespace attn::kernels::test {

namespace {

template <class T>
long double wide(T x) {
  return static_cast<long double>(x);
}

/// The same step in long double.
template <class T>
void advance_plainly(const RecurrenceSteps<T>& s, std::vector<long double>& state, std::vector<long double>& out) {
  for (std::size_t t = 0; t < s.count; ++t) {
    for (std::size_t j = 0; j < s.columns; ++j) {
      long double added = wide(s.value[t * s.columns + j]);
      long double recalled = 0;
      for (std::size_t i = 0; i < s.head_dim; ++i) {
        long double& x = state[i * s.columns + j];
        if (s.gate != nullptr) x *= wide(s.gate[t * s.gate_width + (s.gate_width == 1 ? 0 : i)]);
        recalled += wide(s.key[t * s.key_stride + i]) * x;
      }
      if (s.rate != nullptr) added = wide(s.rate[t]) * (added - recalled);
      for (std::size_t i = 0; i < s.head_dim; ++i) state[i * s.columns + j] += wide(s.key[t * s.key_stride + i]) * added;
      for (std::size_t g = 0; g < s.group; ++g) {
        long double sum = 0;
        for (std::size_t i = 0; i < s.head_dim; ++i) sum += wide(s.query[g][t * s.query_stride + i]) * state[i * s.columns + j];
        out[(g * s.count + t) * s.columns + j] = wide(s.scale) * sum;
      }
    }
  }
}

}  // namespace

TEST_CASE_TEMPLATE("e^x against long double", T, float, double) {
  constexpr T infinity = std::numeric_limits<T>::infinity();
  const double most = sizeof(T) == sizeof(float) ? 87 : 708;
  for (const auto* table : available<T>()) {
    CAPTURE(table->isa);
    const RecurrenceKernels<T>& kernels = recurrence_kernels<T>(table->isa);
    for (const double size : {1e-6, 0.1, 1.0, 10.0, most}) {
      Random random(20260311);
      std::vector<T> x(10007);
      for (T& number : x) number = static_cast<T>((2 * random.uniform() - 1) * size);
      const std::vector<T> arguments = x;
      kernels.exponential(x.data(), x.size());
      double worst = 0;
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double error = ulps(x[i], std::exp(static_cast<long double>(arguments[i])));
        if (!(error <= worst)) worst = error;
      }
      CAPTURE(size);
      CHECK(worst <= 2);
    }
    std::vector<T> special{0,        -T(0),    infinity, -infinity, static_cast<T>(most + 2), static_cast<T>(-2 * most),
                           T(1e30F), -T(1e30F)};
    special.push_back(std::numeric_limits<T>::quiet_NaN());
    kernels.exponential(special.data(), special.size());
    CHECK(special[0] == 1);
    CHECK(special[1] == 1);
    CHECK(special[2] == infinity);
    CHECK(special[3] == 0);
    CHECK(special[4] == infinity);
    CHECK(special[5] == 0);
    CHECK(special[6] == infinity);
    CHECK(special[7] == 0);
    CHECK(std::isnan(special[8]));
    // Below the smallest normal number.
    T small = static_cast<T>(sizeof(T) == sizeof(float) ? -100 : -740);
    const long double exact = std::exp(static_cast<long double>(small));
    kernels.exponential(&small, 1);
    CHECK(std::abs(static_cast<long double>(small) - exact) <= std::numeric_limits<T>::denorm_min());
  }
}

TEST_CASE_TEMPLATE("steps against plain loops, with the same bits on every target", T, float, double) {
  Random random(20260312);
  for (const std::size_t head_dim : std::vector<std::size_t>{1, 2, 3, 4, 5, 7, 8, 13, 64}) {
    for (const std::size_t columns : std::vector<std::size_t>{16, 32, 64}) {
      for (int rule = 0; rule < 6; ++rule) {
        const std::size_t group = 1 + random.below(3);
        const std::size_t count = 1 + random.below(6);
        RecurrenceSteps<T> s;
        s.count = count;
        s.head_dim = head_dim;
        s.columns = columns;
        s.group = group;
        s.query_stride = s.key_stride = head_dim + random.below(3);
        s.gate_width = rule >= 4 ? 1 : head_dim;
        s.scale = static_cast<T>(0.75);
        std::vector<std::vector<T>> queries;
        std::vector<const T*> query_rows;
        for (std::size_t g = 0; g < group; ++g) queries.push_back(random_values<T>(random, count * s.query_stride));
        for (const auto& query : queries) query_rows.push_back(query.data());
        const auto key = random_values<T>(random, count * s.key_stride, 1 / std::sqrt(static_cast<double>(head_dim)));
        const auto value = random_values<T>(random, count * columns);
        std::vector<T> gate(count * s.gate_width);
        std::vector<T> rate(count);
        for (T& x : gate) x = static_cast<T>(random.uniform());
        for (T& x : rate) x = static_cast<T>(random.uniform());
        const auto start = random_values<T>(random, head_dim * columns);
        s.query = query_rows.data();
        s.key = key.data();
        s.value = value.data();
        s.gate = rule % 2 == 1 || rule >= 4 ? gate.data() : nullptr;
        s.rate = rule == 2 || rule == 3 || rule == 5 ? rate.data() : nullptr;
        std::vector<long double> state(start.begin(), start.end());
        std::vector<long double> out(group * count * columns);
        advance_plainly(s, state, out);
        std::vector<T> first;
        for (const auto* table : available<T>()) {
          CAPTURE(table->isa);
          CAPTURE(head_dim);
          CAPTURE(columns);
          CAPTURE(rule);
          std::vector<T> results = start;
          results.resize(start.size() + out.size());
          s.state = results.data();
          s.out = results.data() + start.size();
          recurrence_kernels<T>(table->isa).advance(s);
          double worst = 0;
          double largest = 1;
          for (std::size_t i = 0; i < results.size(); ++i) {
            const long double truth = i < state.size() ? state[i] : out[i - state.size()];
            const auto error = static_cast<double>(std::abs(wide(results[i]) - truth));
            if (!(error <= worst)) worst = error;
            largest = std::max(largest, static_cast<double>(std::abs(truth)));
          }
          CHECK(worst <= 8 * largest * static_cast<double>(std::numeric_limits<T>::epsilon()));
          if (first.empty()) first = results;
          CHECK(same_numbers(first.data(), results.data(), first.size()));
        }
      }
    }
  }
}

}  // namespace attn::kernels::test

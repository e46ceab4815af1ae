// Kernels for rows that lie anywhere: against float64, nothing read beyond a row, and the same bits on every vector target.
#include "kernels/kernel_support.hpp"

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace attn::kernels::test {

namespace {

constexpr std::size_t kDims[] = {0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 80, 127, 128, 131};
constexpr std::size_t kCounts[] = {0, 1, 2, 3, 4, 5, 7, 8, 13};

/// Rows in memory of their own each, that end where memory ends.
template <class T>
struct Scattered {
  Scattered(Random& random, std::size_t count, std::size_t dim) {
    for (std::size_t n = 0; n < count; ++n) {
      std::vector<T> row(dim);
      for (T& x : row) x = static_cast<T>(random.normal());
      fenced.push_back(std::make_unique<Fenced<T>>(row));
      rows.push_back(fenced.back()->get());
    }
  }
  std::vector<std::unique_ptr<Fenced<T>>> fenced;
  std::vector<const T*> rows;
};

}  // namespace

TEST_CASE_TEMPLATE("scattered rows have the scores and the weighted sums of rows in a row", T, float, double) {
  Random random(41);
  constexpr double tiny = sizeof(T) == sizeof(float) ? 0x1p-24 : 0x1p-53;
  for (const std::size_t dim : kDims) {
    for (const std::size_t count : kCounts) {
      CAPTURE(dim);
      CAPTURE(count);
      const Scattered<T> keys(random, count, dim);
      const Scattered<T> query(random, 1, dim);
      std::vector<T> weights(count);
      for (T& weight : weights) weight = static_cast<T>(random.uniform());
      const std::vector<T> before(dim, T(0.5));
      std::vector<T> first_scores;
      std::vector<T> first_output;
      for (const KernelTable<T>* table : available<T>()) {
        CAPTURE(std::string(table->isa));
        std::vector<T> scores(count, std::numeric_limits<T>::quiet_NaN());
        table->scattered_score_product(keys.rows.data(), count, dim, query.rows[0], scores.data());
        for (std::size_t n = 0; n < count; ++n) {
          double sum = 0;
          double size = 0;
          for (std::size_t d = 0; d < dim; ++d) {
            const double product = static_cast<double>(keys.rows[n][d]) * static_cast<double>(query.rows[0][d]);
            sum += product;
            size += std::abs(product);
          }
          CHECK(std::abs(static_cast<double>(scores[n]) - sum) <= size * tiny * static_cast<double>(dim / 16 + 6));
        }
        Fenced<T> output(before);
        table->scattered_value_product(weights.data(), keys.rows.data(), count, dim, output.get());
        for (std::size_t f = 0; f < dim; ++f) {
          T sum = before[f];
          for (std::size_t n = 0; n < count; ++n) sum = std::fma(weights[n], keys.rows[n][f], sum);
          CHECK(output.get()[f] == sum);
        }
        const std::vector<T> own(output.get(), output.get() + dim);
        if (table == available<T>().front()) {
          first_scores = scores;
          first_output = own;
        }
        CHECK(same_numbers(scores.data(), first_scores.data(), count));
        CHECK(same_numbers(own.data(), first_output.data(), dim));
      }
    }
  }
}

}  // namespace attn::kernels::test

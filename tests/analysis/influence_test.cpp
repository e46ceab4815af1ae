// Tests the influence of a key against attention made again without it.
#include "analysis/influence.hpp"

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include <doctest/doctest.h>

using attn::Normalizer;
using attn::analysis::change_without;
using attn::analysis::WeighedQuery;

namespace {

constexpr double hidden = -std::numeric_limits<double>::infinity();

/// Weights by the definition, in long double.
std::vector<double> weights_of(Normalizer kind, const std::vector<double>& logits) {
  std::vector<long double> x;
  for (const double l : logits)
    x.push_back(kind == Normalizer::softmin ? -static_cast<long double>(l) : static_cast<long double>(l));
  const auto softmax = [&](bool extra) {
    long double largest = extra ? 0 : -std::numeric_limits<long double>::infinity();
    for (std::size_t j = 0; j < x.size(); ++j)
      if (logits[j] != hidden) largest = std::max(largest, x[j]);
    long double sum = extra ? std::exp(-largest) : 0;
    for (std::size_t j = 0; j < x.size(); ++j) {
      x[j] = logits[j] == hidden ? 0 : std::exp(x[j] - largest);
      sum += x[j];
    }
    for (long double& value : x)
      if (sum > 0) value /= sum;
  };
  if (kind == Normalizer::sigmoid) {
    for (std::size_t j = 0; j < x.size(); ++j) x[j] = logits[j] == hidden ? 0 : 1 / (1 + std::exp(-x[j]));
  } else if (kind == Normalizer::none) {
    for (std::size_t j = 0; j < x.size(); ++j) x[j] = logits[j] == hidden ? 0 : x[j];
  } else {
    softmax(kind == Normalizer::softmax1);
    if (kind == Normalizer::double_softmax) softmax(false);
  }
  std::vector<double> weights;
  for (const long double value : x) weights.push_back(static_cast<double>(value));
  return weights;
}

std::vector<double> output_of(Normalizer kind, const std::vector<double>& logits, const std::vector<double>& values,
                              std::size_t dim) {
  const std::vector<double> weights = weights_of(kind, logits);
  std::vector<double> y(dim, 0.0);
  for (std::size_t j = 0; j < logits.size(); ++j)
    for (std::size_t c = 0; c < dim && logits[j] != hidden; ++c) y[c] += weights[j] * values[j * dim + c];
  return y;
}

void check(Normalizer kind, const std::vector<double>& logits, const std::vector<double>& values, std::size_t dim) {
  const std::vector<double> weights = weights_of(kind, logits);
  const WeighedQuery query{.normalize = kind, .logits = logits, .weights = weights, .values = values, .value_dim = dim};
  const std::vector<double> before = output_of(kind, logits, values, dim);
  for (std::size_t j = 0; j < logits.size(); ++j) {
    std::vector<double> without = logits;
    without[j] = hidden;
    const std::vector<double> after = output_of(kind, without, values, dim);
    const std::vector<double> change = change_without(query, j);
    REQUIRE(change.size() == dim);
    for (std::size_t c = 0; c < dim; ++c) {
      CAPTURE(j);
      CAPTURE(c);
      CHECK(std::abs(change[c] - (after[c] - before[c])) <= 1e-12 * (1 + std::abs(after[c]) + std::abs(before[c])));
    }
  }
}

constexpr Normalizer kinds[] = {Normalizer::softmax,        Normalizer::softmin, Normalizer::softmax1,
                                Normalizer::double_softmax, Normalizer::sigmoid, Normalizer::none};

}  // namespace

TEST_CASE("removing a key changes the output as attention without it says") {
  std::mt19937 random(7);
  MESSAGE("seed 7");
  std::normal_distribution<double> normal;
  for (const Normalizer kind : kinds) {
    for (const std::size_t keys : {1U, 2U, 7U, 13U}) {
      for (const double spread : {0.1, 1.0, 30.0}) {
        const std::size_t dim = 3;
        std::vector<double> logits(keys);
        std::vector<double> values(keys * dim);
        for (double& l : logits) l = spread * normal(random);
        for (double& v : values) v = normal(random);
        if (keys > 2) logits[keys / 2] = hidden;
        CAPTURE(static_cast<int>(kind));
        CAPTURE(keys);
        CAPTURE(spread);
        check(kind, logits, values, dim);
      }
    }
  }
}

TEST_CASE("a key that has all the weight leaves the others to share it") {
  const std::vector<double> values{1, 2, 4};
  for (const Normalizer kind : kinds) {
    check(kind, {5000, 0, 0}, values, 1);
    check(kind, {-5000, 0, 1}, values, 1);
    check(kind, {50, 0, 0}, values, 1);
    check(kind, {3, hidden, hidden}, values, 1);
  }
}

TEST_CASE("a hidden key changes nothing, and its value is not read") {
  const std::vector<double> logits{1, hidden};
  const std::vector<double> weights{1, 0};
  const std::vector<double> values{2, std::numeric_limits<double>::quiet_NaN()};
  const WeighedQuery query{
      .normalize = Normalizer::softmax, .logits = logits, .weights = weights, .values = values, .value_dim = 1};
  CHECK(change_without(query, 1).at(0) == 0);
  CHECK(change_without(query, 0).at(0) == -2);
}

// attn::attention from C++: closed forms on both engines, masks, and what it refuses.
#include <attn/attention.hpp>

#include <cmath>
#include <limits>

#include <doctest/doctest.h>

using namespace attn;

namespace {

template <class T>
using Tensor = xt::xtensor<T, 4>;

/// One head, two keys that lie along the axes, a query that scores them 0 and ln 3 (with scale 1).
template <class T>
struct Small {
  Tensor<T> query{{{{T(0), std::log(T(3))}}}};
  Tensor<T> key{{{{T(1), T(0)}, {T(0), T(1)}}}};
  Tensor<T> value{{{{T(10)}, {T(20)}}}};
  AttentionOptions options = [] {
    AttentionOptions o;
    o.score = Score::dot;
    return o;
  }();
};

template <class T>
bool near(T a, double b) {
  return std::abs(static_cast<double>(a) - b) <= 4e-7 * std::abs(b);
}

}  // namespace

TEST_CASE_TEMPLATE("weights 1/4 and 3/4, output 17.5, log-sum-exp ln 4, on both engines", T, float, double) {
  const Small<T> small;
  for (const Engine engine : {Engine::tiled, Engine::reference}) {
    AttentionExtras<T> extras;
    extras.engine = engine;
    extras.want_weights = true;
    extras.want_log_sum_exp = true;
    const auto result = attention(small.query, small.key, small.value, small.options, extras);
    CHECK(near(result.weights(0, 0, 0, 0), 0.25));
    CHECK(near(result.weights(0, 0, 0, 1), 0.75));
    CHECK(near(result.output(0, 0, 0, 0), 17.5));
    CHECK(near(result.log_sum_exp(0, 0, 0), std::log(4.0)));
  }
}

TEST_CASE_TEMPLATE("a masked key is absent, whatever it holds and however it is masked", T, float, double) {
  Small<T> small;
  small.key(0, 0, 1, 0) = std::numeric_limits<T>::quiet_NaN();
  small.value(0, 0, 1, 0) = std::numeric_limits<T>::infinity();
  for (const Engine engine : {Engine::tiled, Engine::reference}) {
    AttentionExtras<T> by_keep;
    by_keep.engine = engine;
    by_keep.keep = xt::xarray<bool>{true, false};
    AttentionExtras<T> by_bias;
    by_bias.engine = engine;
    by_bias.bias = xt::xarray<T>{T(0), -std::numeric_limits<T>::infinity()};
    AttentionExtras<T> by_length;
    by_length.engine = engine;
    by_length.key_lengths = {1};
    for (const auto& extras : {by_keep, by_bias, by_length})
      CHECK(attention(small.query, small.key, small.value, small.options, extras).output(0, 0, 0, 0) == T(10));
    // A mask of one entry repeats; one that is shorter than the keys leaves the rest masked only when it has more than one.
    AttentionExtras<T> none_left;
    none_left.engine = engine;
    none_left.keep = xt::xarray<bool>{false};
    none_left.want_log_sum_exp = true;
    const auto empty = attention(small.query, small.key, small.value, small.options, none_left);
    CHECK(empty.output(0, 0, 0, 0) == T(0));
    CHECK(empty.log_sum_exp(0, 0, 0) == -std::numeric_limits<T>::infinity());
  }
}

TEST_CASE("query heads share key and value heads in groups") {
  Tensor<float> query = xt::zeros<float>({1, 4, 1, 2});
  Tensor<float> key = xt::zeros<float>({1, 2, 3, 2});
  Tensor<float> value = xt::zeros<float>({1, 2, 3, 1});
  for (std::size_t j = 0; j < 3; ++j) {
    value(0, 0, j, 0) = 1;
    value(0, 1, j, 0) = 2;
  }
  const auto result = attention(query, key, value);
  const float expected[] = {1, 1, 2, 2};
  for (std::size_t h = 0; h < 4; ++h) CHECK(near(result.output(0, h, 0, 0), static_cast<double>(expected[h])));
}

TEST_CASE("what does not fit is refused with its shapes") {
  const Small<float> small;
  const Tensor<float> wide = xt::zeros<float>({1, 1, 2, 3});
  const auto message = [&](const auto& call) {
    try {
      call();
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(message([&] { (void)attention(small.query, wide, small.value); }).find("[1, 1, 2, 3]") != std::string::npos);
  AttentionOptions rows;
  rows.combine = Combine::rows;
  CHECK_THROWS_AS((void)attention(small.query, small.key, small.value, rows), Error);
  AttentionOptions causal;
  causal.causal = true;
  CHECK(message([&] { (void)attention(small.query, small.key, small.value, causal); }).find("two readings") != std::string::npos);
  AttentionExtras<float> nothing;
  nothing.key_lengths = {0};
  AttentionOptions strict;
  strict.empty_rows = Policy::error;
  CHECK_THROWS_AS((void)attention(small.query, small.key, small.value, strict, nothing), Error);
}

// Masked means absent: NaN and infinity in keys and values nobody may see reach nothing, and what they do where they are seen.
#include "engine/tiled_support.hpp"

#include <cmath>
#include <functional>
#include <limits>

#include <doctest/doctest.h>

namespace attn::engine::test {

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr Normalizer kMaskedNormalizers[] = {Normalizer::softmax,  Normalizer::softmin, Normalizer::double_softmax,
                                             Normalizer::softmax1, Normalizer::sigmoid, Normalizer::none};

/// Puts NaN and infinities into the key and value rows of `key`.
void poison(Case& c, std::size_t key) {
  const Dims& d = c.plan.dims;
  for (std::size_t f = 0; f < d.head_dim; ++f) c.key[key * d.head_dim + f] = f % 2 == 0 ? kNan : kInf;
  for (std::size_t f = 0; f < d.value_dim; ++f) c.value[key * d.value_dim + f] = f % 3 == 0 ? kNan : f % 3 == 1 ? kInf : -kInf;
}

constexpr Needs kFinal{.output = true, .log_sum_exp = true, .weights = true, .masked_scores = true};

/// Poisoned rows must change nothing but where they are seen: `seen(i, key)`.
template <class T>
void check_absent(const Case& clean, const std::vector<std::size_t>& keys,
                  const std::function<bool(std::size_t, std::size_t)>& seen) {
  Case dirty = clean;
  for (const std::size_t key : keys) poison(dirty, key);
  const Dims& d = clean.plan.dims;
  for (const Normalizer normalize : kMaskedNormalizers) {
    CAPTURE(static_cast<int>(normalize));
    Case before = clean;
    Case after = dirty;
    before.plan.options.normalize = after.plan.options.normalize = normalize;
    const Results<T> wanted = run_case<T>(before, kFinal, {});
    const Results<T> got = run_case<T>(after, kFinal, {});
    std::vector<const Results<T>*> engines{&got};
    Results<T> reference;
    if constexpr (std::is_same_v<T, double>) {
      reference = run_case<T>(after, kFinal, {}, true);
      engines.push_back(&reference);
    }
    for (std::size_t i = 0; i < d.q_len; ++i) {
      CAPTURE(i);
      // Also in a row whose weights are NaN because of another key.
      for (const Results<T>* engine : engines)
        for (const std::size_t key : keys) CHECK((engine->weights[i * d.kv_len + key] == 0) == !seen(i, key));
      const bool sees = std::any_of(keys.begin(), keys.end(), [&](std::size_t key) { return seen(i, key); });
      const auto row = [&](const std::vector<T>& a, std::size_t width) {
        return std::vector<T>(a.begin() + static_cast<std::ptrdiff_t>(i * width),
                              a.begin() + static_cast<std::ptrdiff_t>((i + 1) * width));
      };
      if (sees) {
        CHECK(std::isnan(got.output[i * d.value_dim]));
      } else {
        CHECK(same_bytes(row(got.output, d.value_dim), row(wanted.output, d.value_dim)));
        CHECK(same_bytes(row(got.weights, d.kv_len), row(wanted.weights, d.kv_len)));
        CHECK(same_bytes(row(got.masked, d.kv_len), row(wanted.masked, d.kv_len)));
        CHECK(got.log_sum_exp[i] == wanted.log_sum_exp[i]);
      }
    }
  }
}

Case plain_case(std::uint64_t seed) {
  Random random(seed);
  return make_case(random, {1, 1, 1, 70, 210, 9, 8});
}

MaskPart keep_all_but(const Dims& d, const std::vector<std::pair<std::size_t, std::size_t>>& hidden) {
  MaskPart part;
  part.array = Array(DType::boolean, {d.q_len, d.kv_len});
  part.key_count = d.kv_len;
  part.stride[2] = d.kv_len;
  part.stride[3] = 1;
  for (bool& keep : part.array.mutable_values<bool>()) keep = true;
  for (const auto& [i, j] : hidden) part.array.mutable_values<bool>()[i * d.kv_len + j] = false;
  return part;
}

}  // namespace

TEST_CASE_TEMPLATE("poison behind causal, window and lengths", T, float, double) {
  Case causal = plain_case(1);
  causal.plan.options.causal = true;
  check_absent<T>(causal, {30, 69, 100, 209}, [](std::size_t i, std::size_t key) { return key <= i; });

  Case window = plain_case(2);
  window.plan.options.window.left = 10;
  window.plan.options.window.right = 5;
  check_absent<T>(window, {0, 40, 120}, [](std::size_t i, std::size_t key) { return key + 10 >= i && key <= i + 5; });

  Case padded = plain_case(3);
  padded.plan.key_length = {150};
  check_absent<T>(padded, {150, 151, 209}, [](std::size_t, std::size_t) { return false; });
}

TEST_CASE_TEMPLATE("poison behind masks and segments", T, float, double) {
  Case masked = plain_case(4);
  std::vector<std::pair<std::size_t, std::size_t>> hidden;
  for (std::size_t i = 0; i < 70; ++i) {
    hidden.emplace_back(i, 7);
    if (i % 2 == 0) hidden.emplace_back(i, 200);
  }
  masked.plan.masks.push_back(keep_all_but(masked.plan.dims, hidden));
  check_absent<T>(masked, {7, 200}, [](std::size_t i, std::size_t key) { return key == 200 && i % 2 == 1; });

  Case segments = plain_case(5);
  for (std::size_t i = 0; i < 70; ++i) segments.plan.segments.query.push_back(i < 35 ? 1 : 2);
  for (std::size_t j = 0; j < 210; ++j) segments.plan.segments.key.push_back(j < 100 ? 1 : 2);
  check_absent<T>(segments, {3, 99}, [](std::size_t i, std::size_t) { return i < 35; });
}

TEST_CASE_TEMPLATE("queries without a key give zeros and minus infinity", T, float, double) {
  for (const Normalizer normalize : kMaskedNormalizers) {
    CAPTURE(static_cast<int>(normalize));
    Case c = plain_case(6);
    c.plan.options.normalize = normalize;
    c.plan.options.causal = true;
    c.plan.query_offset = {-3};
    poison(c, 209);
    const Results<T> got = run_case<T>(c, kFinal, {});
    for (std::size_t i = 0; i < 70; ++i) {
      CHECK(got.is_empty[i] == (i < 3 ? 1 : 0));
      CHECK(std::isinf(got.log_sum_exp[i]) == (i < 3));
      for (std::size_t f = 0; f < 8; ++f) CHECK((got.output[i * 8 + f] == 0) == (i < 3));
    }
    c.plan.key_length = {0};
    const Results<T> none = run_case<T>(c, kFinal, {});
    CHECK(std::count(none.is_empty.begin(), none.is_empty.end(), 1) == 70);
    CHECK(std::count(none.output.begin(), none.output.end(), T(0)) == 70 * 8);
  }
}

TEST_CASE_TEMPLATE("infinite logits take all the weight", T, float, double) {
  Random random(7);
  Case c = make_case(random, {1, 1, 1, 3, 120, 1, 2});
  c.query = {1, 1, -1};
  for (double& k : c.key) k = 0.5;
  c.key[10] = c.key[110] = kInf;
  const Results<T> got = run_case<T>(c, kFinal, {});
  for (const std::size_t i : {0U, 1U}) {
    CHECK(got.weights[i * 120 + 10] == T(0.5));
    CHECK(got.weights[i * 120 + 110] == T(0.5));
    CHECK(got.weights[i * 120 + 11] == 0);
    CHECK(got.log_sum_exp[i] == kInf);
  }
  CHECK(got.weights[2 * 120 + 10] == 0);
  CHECK(std::abs(static_cast<double>(got.weights[2 * 120 + 11]) - 1.0 / 118) < 1e-6);
  // An unmasked NaN is computed with: its query is lost, the others are not.
  c.query[1] = kNan;
  const Results<T> lost = run_case<T>(c, kFinal, {});
  CHECK(std::isnan(lost.output[2]));
  CHECK(lost.is_empty[1] == 0);
  CHECK(std::isnan(lost.log_sum_exp[1]));
  CHECK(lost.output[0] == got.output[0]);
}

}  // namespace attn::engine::test

// The same inputs give the same bytes: for every number of threads, vector target and set of observers, batch by batch, and on
// every machine.
#include "engine/tiled_support.hpp"

#include <cstdint>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace attn::engine::test {

namespace {

constexpr Score kScores[] = {Score::dot, Score::scaled, Score::cosine, Score::euclidean, Score::sqeuclidean};
constexpr Normalizer kNormalizers[] = {Normalizer::softmax,  Normalizer::softmin, Normalizer::double_softmax,
                                       Normalizer::softmax1, Normalizer::sigmoid, Normalizer::none};

/// FNV-1a.
class Hash {
 public:
  template <class V>
  void add(const std::vector<V>& values) {
    for (const V& value : values) {
      unsigned char bytes[sizeof(V)];
      std::memcpy(bytes, &value, sizeof(V));
      for (const unsigned char byte : bytes) value_ = (value_ ^ byte) * 0x100000001B3U;
    }
  }
  template <class T>
  void add(const Results<T>& results) {
    add(results.output);
    add(results.log_sum_exp);
    add(results.is_empty);
    add(results.weights);
    add(results.raw);
    add(results.capped);
    add(results.masked);
  }
  [[nodiscard]] std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xCBF29CE484222325U;
};

/// One case for each score and normalizer, with softcap, positions, masks and NaN here and there.
template <class T>
std::vector<Case> cases() {
  std::vector<Case> all;
  for (const Score score : kScores) {
    for (const Normalizer normalize : kNormalizers) {
      Random random(all.size() + 1);
      Case c = make_case(random, {2, 2, 1, 70 + all.size(), 130 + 3 * all.size(), 1 + 3 * all.size(), 1 + 2 * all.size()});
      c.plan.options.score = score;
      c.plan.options.normalize = normalize;
      if (score == Score::cosine) {
        make_unit(c.query, c.plan.dims.head_dim);
        make_unit(c.key, c.plan.dims.head_dim);
      }
      if (all.size() % 3 == 1) c.plan.options.softcap = 3;
      if (all.size() % 4 == 2) c.plan.options.causal = true;
      if (all.size() % 5 == 3) c.plan.slopes = {0.25, 0.0625};
      if (all.size() % 6 == 4) add_mask(random, c, MaskKind::add, std::is_same_v<T, float> ? DType::f32 : DType::f64);
      if (all.size() % 7 == 5) c.query[3] = c.value[4] = std::numeric_limits<double>::quiet_NaN();
      all.push_back(std::move(c));
    }
  }
  // Several spans of keys, few lanes, and heads that share keys.
  for (const std::size_t q_len : {1U, 4U}) {
    for (const Normalizer normalize : {Normalizer::softmax, Normalizer::softmax1, Normalizer::softmin}) {
      Random random(all.size() + 1);
      Case c = make_case(random, {1, 4, 2, q_len, 700, 400, 130});
      c.plan.options.normalize = normalize;
      c.plan.key_length = {q_len == 1 ? 700U : 650U};
      all.push_back(std::move(c));
    }
  }
  return all;
}

}  // namespace

TEST_CASE_TEMPLATE("threads, vector targets, side observers and packed heads change no byte", T, float, double) {
  for (const Case& c : cases<T>()) {
    CAPTURE(static_cast<int>(c.plan.options.score));
    CAPTURE(static_cast<int>(c.plan.options.normalize));
    Execution one;
    const Results<T> all = run_case<T>(c, kEverything, one);
    for (const std::size_t threads : {2U, 3U}) {
      Execution execution;
      execution.threads = threads;
      CHECK(same_bytes(run_case<T>(c, kEverything, execution), all));
    }
    for (const std::string& isa : available_isas()) {
      CAPTURE(isa);
      Execution execution;
      execution.isa = isa;
      CHECK(same_bytes(run_case<T>(c, kEverything, execution), all));
    }
    CHECK(same_bytes(run_case<T>(c, kEverything, one, false, true), all));
    CHECK(same_bytes(run_case<T>(c, {.output = true}, one).output, all.output));
    CHECK(same_bytes(run_case<T>(c, {.output = true, .weights = true}, one).output, all.output));
    CHECK(same_bytes(run_case<T>(c, {.weights = true}, one).weights, all.weights));
    CHECK(same_bytes(run_case<T>(c, {.log_sum_exp = true}, one).log_sum_exp, all.log_sum_exp));
    const Results<T> scores = run_case<T>(c, {.masked_scores = true}, one);
    CHECK(same_bytes(scores.masked, all.masked));
    CHECK(same_bytes(scores.is_empty, all.is_empty));
    CHECK(same_bytes(run_case<T>(c, {.raw_scores = true}, one).raw, all.raw));
  }
}

TEST_CASE_TEMPLATE("a batch entry by itself gives the same bytes", T, float, double) {
  Random random(3);
  const Dims dims{3, 2, 2, 100, 150, 24, 20};
  const Case whole = make_case(random, dims);
  const Results<T> all = run_case<T>(whole, {.output = true}, {});
  for (std::size_t b = 0; b < dims.batch; ++b) {
    Case entry = whole;
    entry.plan.dims.batch = 1;
    const auto part = [&](const std::vector<double>& values) {
      const std::size_t size = values.size() / dims.batch;
      return std::vector<double>(values.begin() + static_cast<std::ptrdiff_t>(b * size),
                                 values.begin() + static_cast<std::ptrdiff_t>((b + 1) * size));
    };
    entry.query = part(whole.query);
    entry.key = part(whole.key);
    entry.value = part(whole.value);
    const Results<T> one = run_case<T>(entry, {.output = true}, {});
    CHECK(std::memcmp(one.output.data(), all.output.data() + b * one.output.size(), one.output.size() * sizeof(T)) == 0);
  }
}

TEST_CASE_TEMPLATE("the bytes of fixed inputs are those that were committed", T, float, double) {
  // A change of this number changes every user's results: say so in the release notes.
  constexpr std::uint64_t committed = std::is_same_v<T, float> ? 10870536722341165926U : 83993848069667706U;
  for (const std::string& isa : available_isas()) {
    CAPTURE(isa);
    Execution execution;
    execution.isa = isa;
    Hash hash;
    for (const Case& c : cases<T>()) hash.add(run_case<T>(c, kEverything, execution));
    CHECK(hash.value() == committed);
  }
}

}  // namespace attn::engine::test

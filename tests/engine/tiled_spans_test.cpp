// Long keys in several spans: a query's bits depend neither on the queries beside it nor on who computes which span, and rows
// that are made give what rows that are there give.
#include "engine/blocks.hpp"
#include "engine/inputs.hpp"
#include "engine/prepare.hpp"
#include "engine/tiled_support.hpp"

#include <doctest/doctest.h>

namespace attn::engine::test {

namespace {

/// Wide rows make short spans: the keys below fill three of them.
constexpr std::size_t kHeadDim = 900;
constexpr std::size_t kKeyCount = 1000;

template <class T>
Results<T> alone(const Case& whole, std::size_t query) {
  Case c = whole;
  const Dims& d = whole.plan.dims;
  c.plan.dims.q_len = 1;
  for (std::int64_t& offset : c.plan.query_offset) offset += static_cast<std::int64_t>(query);
  c.query.clear();
  for (std::size_t row = 0; row < d.batch * d.heads; ++row) {
    const auto from = whole.query.begin() + static_cast<std::ptrdiff_t>((row * d.q_len + query) * d.head_dim);
    c.query.insert(c.query.end(), from, from + static_cast<std::ptrdiff_t>(d.head_dim));
  }
  return run_case<T>(c, {.output = true, .log_sum_exp = true}, {});
}

template <class T>
void check_alone(const Case& whole, const Results<T>& all, std::size_t query) {
  const Dims& d = whole.plan.dims;
  const Results<T> one = alone<T>(whole, query);
  for (std::size_t row = 0; row < d.batch * d.heads; ++row) {
    const T* together = all.output.data() + (row * d.q_len + query) * d.value_dim;
    CHECK(std::memcmp(one.output.data() + row * d.value_dim, together, d.value_dim * sizeof(T)) == 0);
    CHECK(std::memcmp(&one.log_sum_exp[row], &all.log_sum_exp[row * d.q_len + query], sizeof(double)) == 0);
  }
}

constexpr Normalizer kNormalizers[] = {Normalizer::softmax,  Normalizer::softmin, Normalizer::double_softmax,
                                       Normalizer::softmax1, Normalizer::sigmoid, Normalizer::none};

}  // namespace

TEST_CASE_TEMPLATE("a query alone has the bits it has among others, in grouped heads too", T, float, double) {
  REQUIRE(span_length({1, 1, 1, 1, kKeyCount, kHeadDim, 20}, sizeof(T)) * 2 < kKeyCount);
  for (const Normalizer normalize : kNormalizers) {
    CAPTURE(static_cast<int>(normalize));
    Random random(static_cast<unsigned>(normalize) + 40);
    Case c = make_case(random, {1, 6, 2, 70, kKeyCount, kHeadDim, 20});
    c.plan.options.normalize = normalize;
    c.plan.options.causal = true;
    // Queries that see nothing, one span, and all of them.
    c.plan.query_offset = {-3};
    const Results<T> first = run_case<T>(c, {.output = true, .log_sum_exp = true}, {});
    for (const std::size_t query : {0U, 2U, 3U, 4U, 69U}) check_alone(c, first, query);
    c.plan.query_offset = {940};
    c.plan.options.window.left = 700;
    const Results<T> last = run_case<T>(c, {.output = true, .log_sum_exp = true}, {});
    for (const std::size_t query : {0U, 30U, 59U, 60U, 69U}) check_alone(c, last, query);
  }
}

TEST_CASE_TEMPLATE("threads share out the spans of few queries without a change of bits", T, float, double) {
  for (const Normalizer normalize : kNormalizers) {
    for (const std::size_t q_len : {0U, 1U, 3U, 9U, 65U}) {
      CAPTURE(static_cast<int>(normalize));
      CAPTURE(q_len);
      Random random(7 * q_len + static_cast<unsigned>(normalize));
      Case c = make_case(random, {2, 3, 1, q_len, kKeyCount, kHeadDim, 33});
      c.plan.options.normalize = normalize;
      c.plan.key_length = {kKeyCount, 97};
      if (q_len == 9) c.plan.key_length = {0, kKeyCount};
      // Padding and masked keys hold NaN, which makes their tiles take another way.
      for (std::size_t i = 0; i < 33; ++i) c.value[c.value.size() - 1 - i] = std::numeric_limits<double>::quiet_NaN();
      if (q_len == 3) add_mask(random, c, MaskKind::keep, DType::f32);
      const Results<T> one = run_case<T>(c, {.output = true}, {});
      const Results<T> with_lse = run_case<T>(c, {.output = true, .log_sum_exp = true}, {});
      CHECK(same_bytes(one.output, with_lse.output));
      for (const std::size_t threads : {2U, 3U, 8U}) {
        Execution execution;
        execution.threads = threads;
        CHECK(same_bytes(run_case<T>(c, {.output = true}, execution), one));
        CHECK(same_bytes(run_case<T>(c, {.output = true, .log_sum_exp = true}, execution), with_lse));
        CHECK(same_bytes(run_case<T>(c, {.output = true, .weights = true}, execution).output, one.output));
      }
      for (const std::string& isa : available_isas()) {
        if (q_len != 3 || isa == "portable") continue;  // the committed bytes hold the portable target to the others
        Execution execution;
        execution.isa = isa;
        CHECK(same_bytes(run_case<T>(c, {.output = true}, execution), one));
      }
    }
  }
}

TEST_CASE("sums and pairs over several spans are as near to the reference as those over one") {
  REQUIRE(pair_span_length({1, 1, 1, 1, kKeyCount, kHeadDim, 8}, sizeof(double)) < kKeyCount);
  for (const Normalizer normalize : kNormalizers) {
    CAPTURE(static_cast<int>(normalize));
    Random random(static_cast<unsigned>(normalize) + 90);
    Case c = make_case(random, {1, 2, 1, 5, kKeyCount, kHeadDim, 8});
    c.plan.options.normalize = normalize;
    const Results<double> want = run_case<double>(c, kEverything, {}, true);
    const Results<double> got = run_case<double>(c, kEverything, {});
    for (std::size_t i = 0; i < want.output.size(); ++i)
      CHECK(got.output[i] == doctest::Approx(want.output[i]).epsilon(1e-11).scale(1));
    for (const auto pairs :
         {&Results<double>::weights, &Results<double>::raw, &Results<double>::capped, &Results<double>::masked}) {
      REQUIRE((got.*pairs).size() == (want.*pairs).size());
      for (std::size_t i = 0; i < (want.*pairs).size(); ++i)
        CHECK((got.*pairs)[i] == doctest::Approx((want.*pairs)[i]).epsilon(1e-11).scale(1));
    }
    for (std::size_t i = 0; i < want.log_sum_exp.size(); ++i)
      CHECK(got.log_sum_exp[i] == doctest::Approx(want.log_sum_exp[i]).epsilon(1e-12));
  }
}

namespace {

template <class T>
Results<T> run_inputs(const Inputs& inputs, const AttentionOptions& options, std::size_t threads) {
  const Plan plan = make_plan(inputs, options, dtype_of<T>);
  Findings findings;
  const Operands<T> operands = prepare<T>(plan, inputs, findings);
  Recorder<T> recorder(plan.dims, {.output = true, .log_sum_exp = true, .weights = true});
  Observer<T>* const observers[] = {&recorder};
  Execution execution;
  execution.threads = threads;
  run_tiled<T>(plan, operands, observers, execution);
  return std::move(recorder.results);
}

Array random_array(Random& random, const Shape& shape, DType type) {
  Array values(DType::f32, shape);
  for (float& x : values.mutable_values<float>()) x = static_cast<float>(random.normal());
  return values.converted(type);
}

/// [batch, length, heads * dim] as [batch, heads, length, dim].
Array unpacked(const NamedArray& packed, std::size_t heads) {
  const RowSource<float> rows({}, packed, heads);
  const HeadLayout& l = rows.layout();
  Array apart(DType::f32, {l.batch, l.heads, l.length, l.dim});
  for (std::size_t b = 0; b < l.batch; ++b)
    for (std::size_t h = 0; h < l.heads; ++h)
      rows.make(b, h, 0, l.length, apart.mutable_values<float>().data() + (b * l.heads + h) * l.length * l.dim);
  return apart;
}

}  // namespace

TEST_CASE("rows that are made span by span give the bits of rows that are there") {
  for (const DType type : {DType::f32, DType::f16, DType::bf16, DType::i8}) {
    for (const RopePairing rope : {RopePairing::none, RopePairing::half}) {
      CAPTURE(static_cast<int>(type));
      Random random(static_cast<unsigned>(type) + 3);
      AttentionOptions options;
      options.rope = rope;
      Inputs packed;
      packed.heads = 4;
      packed.kv_heads = 2;
      packed.query = {random_array(random, {2, 150, 4 * 300}, type), "query"};
      packed.key = {random_array(random, {2, 700, 2 * 300}, type), "key"};
      packed.value = {random_array(random, {2, 700, 2 * 40}, type), "value"};
      Inputs apart;
      apart.query = {unpacked(packed.query, 4), "query"};
      apart.key = {unpacked(packed.key, 2), "key"};
      apart.value = {unpacked(packed.value, 2), "value"};
      const Results<float> want = run_inputs<float>(apart, options, 1);
      for (const std::size_t threads : {1U, 2U, 5U}) CHECK(same_bytes(run_inputs<float>(packed, options, threads), want));
    }
  }
}

}  // namespace attn::engine::test

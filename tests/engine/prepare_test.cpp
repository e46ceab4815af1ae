// Rows made ready for the engines: joined with the past, rotated, scaled to unit length.
#include "engine/prepare.hpp"

#include "engine/engine_support.hpp"
#include "engine/findings.hpp"

#include <cmath>
#include <limits>
#include <vector>

namespace {

using namespace attn;
using namespace attn::engine;
using namespace attn::engine::test;

template <class T>
struct Ready {
  Plan plan;
  Findings findings;
  Operands<T> operands;
};

template <class T>
Ready<T> ready(const Inputs& inputs, const AttentionOptions& options) {
  Ready<T> result{make_plan(inputs, options, dtype_of<T>), {}, {}};
  result.operands = prepare<T>(result.plan, inputs, result.findings);
  return result;
}

template <class T>
Inputs self(const Shape& shape, const std::vector<T>& values) {
  Inputs inputs;
  inputs.query = inputs.key = inputs.value = {Array::of<T>(shape, values), "query x.npy"};
  return inputs;
}

}  // namespace

TEST_CASE("a past and new rows are rows of one array") {
  const NamedArray past = counted<float>("past", {2, 3, 4, 2});
  const NamedArray packed = counted<float>("new", {2, 5, 6});
  const RowSource<double> joined(past, packed, 3);
  CHECK_FALSE(joined.is_direct());
  CHECK_EQ(joined.layout().length, 9);
  const HeadLayout l = head_layout(packed, 3);
  // From every first row, as many as there are: the seam falls before, inside and after what is asked for.
  for (std::size_t first = 0; first < 9; ++first) {
    for (std::size_t count = 1; first + count <= 9; ++count) {
      std::vector<double> rows(count * 2);
      for (std::size_t row = 0; row < 6; ++row) {
        const std::size_t b = row / 3;
        const std::size_t h = row % 3;
        joined.make(b, h, first, count, rows.data());
        for (std::size_t n = 0; n < rows.size(); ++n) {
          const std::size_t c = n % 2;
          const std::size_t i = first + n / 2;
          const double want = i < 4 ? past.array.at_flat(((b * 3 + h) * 4 + i) * 2 + c)
                                    : packed.array.at_flat(b * l.batch_stride + h * l.head_stride + (i - 4) * l.row_stride + c);
          REQUIRE_EQ(rows[n], want);
        }
      }
    }
  }
  // Without a past, the rows alone; what already has the type is not copied, packed or not.
  CHECK_EQ(RowSource<float>({}, packed, 3).layout().length, 5);
  CHECK(RowSource<float>({}, packed, 3).is_direct());
  CHECK(RowSource<float>({}, past, 0).direct().data == past.array.values<float>().data());
}

TEST_CASE("rows of other types are widened exactly when they are read") {
  const NamedArray half = {counted<float>("x", {2, 3, 6}).array.converted(DType::f16), "x"};
  const RowSource<float> rows({}, half, 2);
  CHECK_FALSE(rows.is_direct());
  for (std::size_t b = 0; b < 2; ++b)
    for (std::size_t h = 0; h < 2; ++h)
      for (std::size_t i = 0; i < 3; ++i)
        for (std::size_t c = 0; c < 3; ++c)
          REQUIRE_EQ(static_cast<double>(rows.row(b, h, i)[c]), half.array.at_flat((b * 3 + i) * 6 + h * 3 + c));
}

TEST_CASE("nothing is copied that is ready as it is") {
  const Inputs inputs = inputs_of({2, 3, 4, 8}, {2, 3, 5, 8}, {2, 3, 5, 8});
  const Ready<float> r = ready<float>(inputs, {});
  CHECK(r.operands.query.direct().data == inputs.query.array.values<float>().data());
  CHECK(r.operands.key.direct().data == inputs.key.array.values<float>().data());
  CHECK(r.operands.value.direct().data == inputs.value.array.values<float>().data());
  CHECK_EQ(r.operands.key.row(1, 2, 3)[4], static_cast<float>(((1 * 3 + 2) * 5 + 3) * 8 + 4) / 8);
}

TEST_CASE("RoPE turns each pair by its position's angle") {
  for (const RopePairing pairing : {RopePairing::half, RopePairing::interleaved}) {
    const bool interleaved = pairing == RopePairing::interleaved;
    Inputs inputs = inputs_of({2, 1, 3, 6}, {2, 1, 4, 6}, {2, 1, 4, 6});
    inputs.key_lengths = {4, 2};
    AttentionOptions options;
    options.rope = pairing;
    options.rope_dim = 4;
    options.rope_base = 100;
    options.query_offset.kind = QueryOffset::Kind::end;
    const Ready<double> r = ready<double>(inputs, options);
    for (std::size_t b = 0; b < 2; ++b) {
      for (std::size_t i = 0; i < 3; ++i) {
        const double p = static_cast<double>(i) + (b == 0 ? 1 : -1);
        const auto x = [&](std::size_t c) { return static_cast<double>((b * 3 + i) * 6 + c) / 8; };
        const std::vector<double> y = r.operands.query.row(b, 0, i);
        for (std::size_t pair = 0; pair < 2; ++pair) {
          const std::size_t first = interleaved ? 2 * pair : pair;
          const std::size_t second = interleaved ? 2 * pair + 1 : pair + 2;
          const double angle = p * (pair == 0 ? 1.0 : 0.1);
          CHECK(y[first] == doctest::Approx(x(first) * std::cos(angle) - x(second) * std::sin(angle)).epsilon(1e-13));
          CHECK(y[second] == doctest::Approx(x(first) * std::sin(angle) + x(second) * std::cos(angle)).epsilon(1e-13));
        }
        CHECK_EQ(y[4], x(4));
        CHECK_EQ(y[5], x(5));
      }
    }
    // Keys stand at their own index; the residual keeps the queries as they came.
    CHECK_EQ(r.operands.key.row(1, 0, 0)[0], 24 / 8.0);
    CHECK_EQ(r.operands.residual.row(1, 0, 2)[1], static_cast<double>((1 * 3 + 2) * 6 + 1) / 8);
  }
}

TEST_CASE("vectors of any length have a direction") {
  AttentionOptions options;
  options.score = Score::cosine;
  for (const double size : {1e-300, 1e-160, 1e-30, 1.0, 1e30, 1e160, 1e300, 5e-324}) {
    INFO(size);
    const Ready<double> r = ready<double>(self<double>({2, 2}, {3 * size, 4 * size, 0, -size}), options);
    if (size > 1e-320) {
      CHECK(r.operands.query.row(0, 0, 0)[0] == doctest::Approx(0.6).epsilon(1e-15));
      CHECK(r.operands.key.row(0, 0, 0)[1] == doctest::Approx(0.8).epsilon(1e-15));
    }
    CHECK_EQ(r.operands.key.row(0, 0, 1)[1], -1);
    CHECK_EQ(r.findings.zero_keys, 0);
  }
  for (const float size : {1e-44F, 1e-30F, 1e30F}) {
    const Ready<float> r = ready<float>(self<float>({1, 2}, {0, size}), options);
    CHECK_EQ(r.operands.query.row(0, 0, 0)[1], 1);
  }
}

TEST_CASE("zero vectors follow their policy and are counted where they matter") {
  AttentionOptions options;
  options.score = Score::cosine;
  Inputs inputs = self<float>({3, 2}, {0, 0, 1, 0, 0, 0});
  CHECK_EQ(ready<float>(inputs, options).findings.zero_queries, 2);
  CHECK_EQ(ready<float>(inputs, options).findings.zero_keys, 2);
  CHECK_EQ(ready<float>(inputs, options).operands.query.row(0, 0, 0)[0], 0);
  options.zero_vectors = Policy::nan;
  CHECK(std::isnan(ready<float>(inputs, options).operands.query.row(0, 0, 0)[0]));
  options.zero_vectors = Policy::error;
  const Error error = error_of([&] { (void)ready<float>(inputs, options); });
  CHECK(error.status() == Status::data);
  check_contains(error.what(), {"query x.npy: row 0 is a zero vector"});
  // A key that no query sees is absent, zero or not.
  Inputs hidden = self<float>({3, 2}, {1, 1, 1, 0, 0, 0});
  hidden.query = {Array::of<float>({2, 2}, {1, 1, 1, 0}), "query q.npy"};
  hidden.key_lengths = {2};
  CHECK_EQ(ready<float>(hidden, options).findings.zero_keys, 0);
}

TEST_CASE("a NaN is found where it matters only") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  Inputs inputs = self<float>({3, 2}, {1, 2, 3, 4, 5, 6});
  inputs.key = {Array::of<float>({3, 2}, {1, 2, 3, 4, 5, nan}), "key k.npy"};
  AttentionOptions options;
  CHECK_EQ(first_visible_nan(make_plan(inputs, options, DType::f32), inputs), "key k.npy: row 2, feature 1");
  inputs.key_lengths = {2};
  CHECK_EQ(first_visible_nan(make_plan(inputs, options, DType::f32), inputs), "");
  inputs.value = {Array::of<float>({3, 2}, {1, 2, nan, 4, 5, nan}), "value v.npy"};
  CHECK_EQ(first_visible_nan(make_plan(inputs, options, DType::f32), inputs), "value v.npy: row 1, feature 0");
}

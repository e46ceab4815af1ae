// Attention in 8-bit integers: against float64 attention of the rounded rows, within a bound derived from the rounding, and
// the same bits on every target and for all threads.
#include "engine/int8.hpp"

#include "engine/tiled_support.hpp"

#include <attn/error.hpp>

#include <cmath>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace attn::engine::test {

namespace {

std::unique_ptr<Products<float>> int8(const Plan& plan, const Operands<float>& operands, const Execution& execution) {
  return std::make_unique<Int8Products>(plan, operands, execution);
}

std::unique_ptr<Products<float>> int8_plain(const Plan& plan, const Operands<float>& operands, const Execution& execution) {
  auto products = std::make_unique<Int8Products>(plan, operands, execution);
  products->avoid_vnni();
  return products;
}

/// Rows as integers times their scale, worked out here in float64.
std::vector<double> rounded(const std::vector<double>& rows, std::size_t dim) {
  std::vector<double> out = rows;
  for (std::size_t at = 0; at < rows.size(); at += dim) {
    double largest = 0;
    for (std::size_t d = 0; d < dim; ++d) largest = std::max(largest, std::abs(rows[at + d]));
    for (std::size_t d = 0; d < dim; ++d)
      out[at + d] = largest == 0 ? 0 : std::nearbyint(rows[at + d] / largest * 127) * largest / 127;
  }
  return out;
}

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr Needs kWanted{.output = true, .log_sum_exp = true, .weights = true};

void check_case(const Case& c) {
  const Dims& d = c.plan.dims;
  Case twin = c;
  twin.query = rounded(c.query, d.head_dim);
  twin.key = rounded(c.key, d.head_dim);
  twin.value = rounded(c.value, d.value_dim);
  const Results<double> wanted = run_case<double>(twin, kWanted, {}, true);
  const Results<float> got = run_case<float>(c, kWanted, {}, false, false, int8);
  for (std::size_t n = 0; n < wanted.weights.size(); ++n)
    CHECK(std::abs(static_cast<double>(got.weights[n]) - wanted.weights[n]) <= 2e-4 * wanted.weights[n] + 1e-7);
  const std::size_t group = d.heads / d.kv_heads;
  for (std::size_t row = 0; row < d.batch * d.heads * d.q_len; ++row) {
    const std::size_t head = row / d.q_len / d.heads * d.kv_heads + row / d.q_len % d.heads / group;
    // Each integer weight of a tile is at most half a unit off, a unit being the largest |w v| of the tile over 255.
    double bound = 1e-5;
    for (std::size_t j = 0; j < d.kv_len; j += kernels::kKeys) {
      double largest = 0;
      double count = 0;
      for (std::size_t k = j; k < std::min(j + kernels::kKeys, d.kv_len); ++k) {
        double value = 0;
        for (std::size_t f = 0; f < d.value_dim; ++f)
          value = std::max(value, std::abs(twin.value[(head * d.kv_len + k) * d.value_dim + f]));
        largest = std::max(largest, value * wanted.weights[row * d.kv_len + k]);
        count += wanted.weights[row * d.kv_len + k] > 0 ? 1 : 0;
      }
      bound += 0.501 * count * largest / 255;
    }
    for (std::size_t f = 0; f < d.value_dim; ++f) {
      const double difference = static_cast<double>(got.output[row * d.value_dim + f]) - wanted.output[row * d.value_dim + f];
      CHECK(std::abs(difference) <= bound);
    }
  }
}

}  // namespace

TEST_CASE("int8 attention is that of the rounded rows, but for its rounded weights") {
  Random random(7);
  for (const Dims& dims : {Dims{1, 1, 1, 1, 1, 1, 1}, Dims{1, 2, 1, 5, 97, 7, 3}, Dims{2, 4, 2, 65, 131, 64, 33},
                           Dims{1, 1, 1, 64, 400, 65, 64}, Dims{1, 3, 3, 17, 1000, 31, 8}}) {
    CAPTURE(dims.kv_len);
    Case c = make_case(random, dims);
    check_case(c);
    c.plan.options.causal = true;
    c.plan.query_offset.assign(dims.batch, static_cast<std::int64_t>(dims.kv_len / 2));
    check_case(c);
    c.plan.options.window = Window{.left = 5, .right = 30};  // tiles that begin and end in the middle of groups of keys
    check_case(c);
    if (dims.kv_len < 2) continue;
    add_mask(random, c, MaskKind::keep, DType::f32);
    check_case(c);
  }
}

TEST_CASE("int8 attention has the same bits for all targets, instructions, threads and layouts") {
  Random random(8);
  Case c = make_case(random, {1, 4, 2, 70, 3500, 19, 11});
  c.plan.options.causal = true;
  c.plan.query_offset = {3400};
  const Results<float> wanted = run_case<float>(c, kWanted, {}, false, false, int8);
  for (const std::string& isa : available_isas()) {
    for (const std::size_t threads : {1U, 2U, 5U}) {
      Execution execution;
      execution.threads = threads;
      execution.isa = isa;
      CHECK(same_bytes(run_case<float>(c, kWanted, execution, false, false, int8), wanted));
      CHECK(same_bytes(run_case<float>(c, kWanted, execution, false, true, int8_plain), wanted));
    }
  }
  // Without weights the output comes by another way.
  Needs output;
  output.output = true;
  const Results<float> alone = run_case<float>(c, output, {}, false, false, int8);
  CHECK(same_bytes(alone.output, wanted.output));
}

TEST_CASE("int8 attention: masked rows are absent, rows that are not finite show") {
  Random random(9);
  Case clean = make_case(random, {1, 1, 1, 10, 120, 8, 5});
  clean.plan.key_length = {100};
  Case dirty = clean;
  for (std::size_t n = 100 * 8; n < dirty.key.size(); ++n) dirty.key[n] = n % 2 == 0 ? kNan : kInf;
  for (std::size_t n = 100 * 5; n < dirty.value.size(); ++n) dirty.value[n] = n % 2 == 0 ? kNan : -kInf;
  const Results<float> wanted = run_case<float>(clean, kWanted, {}, false, false, int8);
  CHECK(same_bytes(run_case<float>(dirty, kWanted, {}, false, false, int8), wanted));
  dirty = clean;
  dirty.value[3 * 5] = kInf;
  const Results<float> seen = run_case<float>(dirty, kWanted, {}, false, false, int8);
  CHECK(std::isnan(seen.output[0]));
  dirty = clean;
  dirty.key[3 * 8] = kNan;
  CHECK(std::isnan(run_case<float>(dirty, kWanted, {}, false, false, int8).output[0]));
  dirty.key.assign(dirty.key.size(), 0);  // no scale at all
  for (const float output : run_case<float>(dirty, kWanted, {}, false, false, int8).output) CHECK(std::isfinite(output));
}

TEST_CASE("int8 attention refuses what its integers have no meaning for") {
  Random random(10);
  Case c = make_case(random, {1, 1, 1, 2, 3, 4, 4});
  c.plan.options.score = Score::sqeuclidean;
  CHECK_THROWS_AS((void)run_case<float>(c, kWanted, {}, false, false, int8), Error);
  c.plan.options.score = Score::scaled;
  c.plan.options.normalize = Normalizer::none;
  CHECK_THROWS_AS((void)run_case<float>(c, kWanted, {}, false, false, int8), Error);
}

TEST_CASE("a query in more bits is off by no more than it says") {
  Random random(17);
  for (const std::size_t dim : {1U, 2U, 63U, 64U, 65U, 257U, 259U, 1031U, 65536U}) {
    CAPTURE(dim);
    FineQuery query(dim);
    for (const double size : {1.0, 1e-30, 1e-38, 1e-42, 1e30, 0.0}) {
      CAPTURE(size);
      for (const float factor : {0.125F, -3.0F}) {
        std::vector<float> row(dim);
        for (float& x : row) x = static_cast<float>(random.normal() * size);
        query.load(row.data(), factor);
        const kernels::Int8FineQuery fine = query.get();
        double lost = 0;
        double length = 0;
        for (std::size_t f = 0; f < dim; ++f) {
          const int integer = (fine.high[f] - 128) * (1 << fine.low_bits) + fine.low[f];
          CHECK(std::abs(integer) <= 127 << fine.low_bits);
          const double exact = static_cast<double>(row[f]) * static_cast<double>(factor);
          lost += std::pow(exact - static_cast<double>(fine.scale) * integer, 2);
          length += exact * exact;
        }
        CHECK(std::sqrt(lost) <= static_cast<double>(query.lost()));
        // 16 bits where sums of so many features leave room for them.
        if (dim < 258 && size > 1e-36) CHECK(std::sqrt(lost) <= std::sqrt(length) * 1e-4);
      }
    }
    std::vector<float> row(dim, 1.0F);
    row[dim / 2] = std::numeric_limits<float>::quiet_NaN();
    query.load(row.data(), 1);
    CHECK(std::isnan(query.get().scale));
    CHECK(std::isnan(query.lost()));
  }
}

}  // namespace attn::engine::test

// Attention in bfloat16 by every way: against float64 attention of the rounded or the exact numbers, the same bits for all
// threads, and what NaN and infinity do.
#include "engine/bf16.hpp"

#include "engine/tiled_support.hpp"
#include "kernels/emulated_tiles.hpp"

#include <attn/error.hpp>

#include <cmath>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace attn::engine::test {

namespace {

using kernels::test::EmulatedTiles;

constexpr double kBf16Nan = std::numeric_limits<double>::quiet_NaN();
constexpr double kBf16Inf = std::numeric_limits<double>::infinity();
constexpr Needs kBf16Needs{.output = true, .log_sum_exp = true, .weights = true, .raw_scores = true};

struct Form {
  std::string name;
  Bf16Parts parts;
  MakeProducts<float> make;
};

Form pairs_form(const std::string& name, Bf16Parts parts, const kernels::PairProduct* way) {
  return {name, parts, [parts, way](const Plan& plan, const Operands<float>& operands, const Execution& execution) {
            return std::make_unique<PairProducts>(plan, operands, execution, parts, *way);
          }};
}

/// All that this processor runs, and emulated tiles.
std::vector<Form> all_forms() {
  std::vector<Form> forms;
  const std::string best = available_isas().front();
  for (const Bf16Parts parts : {Bf16Parts::one, Bf16Parts::two}) {
    const std::string suffix = parts == Bf16Parts::one ? "" : ", split";
    forms.push_back(
        {"floats" + suffix, parts, [parts](const Plan& plan, const Operands<float>& operands, const Execution& execution) {
           return std::make_unique<RoundedProducts>(plan, operands, execution, parts);
         }});
    forms.push_back(pairs_form("emulated tiles" + suffix, parts, &kernels::kTileProduct<EmulatedTiles>));
    if (kernels::tile_pairs(best) != nullptr) forms.push_back(pairs_form("tiles" + suffix, parts, kernels::tile_pairs(best)));
  }
  if (kernels::vector_pairs(best) != nullptr) forms.push_back(pairs_form("vectors", Bf16Parts::one, kernels::vector_pairs(best)));
  return forms;
}

/// CHECK(off <= bound), which takes its time for each of many numbers.
void check_near(double off, double bound) {
  if (!(std::abs(off) <= bound)) FAIL_CHECK(off << " is above " << bound);
}

/// Numbers of 8 bits, worked out in float64.
std::vector<double> nearest_of(std::vector<double> numbers) {
  for (double& x : numbers) {
    const double unit = x == 0 ? 1 : std::ldexp(1.0, std::ilogb(x) - 7);
    x = std::nearbyint(x / unit) * unit;
  }
  return numbers;
}

/// Holds raw scores to the exact ones of the rounded (bf16) or given (split) numbers, weights and outputs to what follows.
void check_form(const Case& c, const Form& form) {
  CAPTURE(form.name);
  const Dims& d = c.plan.dims;
  const bool is_split = form.parts == Bf16Parts::two;
  Case twin = c;
  if (!is_split) {
    twin.query = nearest_of(c.query);
    twin.key = nearest_of(c.key);
    twin.value = nearest_of(c.value);
  }
  const Results<double> wanted = run_case<double>(twin, kBf16Needs, {}, true);
  const Results<float> got = run_case<float>(c, kBf16Needs, {}, false, false, form.make);
  // Each of two operands is off by up to 2^-17, and the product of low parts, up to 2^-16, may be left out.
  const double loss = is_split ? 0x1.01p-15 : 0;
  const double unit = loss + static_cast<double>(d.head_dim + 8) * 0x1p-24;
  const double weight_loss = is_split ? 0x1p-15 : 0x1.01p-8;
  const std::size_t group = d.heads / d.kv_heads;
  for (std::size_t row = 0; row < d.batch * d.heads * d.q_len; ++row) {
    const std::size_t head = row / d.q_len / d.heads * d.kv_heads + row / d.q_len % d.heads / group;
    double largest_off = 0;
    std::vector<double> magnitude(d.value_dim, 0.0);
    for (std::size_t j = 0; j < d.kv_len; ++j) {
      double size = 0;
      for (std::size_t f = 0; f < d.head_dim; ++f)
        size += std::abs(twin.query[row * d.head_dim + f] * twin.key[(head * d.kv_len + j) * d.head_dim + f]);
      const std::size_t pair = row * d.kv_len + j;
      const double bound = unit * size * std::abs(c.plan.factor) + 1e-30;
      check_near(static_cast<double>(got.raw[pair]) - wanted.raw[pair], bound);
      largest_off = std::max(largest_off, bound);
      for (std::size_t f = 0; f < d.value_dim; ++f)
        magnitude[f] += wanted.weights[pair] * std::abs(twin.value[(head * d.kv_len + j) * d.value_dim + f]);
    }
    // Every weight is off by twice what a logit can be, the running sum's rounding besides.
    const double relative = std::expm1(2 * largest_off) + 3e-6;
    for (std::size_t j = 0; j < d.kv_len; ++j) {
      const std::size_t pair = row * d.kv_len + j;
      check_near(static_cast<double>(got.weights[pair]) - wanted.weights[pair], relative * wanted.weights[pair] + 1e-30);
    }
    for (std::size_t f = 0; f < d.value_dim; ++f) {
      const double difference = static_cast<double>(got.output[row * d.value_dim + f]) - wanted.output[row * d.value_dim + f];
      check_near(difference, (relative + weight_loss + 1e-7) * magnitude[f] + 1e-30);
    }
  }
}

/// 0: a number; 1 and -1: infinity; 2: NaN.
int kind_of(double x) { return std::isnan(x) ? 2 : std::isinf(x) ? (x > 0 ? 1 : -1) : 0; }

}  // namespace

TEST_CASE("bfloat16 attention is that of the rounded rows, and split attention nearly the exact one") {
  Random random(81);
  const std::vector<Form> forms = all_forms();
  for (const Dims& dims :
       {Dims{1, 1, 1, 1, 1, 1, 1}, Dims{1, 2, 1, 5, 97, 7, 3}, Dims{2, 2, 1, 3, 33, 31, 257}, Dims{1, 1, 1, 17, 95, 257, 2},
        Dims{1, 1, 1, 2, 191, 33, 17}, Dims{1, 1, 1, 65, 96, 64, 15}, Dims{1, 3, 3, 16, 131, 65, 63}}) {
    CAPTURE(dims.kv_len);
    CAPTURE(dims.head_dim);
    Case c = make_case(random, dims);
    for (const Form& form : forms) check_form(c, form);
    c.plan.options.causal = true;
    c.plan.query_offset.assign(dims.batch, static_cast<std::int64_t>(dims.kv_len / 2));
    c.plan.options.window = Window{.left = 5, .right = 30};  // tiles that begin and end in the middle of groups of keys
    for (const Form& form : forms) check_form(c, form);
    if (dims.kv_len < 2) continue;
    add_mask(random, c, MaskKind::keep, DType::f32);
    for (const Form& form : forms) check_form(c, form);
  }
}

TEST_CASE("split attention of 1,024 keys is off by 2e-7 on average") {
  Random random(82);
  const Case c = make_case(random, {1, 1, 1, 16, 1024, 64, 64});
  const Results<double> exact = run_case<double>(c, {.output = true}, {}, true);
  for (const Form& form : all_forms()) {
    CAPTURE(form.name);
    const Results<float> got = run_case<float>(c, {.output = true}, {}, false, false, form.make);
    double sum = 0;
    double largest = 0;
    for (std::size_t n = 0; n < exact.output.size(); ++n) {
      const double off = std::abs(static_cast<double>(got.output[n]) - exact.output[n]);
      sum += off;
      largest = std::max(largest, off);
    }
    const double mean = sum / static_cast<double>(exact.output.size());
    CAPTURE(mean);
    CAPTURE(largest);
    const bool is_split = form.parts == Bf16Parts::two;
    CHECK(mean <= (is_split ? 4e-7 : 2e-4));
    CHECK(mean >= (is_split ? 2e-8 : 2e-5));
    CHECK(largest <= (is_split ? 3e-6 : 2e-3));
  }
}

TEST_CASE("bfloat16 attention has the same bits for all threads, layouts and outputs") {
  Random random(83);
  Case c = make_case(random, {1, 2, 1, 70, 300, 19, 11});
  c.plan.options.causal = true;
  c.plan.query_offset = {240};
  for (const Form& form : all_forms()) {
    CAPTURE(form.name);
    const Results<float> wanted = run_case<float>(c, kBf16Needs, {}, false, false, form.make);
    for (const std::size_t threads : {2U, 3U}) {
      Execution execution;
      execution.threads = threads;
      CHECK(same_bytes(run_case<float>(c, kBf16Needs, execution, false, threads == 3, form.make), wanted));
    }
    CHECK(same_bytes(run_case<float>(c, {.output = true}, {}, false, false, form.make).output, wanted.output));
    if (!form.name.starts_with("floats")) continue;
    for (const std::string& isa : available_isas()) {
      Execution execution;
      execution.isa = isa;
      CHECK(same_bytes(run_case<float>(c, kBf16Needs, execution, false, false, form.make), wanted));
    }
  }
}

TEST_CASE("bfloat16 attention: masked rows are absent, visible NaN and infinity do what they do in float32") {
  Random random(84);
  Case clean = make_case(random, {1, 1, 1, 10, 120, 8, 5});
  clean.plan.key_length = {100};
  clean.plan.options.causal = true;
  clean.plan.query_offset = {60};
  Case dirty = clean;
  for (std::size_t n = 70 * 8; n < dirty.key.size(); ++n) dirty.key[n] = n % 2 == 0 ? kBf16Nan : kBf16Inf;
  for (std::size_t n = 70 * 5; n < dirty.value.size(); ++n) dirty.value[n] = n % 2 == 0 ? kBf16Nan : -kBf16Inf;
  for (const Form& form : all_forms()) {
    CAPTURE(form.name);
    const Results<float> wanted = run_case<float>(clean, {.output = true, .weights = true}, {}, false, false, form.make);
    CHECK(same_bytes(run_case<float>(dirty, {.output = true, .weights = true}, {}, false, false, form.make), wanted));
    for (int round = 0; round < 60; ++round) {
      Case c = clean;
      std::vector<double>& rows = round % 3 == 0 ? c.query : round % 3 == 1 ? c.key : c.value;
      for (int n = 0; n <= round / 15; ++n) {
        const double bad[] = {kBf16Nan, kBf16Inf, -kBf16Inf, 0.0};
        rows[random.below(rows.size())] = bad[random.below(4)];
      }
      const Results<float> exact = run_case<float>(c, kBf16Needs, {});
      const Results<float> got = run_case<float>(c, kBf16Needs, {}, false, false, form.make);
      CAPTURE(round);
      for (std::size_t n = 0; n < exact.raw.size(); ++n)
        if (kind_of(static_cast<double>(got.raw[n])) != kind_of(static_cast<double>(exact.raw[n]))) FAIL_CHECK("score " << n);
      for (std::size_t n = 0; n < exact.output.size(); ++n)
        if (kind_of(static_cast<double>(got.output[n])) != kind_of(static_cast<double>(exact.output[n])))
          FAIL_CHECK("output " << n);
    }
  }
}

TEST_CASE("bfloat16 attention of other shapes of normalizers, and of nothing") {
  Random random(85);
  for (const Normalizer normalize :
       {Normalizer::softmax1, Normalizer::softmin, Normalizer::sigmoid, Normalizer::double_softmax}) {
    Case c = make_case(random, {1, 2, 2, 9, 50, 16, 6});
    c.plan.options.normalize = normalize;
    c.plan.options.softcap = 3;
    c.plan.key_length = {37};
    for (const Form& form : all_forms()) {
      CAPTURE(form.name);
      const Results<double> exact = run_case<double>(c, {.output = true}, {}, true);
      const Results<float> got = run_case<float>(c, {.output = true}, {}, false, false, form.make);
      double square = 0;
      double off = 0;
      for (std::size_t n = 0; n < exact.output.size(); ++n) {
        square += exact.output[n] * exact.output[n];
        off += std::pow(static_cast<double>(got.output[n]) - exact.output[n], 2);
      }
      CHECK(std::sqrt(off) <= (form.parts == Bf16Parts::two ? 4e-5 : 2e-2) * std::sqrt(square));
    }
  }
  for (const Dims& dims : {Dims{1, 1, 1, 0, 5, 4, 4}, Dims{1, 1, 1, 3, 0, 4, 4}, Dims{0, 1, 1, 3, 5, 4, 4}}) {
    const Case c = make_case(random, dims);
    for (const Form& form : all_forms()) {
      const Results<float> exact = run_case<float>(c, {.output = true}, {});
      CHECK(same_bytes(run_case<float>(c, {.output = true}, {}, false, false, form.make).output, exact.output));
    }
  }
}

TEST_CASE("bfloat16 attention refuses what has no meaning for it") {
  Random random(86);
  Case c = make_case(random, {1, 1, 1, 2, 3, 4, 4});
  for (const Form& form : all_forms()) {
    c.plan.options.score = Score::sqeuclidean;
    c.plan.options.normalize = Normalizer::softmax;
    CHECK_THROWS_AS((void)run_case<float>(c, {.output = true}, {}, false, false, form.make), Error);
    c.plan.options.score = Score::scaled;
    c.plan.options.normalize = Normalizer::none;
    CHECK_THROWS_AS((void)run_case<float>(c, {.output = true}, {}, false, false, form.make), Error);
  }
}

TEST_CASE("bf16 and split take the best way of the target asked for") {
  Random random(87);
  const Case c = make_case(random, {1, 1, 1, 5, 40, 12, 9});
  for (const std::string& isa : available_isas()) {
    Execution execution;
    execution.isa = isa;
    for (const Bf16Parts parts : {Bf16Parts::one, Bf16Parts::two}) {
      const auto chosen = [&](const Plan& plan, const Operands<float>& operands, const Execution& e) {
        auto products = make_bf16_products(plan, operands, e, parts);
        const bool in_floats = dynamic_cast<const RoundedProducts*>(products.get()) != nullptr;
        const bool has_pairs = kernels::tile_pairs(isa) != nullptr ||
                               (parts == Bf16Parts::one && kernels::vector_pairs_pay() && kernels::vector_pairs(isa) != nullptr);
        CHECK(in_floats != has_pairs);
        if (isa != "avx512") CHECK(in_floats);
        return products;
      };
      (void)run_case<float>(c, {.output = true}, execution, false, false, chosen);
    }
  }
}

}  // namespace attn::engine::test

// Windows, landmarks, clusters and pruned heads: against plain loops, exact at their largest setting, the same for all threads.
#include "approx/landmarks.hpp"
#include "approx_support.hpp"

#include <cmath>

#include <doctest/doctest.h>

namespace attn::approx::test {

namespace {

constexpr engine::Needs kMethodNeeds{.output = true, .weights = true};

Case random_case(Random& random, const Dims& dims) {
  Case c = engine::test::make_case(random, dims);
  for (std::size_t b = 0; b < dims.batch; ++b)
    if (random.below(2) == 0) c.plan.key_length[b] = dims.kv_len - random.below(dims.kv_len / 3 + 1);
  return c;
}

PairKernel softmax_kernel(const Case& c) {
  return [&c](const double* q, const double* k) { return std::exp(c.plan.factor * dot(q, k, c.plan.dims.head_dim)); };
}

/// Of the exact engine in float64.
std::vector<double> exact_output(const Case& c) { return engine::test::run_case<double>(c, {.output = true}, {}).output; }

Execution execution_of(std::size_t threads, const std::string& isa = {}) {
  Execution execution;
  execution.threads = threads;
  execution.isa = isa;
  return execution;
}

double norm(const std::vector<double>& x) { return std::sqrt(dot(x.data(), x.data(), x.size())); }

double relative(const std::vector<double>& approximate, const std::vector<double>& exact) {
  std::vector<double> off(exact);
  for (std::size_t i = 0; i < off.size(); ++i) off[i] -= approximate[i];
  return norm(off) / norm(exact);
}

}  // namespace

TEST_CASE("windows with global keys hide what lies between them, on both engines") {
  const std::uint64_t seed = 31;
  CAPTURE(seed);
  Random random(seed);
  for (int round = 0; round < 24; ++round) {
    const std::size_t length = 1 + random.below(round < 16 ? 300 : 900);
    Case c = random_case(
        random, {.batch = 2, .heads = 2, .kv_heads = 1, .q_len = length, .kv_len = length, .head_dim = 5, .value_dim = 4});
    c.plan.options.causal = random.below(2) == 0;
    c.plan.query_offset = {static_cast<std::int64_t>(random.below(5)), static_cast<std::int64_t>(random.below(400)) - 200};
    c.plan.options.query_offset.kind = QueryOffset::Kind::given;
    if (round % 3 == 0) c.plan.slopes = {0.5, 0.25};
    const auto reach = static_cast<std::int64_t>(random.below(length + 4));
    const std::size_t globals = round % 4 == 3 ? 0 : random.below(200);
    CAPTURE(length);
    CAPTURE(c.plan.options.causal);
    CAPTURE(reach);
    CAPTURE(globals);
    CAPTURE(c.plan.query_offset[1]);
    const Sees sees = [&](std::size_t b, std::size_t i, std::size_t j) {
      const std::int64_t p = c.plan.query_offset[b] + static_cast<std::int64_t>(i);
      const auto key = static_cast<std::int64_t>(j);
      return j < c.plan.key_length[b] && (!c.plan.options.causal || key <= p) && (j < globals || std::abs(p - key) <= reach);
    };
    const std::string choice = "window:" + std::to_string(reach) + ":" + std::to_string(globals);
    const Results<double> found = run_method<double>(c, choice, {}, kMethodNeeds);
    engine::Plan narrow = c.plan;
    narrow.options.window = {.left = reach, .right = reach};
    narrow.global_keys = globals;
    for (std::size_t b = 0; b < 2; ++b)
      for (std::size_t i = 0; i < length; i += 1 + length / 40)
        for (std::size_t j = 0; j < length; ++j)
          if (narrow.visible(b, 0, i, j) != sees(b, i, j)) FAIL_CHECK("query " << i << " and key " << j << " of " << b);
    const Results<double> reference = engine::test::run_case<double>({narrow, c.query, c.key, c.value}, kMethodNeeds, {}, true);
    CHECK(farthest(found.output, reference.output) <= 1e-12);
    CHECK(farthest(found.weights, reference.weights) <= 1e-12);
    if (c.plan.slopes.empty()) CHECK(farthest(found.output, kernel_attention(c, softmax_kernel(c), sees)) <= 1e-12);
    double pairs = 0;
    for (std::size_t b = 0; b < 2; ++b)
      for (std::size_t i = 0; i < length; ++i)
        for (std::size_t j = 0; j < length; ++j) pairs += sees(b, i, j) ? 2 : 0;
    CHECK(narrow.visible_pairs() == pairs);
  }
}

namespace {

/// Which tiles of 96 keys a block of 64 queries keeps, [batch][block][tile], by plain loops in float64; one head.
std::vector<std::vector<std::vector<bool>>> kept_tiles(const Case& c, std::size_t tiles) {
  const Dims& d = c.plan.dims;
  const std::size_t all = (d.kv_len + 95) / 96;
  std::vector<std::vector<std::vector<bool>>> kept(d.batch);
  for (std::size_t b = 0; b < d.batch; ++b)
    for (std::size_t first = 0; first < d.q_len; first += 64) {
      std::vector<double> mass(all, 0.0);
      std::vector<bool> keep(all, false);
      std::vector<bool> seen(all, false);
      for (std::size_t i = first; i < std::min(first + 64, d.q_len); ++i) {
        const std::int64_t p = c.plan.query_offset[b] + static_cast<std::int64_t>(i);
        std::size_t end = c.plan.key_length[b];
        if (c.plan.options.causal) end = std::min(end, static_cast<std::size_t>(std::max<std::int64_t>(p + 1, 0)));
        std::vector<double> w(all, 0.0);
        double sum = 0;
        for (std::size_t t = 0; t * 96 < end; ++t) {
          seen[t] = true;
          const std::size_t last = std::min(t * 96 + 96, c.plan.key_length[b]);
          std::vector<double> mean(d.head_dim, 0.0);
          for (std::size_t j = t * 96; j < last; ++j)
            for (std::size_t f = 0; f < d.head_dim; ++f) mean[f] += c.key[(b * d.kv_len + j) * d.head_dim + f];
          for (double& x : mean) x /= static_cast<double>(last - t * 96);
          sum += w[t] = std::exp(c.plan.factor * dot(c.query.data() + (b * d.q_len + i) * d.head_dim, mean.data(), d.head_dim));
        }
        for (std::size_t t = 0; t < all && sum > 0; ++t) mass[t] += w[t] / sum;
        if (c.plan.options.causal && end > 0) keep[0] = keep[(end - 1) / 96] = true;
      }
      for (auto count = static_cast<std::size_t>(std::count(keep.begin(), keep.end(), true)); count < tiles; ++count) {
        std::size_t best = all;
        for (std::size_t t = 0; t < all; ++t)
          if (seen[t] && !keep[t] && (best == all || mass[t] > mass[best])) best = t;
        if (best == all) break;
        keep[best] = true;
      }
      kept[b].push_back(keep);
    }
  return kept;
}

}  // namespace

TEST_CASE("blocks keep the tiles of the largest estimated mass, and compute those exactly") {
  const std::uint64_t seed = 35;
  CAPTURE(seed);
  Random random(seed);
  for (int round = 0; round < 16; ++round) {
    const std::size_t q_len = 1 + random.below(200);
    const std::size_t kv_len = 1 + random.below(900);
    Case c = random_case(
        random, {.batch = 2, .heads = 1, .kv_heads = 1, .q_len = q_len, .kv_len = kv_len, .head_dim = 5, .value_dim = 4});
    c.plan.factor *= 4;
    c.plan.options.causal = round % 2 == 1;
    for (std::int64_t& offset : c.plan.query_offset) offset = static_cast<std::int64_t>(random.below(kv_len));
    const std::size_t tiles = 1 + random.below(4);
    CAPTURE(q_len);
    CAPTURE(kv_len);
    CAPTURE(tiles);
    const auto kept = kept_tiles(c, tiles);
    const Sees sees = [&](std::size_t b, std::size_t i, std::size_t j) {
      const bool is_past = static_cast<std::int64_t>(j) <= c.plan.query_offset[b] + static_cast<std::int64_t>(i);
      return j < c.plan.key_length[b] && (!c.plan.options.causal || is_past) && kept[b][i / 64][j / 96];
    };
    std::vector<double> weights;
    const std::vector<double> wanted = kernel_attention(c, softmax_kernel(c), sees, &weights);
    const std::string choice = "block:" + std::to_string(tiles);
    const Results<double> found = run_method<double>(c, choice, {}, kMethodNeeds);
    CHECK(farthest(found.output, wanted) <= 1e-12);
    CHECK(farthest(found.weights, weights) <= 1e-12);
    CHECK(farthest(run_method<float>(c, choice, execution_of(3)).output, wanted) <= 1e-5);
  }
}

TEST_CASE("blocks that keep all tiles are the exact engine, bit by bit, and masks hide what they hid") {
  Random random(36);
  Case c = engine::test::make_case(
      random, {.batch = 1, .heads = 4, .kv_heads = 2, .q_len = 70, .kv_len = 700, .head_dim = 7, .value_dim = 5});
  c.plan.options.causal = true;
  c.plan.query_offset = {600};
  const Results<float> exact = engine::test::run_case<float>(c, kMethodNeeds, {});
  CHECK(engine::test::same_bytes(run_method<float>(c, "block:8", {}, kMethodNeeds), exact));
  engine::test::add_mask(random, c, engine::MaskKind::keep, DType::f64);
  for (const char* choice : {"block:1", "block:3"}) {
    const Results<double> found = run_method<double>(c, choice, {}, kMethodNeeds);
    const Results<double> whole = engine::test::run_case<double>(c, kMethodNeeds, {});
    CHECK(found.is_empty == whole.is_empty);
    for (std::size_t row = 0; row < found.is_empty.size(); ++row) {
      double sum = 0;
      for (std::size_t j = 0; j < 700; ++j) {
        const double weight = found.weights[row * 700 + j];
        sum += weight;
        if (whole.weights[row * 700 + j] == 0) CHECK(weight == 0);
      }
      CHECK(std::abs(sum - (found.is_empty[row] != 0 ? 0 : 1)) <= 1e-12);
    }
    for (const std::string& isa : engine::available_isas()) {
      for (const std::size_t threads : {1U, 3U}) {
        CAPTURE(isa);
        CHECK(engine::test::same_bytes(run_method<double>(c, choice, execution_of(threads, isa), kMethodNeeds, threads == 3),
                                       found));
      }
    }
  }
  c.plan.options.normalize = Normalizer::sigmoid;
  CHECK_THROWS_AS((void)run_method<double>(c, "block:3"), Error);
}

TEST_CASE("each method is exact at its largest setting") {
  const std::uint64_t seed = 32;
  CAPTURE(seed);
  Random random(seed);
  for (const std::size_t length : std::initializer_list<std::size_t>{1, 2, 17, 64, 101}) {
    CAPTURE(length);
    const Case c = random_case(
        random, {.batch = 2, .heads = 4, .kv_heads = 2, .q_len = length, .kv_len = length + 3, .head_dim = 7, .value_dim = 5});
    Case placed = c;
    placed.plan.options.query_offset.kind = QueryOffset::Kind::given;
    const std::vector<double> exact = exact_output(c);
    const std::string all = std::to_string(length + 3);
    CHECK(farthest(run_method<double>(placed, "window:" + all).output, exact) == 0);
    CHECK(farthest(run_method<double>(c, "heads:4").output, exact) == 0);
    CHECK(farthest(run_method<double>(c, "block:2").output, exact) == 0);
    CHECK(farthest(run_method<double>(c, "pool:" + all).output, exact) <= 1e-12);
    CHECK(farthest(run_method<float>(c, "pool:" + all).output, exact) <= 2e-6);
    CHECK(relative(run_method<double>(c, "nystrom:" + all).output, exact) <= 1e-6);
    const Results<double> pooled = run_method<double>(c, "pool:" + all, {}, kMethodNeeds);
    CHECK(farthest(pooled.weights, engine::test::run_case<double>(c, kMethodNeeds, {}).weights) <= 1e-12);
    CHECK(farthest(pooled.output, exact) <= 1e-12);
  }
}

TEST_CASE("clusters of equal keys lose nothing") {
  Random random(33);
  Case c = engine::test::make_case(
      random, {.batch = 1, .heads = 1, .kv_heads = 1, .q_len = 9, .kv_len = 40, .head_dim = 6, .value_dim = 3});
  // Four different keys, ten times each, in order.
  for (std::size_t j = 0; j < 40; ++j)
    for (std::size_t f = 0; f < 6; ++f) c.key[j * 6 + f] = c.key[j / 10 * 10 * 6 + f];
  CHECK(farthest(run_method<double>(c, "pool:4").output, exact_output(c)) <= 1e-12);
  // A cluster less costs something, and a softmax that another key joins still counts the keys.
  CHECK(farthest(run_method<double>(c, "pool:3").output, exact_output(c)) > 1e-3);
  c.plan.options.normalize = Normalizer::softmax1;
  CHECK(farthest(run_method<double>(c, "pool:4").output, exact_output(c)) <= 1e-12);
}

TEST_CASE("an inverse after Moore and Penrose") {
  Random random(34);
  for (const auto& [rows, columns, rank] :
       std::vector<std::array<std::size_t, 3>>{{1, 1, 1}, {5, 5, 5}, {7, 4, 4}, {4, 70, 4}, {66, 66, 66}, {9, 9, 3}}) {
    CAPTURE(rows);
    CAPTURE(columns);
    CAPTURE(rank);
    const Square left{rows, rank, engine::test::float_values(random, rows * rank)};
    const Square right{rank, columns, engine::test::float_values(random, rank * columns)};
    const Square a = rank == rows && rows == columns ? left : product(left, right);
    const Square x = pseudo_inverse(a, 60);
    const double size = norm(a.values);
    CHECK(farthest(product(product(a, x), a).values, a.values) <= 1e-8 * size);
    const Square ax = product(a, x);
    const Square xa = product(x, a);
    for (const Square* p : {&ax, &xa})
      for (std::size_t i = 0; i < p->rows; ++i)
        for (std::size_t j = 0; j < i; ++j)
          if (!(std::abs(p->values[i * p->rows + j] - p->values[j * p->rows + i]) <= 1e-6))
            FAIL_CHECK("not symmetric at " << i << ", " << j);
  }
}

TEST_CASE("landmarks are means of neighbours, and three factors make the output") {
  Random random(35);
  const Case c = engine::test::make_case(
      random, {.batch = 1, .heads = 1, .kv_heads = 1, .q_len = 30, .kv_len = 45, .head_dim = 4, .value_dim = 3});
  const std::size_t count = 5;
  const auto means = [&](const std::vector<double>& rows, std::size_t length) {
    std::vector<double> m(count * 4);
    for (std::size_t i = 0; i < length; ++i)
      for (std::size_t f = 0; f < 4; ++f) m[i * count / length * 4 + f] += rows[i * 4 + f] * count / static_cast<double>(length);
    return m;
  };
  const auto weights = [&](const std::vector<double>& q, const std::vector<double>& k) {
    Case part = c;
    part.query = q;
    part.key = k;
    part.plan.dims.q_len = q.size() / 4;
    part.plan.dims.kv_len = k.size() / 4;
    part.plan.key_length = {k.size() / 4};
    part.value.assign(k.size() / 4 * 3, 0);
    std::vector<double> w;
    (void)kernel_attention(
        part, softmax_kernel(part), [](auto...) { return true; }, &w);
    return Square{q.size() / 4, k.size() / 4, w};
  };
  const std::vector<double> q = means(c.query, 30);
  const std::vector<double> k = means(c.key, 45);
  const Square exact =
      product(product(weights(c.query, k), pseudo_inverse(weights(q, k), 6)), product(weights(q, c.key), {45, 3, c.value}));
  CHECK(relative(run_method<double>(c, "nystrom:5").output, exact.values) <= 1e-6);
}

TEST_CASE("the heads that matter least are left out") {
  Random random(36);
  for (const bool packed : {false, true}) {
    Case c =
        random_case(random, {.batch = 2, .heads = 4, .kv_heads = 4, .q_len = 150, .kv_len = 20, .head_dim = 5, .value_dim = 6});
    engine::test::add_mask(random, c, engine::MaskKind::keep, DType::f64);
    c.plan.slopes = {0.5, 0.4, 0.3, 0.2};
    // Head 2 speaks loudest, then head 0.
    const double loud[4] = {3, 1, 9, 0.5};
    for (std::size_t n = 0; n < c.value.size(); ++n) c.value[n] *= loud[n / (20 * 6) % 4];
    std::vector<double> expected = exact_output(c);
    for (std::size_t n = 0; n < expected.size(); ++n) {
      const std::size_t head = n / (150 * 6) % 4;
      if (head == 1 || head == 3) expected[n] = 0;
    }
    CHECK(farthest(run_method<double>(c, "heads:2", {}, {.output = true}, packed).output, expected) <= 1e-12);
  }
}

TEST_CASE("threads and vector targets change no bit") {
  Random random(37);
  Case c =
      random_case(random, {.batch = 1, .heads = 2, .kv_heads = 1, .q_len = 1500, .kv_len = 1500, .head_dim = 20, .value_dim = 9});
  for (const bool causal : {false, true}) {
    c.plan.options.causal = causal;
    for (const Method* method : methods()) {
      const std::string name(method->name);
      const Choice choice = read_choice("", name);
      if (!method->refusal(c.plan, choice.setting).empty()) continue;
      CAPTURE(name);
      CAPTURE(causal);
      const Results<float> one = run_method<float>(c, name);
      CHECK(engine::test::same_bytes(one, run_method<float>(c, name, execution_of(3))));
      // Products of bfloat16 have ways of some targets only, which sum in other orders.
      const bool sums_alike = name != "bf16" && name != "split";
      for (const std::string& isa : engine::available_isas()) {
        const Results<float> other = run_method<float>(c, name, execution_of(2, isa));
        if (sums_alike) {
          CHECK(engine::test::same_bytes(one, other));
        } else {
          CHECK(farthest(one.output, std::vector<double>(other.output.begin(), other.output.end())) <= 2e-3);
        }
      }
    }
  }
}

TEST_CASE("settings rise, and what they cost rises with them") {
  Random random(38);
  const Case c = engine::test::make_case(
      random, {.batch = 1, .heads = 2, .kv_heads = 2, .q_len = 1000, .kv_len = 1000, .head_dim = 6, .value_dim = 4});
  for (const Method* method : methods()) {
    const Choice given = read_choice("", method->name);
    const std::vector<Setting> settings = method->settings(c.plan, given.setting);
    CAPTURE(method->name);
    REQUIRE_FALSE(settings.empty());
    const Cost cost = method->cost(c.plan, settings.front(), {});
    CHECK(cost.flops > 0);
    CHECK(cost.bytes > 0);
    for (std::size_t n = 1; n < settings.size(); ++n) CHECK(settings[n - 1][0] < settings[n][0]);
    CHECK(method->cost(c.plan, settings.back(), {}).flops >= cost.flops);
  }
}

}  // namespace attn::approx::test

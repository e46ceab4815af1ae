// Which keys a query may see and what is added to its logits, against the definitions.
#include "engine/engine_support.hpp"

#include <cmath>
#include <limits>

namespace {

using namespace attn;
using namespace attn::engine;
using namespace attn::engine::test;

using Random = std::mt19937;

std::int64_t draw(Random& random, std::int64_t low, std::int64_t high) {
  return low + static_cast<std::int64_t>(random() % static_cast<std::uint32_t>(high - low + 1));
}

std::optional<std::int64_t> draw_side(Random& random) {
  if (draw(random, 0, 2) == 0) return std::nullopt;
  return draw(random, 0, 6);
}

/// A plan with random positions, lengths and window.
Plan draw_positions(Random& random) {
  Plan plan;
  plan.dims = {.batch = 2,
               .heads = 2,
               .kv_heads = 1,
               .q_len = static_cast<std::size_t>(draw(random, 1, 9)),
               .kv_len = static_cast<std::size_t>(draw(random, 0, 12)),
               .head_dim = 1,
               .value_dim = 1};
  plan.options.causal = draw(random, 0, 1) == 1;
  plan.options.window = {.left = draw_side(random), .right = draw_side(random)};
  for (std::size_t b = 0; b < plan.dims.batch; ++b) {
    plan.query_offset.push_back(draw(random, -6, 14));
    plan.key_length.push_back(static_cast<std::size_t>(draw(random, 0, static_cast<std::int64_t>(plan.dims.kv_len))));
  }
  return plan;
}

/// The contract's words: causal j <= p, window p-L <= j <= p+R, and the key exists.
bool in_range(const Plan& plan, std::size_t b, std::size_t i, std::size_t j) {
  const std::int64_t p = static_cast<std::int64_t>(i) + plan.query_offset[b];
  const auto key = static_cast<std::int64_t>(j);
  const Window& w = plan.options.window;
  return j < plan.key_length[b] && (!plan.options.causal || key <= p) && (!w.left || key >= p - *w.left) &&
         (!w.right || key <= p + *w.right);
}

/// A mask of a random kind and broadcast shape.
MaskPart draw_mask(Random& random, const Dims& d) {
  const std::size_t full[4] = {d.batch, d.heads, d.q_len, d.kv_len};
  MaskPart part;
  part.kind = static_cast<MaskKind>(draw(random, 0, 2));
  part.key_count = d.kv_len;
  Shape shape(4);
  std::size_t step = 1;
  for (std::size_t axis = 4; axis-- > 0;) {
    std::size_t n = draw(random, 0, 3) == 0 ? 1 : full[axis];
    if (axis == 3 && n > 2 && draw(random, 0, 1) == 1) n -= 1;
    if (axis == 3 && n > 1) part.key_count = n;
    part.stride[axis] = n == 1 ? 0 : step;
    step *= n;
    shape[axis] = n;
  }
  if (part.kind == MaskKind::add) {
    std::vector<double> values(step);
    for (double& x : values) {
      const std::int64_t kind = draw(random, 0, 9);
      x = kind == 0 ? -std::numeric_limits<double>::infinity() : static_cast<double>(kind) / 4 - 1;
    }
    part.array = Array::of<double>(shape, values);
  } else {
    part.array = Array(DType::boolean, shape);
    for (bool& x : part.array.mutable_values<bool>()) x = draw(random, 0, 2) != 0;
  }
  return part;
}

}  // namespace

TEST_CASE("ranges are what causal, window and key lengths say") {
  for (unsigned seed = 1; seed <= 2000; ++seed) {
    INFO("seed ", seed);
    Random random(seed);
    const Plan plan = draw_positions(random);
    double pairs = 0;
    for (std::size_t b = 0; b < plan.dims.batch; ++b) {
      for (std::size_t i = 0; i < plan.dims.q_len; ++i) {
        const KeyRange range = plan.range(b, i);
        for (std::size_t j = 0; j < plan.dims.kv_len; ++j) {
          REQUIRE_EQ(j >= range.begin && j < range.end, in_range(plan, b, i, j));
          REQUIRE_EQ(plan.visible(b, 0, i, j), in_range(plan, b, i, j));
          pairs += in_range(plan, b, i, j) ? 1 : 0;
        }
      }
    }
    CHECK_EQ(plan.visible_pairs(), pairs * static_cast<double>(plan.dims.heads));
  }
}

TEST_CASE("the range of a block is the smallest around the ranges of its queries") {
  for (unsigned seed = 1; seed <= 500; ++seed) {
    INFO("seed ", seed);
    Random random(seed);
    const Plan plan = draw_positions(random);
    for (std::size_t first = 0; first < plan.dims.q_len; ++first) {
      for (std::size_t count = 1; first + count <= plan.dims.q_len; ++count) {
        std::size_t begin = plan.dims.kv_len;
        std::size_t end = 0;
        for (std::size_t i = first; i < first + count; ++i) {
          for (std::size_t j = 0; j < plan.dims.kv_len; ++j) {
            if (!in_range(plan, 0, i, j)) continue;
            begin = std::min(begin, j);
            end = std::max(end, j + 1);
          }
        }
        const KeyRange range = plan.range(0, first, count);
        REQUIRE_EQ(range.empty(), begin >= end);
        if (range.empty()) continue;
        REQUIRE_EQ(range.begin, begin);
        REQUIRE_EQ(range.end, end);
      }
    }
  }
}

TEST_CASE("the rows of biases say what visible() and bias() say") {
  for (unsigned seed = 1; seed <= 1000; ++seed) {
    INFO("seed ", seed);
    Random random(seed);
    Plan plan = draw_positions(random);
    const Dims& d = plan.dims;
    if (draw(random, 0, 1) == 1) plan.slopes = alibi_slopes(d.heads);
    for (std::int64_t n = draw(random, 0, 2); n > 0; --n) plan.masks.push_back(draw_mask(random, d));
    if (draw(random, 0, 1) == 1) {
      for (std::size_t n = 0; n < d.q_len; ++n) plan.segments.query.push_back(draw(random, 0, 1));
      for (std::size_t n = 0; n < d.batch * d.kv_len; ++n) plan.segments.key.push_back(draw(random, 0, 1));
      plan.segments.key_stride = d.kv_len;
    }
    const std::size_t key = d.kv_len / 3;
    const std::size_t query = d.q_len / 2;
    const std::size_t keys = d.kv_len - key;
    const std::size_t stride = keys + 3;
    for (std::size_t b = 0; b < d.batch; ++b) {
      for (std::size_t h = 0; h < d.heads; ++h) {
        std::vector<double> rows((d.q_len - query) * stride, 7.5);
        plan.fill_bias(b, h, query, d.q_len - query, key, keys, rows.data(), stride);
        for (std::size_t i = query; i < d.q_len; ++i) {
          const double* row = rows.data() + (i - query) * stride;
          for (std::size_t j = key; j < d.kv_len; ++j) {
            const double entry = row[j - key];
            REQUIRE_EQ(in_range(plan, b, i, j) && !std::isinf(entry), plan.visible(b, h, i, j));
            if (plan.visible(b, h, i, j)) REQUIRE(entry == doctest::Approx(plan.bias(b, h, i, j)).epsilon(1e-14));
          }
          REQUIRE_EQ(row[keys], 7.5);
        }
      }
    }
  }
}

TEST_CASE("far positions and wide windows stay exact, or are refused") {
  const Inputs inputs = inputs_of({3, 2}, {4, 2}, {4, 2});
  constexpr std::int64_t largest = std::numeric_limits<std::int64_t>::max();
  constexpr std::int64_t far = std::int64_t{1} << 53;
  AttentionOptions options;
  options.causal = true;
  const auto plan_at = [&](std::int64_t offset, std::int64_t left) {
    options.query_offset = {.kind = QueryOffset::Kind::given, .values = {offset}};
    options.window.left = left;
    return make_plan(inputs, options, DType::f32);
  };
  CHECK_EQ(plan_at(100, largest).range(0, 2).begin, 0);
  CHECK_EQ(plan_at(100, largest).range(0, 2).end, 4);
  CHECK_EQ(plan_at(far, far).range(0, 2).begin, 2);
  CHECK_EQ(plan_at(far, largest).range(0, 2).end, 4);
  CHECK(plan_at(far, 0).range(0, 2).empty());
  CHECK(plan_at(-far, largest).range(0, 2).empty());
  for (const std::int64_t offset : {far + 1, -far - 1, largest, std::numeric_limits<std::int64_t>::min()})
    CHECK(error_of([&] { (void)plan_at(offset, 1); }).status() == Status::data);
}

TEST_CASE("ALiBi's slopes are those of its paper") {
  const auto close = [](const std::vector<double>& got, const std::vector<double>& exponents) {
    REQUIRE_EQ(got.size(), exponents.size());
    for (std::size_t i = 0; i < got.size(); ++i) CHECK(got[i] == doctest::Approx(std::pow(2.0, -exponents[i])).epsilon(1e-15));
  };
  close(alibi_slopes(1), {8});
  close(alibi_slopes(2), {4, 8});
  close(alibi_slopes(8), {1, 2, 3, 4, 5, 6, 7, 8});
  close(alibi_slopes(3), {4, 8, 2});
  close(alibi_slopes(6), {2, 4, 6, 8, 1, 3});
  close(alibi_slopes(12), {1, 2, 3, 4, 5, 6, 7, 8, 0.5, 1.5, 2.5, 3.5});
  CHECK_EQ(alibi_slopes(16).front(), doctest::Approx(std::sqrt(0.5)).epsilon(1e-15));
}

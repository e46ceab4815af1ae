// Boolean masks as bits: against pairs looked up one by one, and against the additive mask that says the same.
#include "engine/keep_bits.hpp"

#include "engine/tiled_support.hpp"
#include "kernels/kernels.hpp"

#include <doctest/doctest.h>

namespace attn::engine::test {

namespace {

using kernels::kKeys;
using kernels::kLanes;

Case masked_case(std::uint64_t seed, const Dims& d) {
  Random random(seed);
  Case c = make_case(random, d);
  add_mask(random, c, seed % 2 == 0 ? MaskKind::keep : MaskKind::block, DType::f32);
  if (seed % 3 == 0) add_mask(random, c, MaskKind::block, DType::f32);
  if (seed % 4 == 1) {
    for (std::size_t i = 0; i < d.q_len; ++i) c.plan.segments.query.push_back(static_cast<std::int64_t>(random.below(3)));
    for (std::size_t j = 0; j < d.kv_len; ++j) c.plan.segments.key.push_back(static_cast<std::int64_t>(random.below(3)));
  }
  return c;
}

/// The same plan with one additive mask of 0 and -inf in place of its masks and segments.
template <class T>
Plan additive(const Plan& plan) {
  const Dims& d = plan.dims;
  Plan other = plan;
  other.segments = {};
  MaskPart part;
  part.kind = MaskKind::add;
  part.key_count = d.kv_len;
  part.array = Array(std::is_same_v<T, float> ? DType::f32 : DType::f64, {d.batch, d.heads, d.q_len, d.kv_len});
  std::size_t step = 1;
  for (std::size_t n = 4; n-- > 0; step *= part.array.shape()[n]) part.stride[n] = step;
  std::size_t at = 0;
  for (std::size_t b = 0; b < d.batch; ++b)
    for (std::size_t h = 0; h < d.heads; ++h)
      for (std::size_t i = 0; i < d.q_len; ++i)
        for (std::size_t j = 0; j < d.kv_len; ++j, ++at)
          part.array.mutable_values<T>()[at] = plan.visible(b, h, i, j) ? T(0) : -std::numeric_limits<T>::infinity();
  other.masks = {part};
  return other;
}

}  // namespace

TEST_CASE("a bit is set where the pair is visible") {
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    CAPTURE(seed);
    const Dims d{2, 2, 1, 1 + seed * 13, 200, 1, 1};
    const Plan plan = masked_case(seed, d).plan;
    for (const std::size_t keys : {1U, 7U, 8U, 63U, 64U, 65U, 95U, 96U}) {
      for (const std::size_t key : {std::size_t{0}, std::size_t{5}, d.kv_len - keys}) {
        const std::size_t query = d.q_len / 3;
        const std::size_t queries = std::min(kLanes, d.q_len - query);
        std::vector<std::uint64_t> keep(keys, 77);
        const bool some = fill_keep_bits(plan, 1, 1, query, queries, key, keep);
        std::size_t wrong = 0;
        bool any = false;
        for (std::size_t j = 0; j < keys; ++j) {
          for (std::size_t i = 0; i < kLanes; ++i) {
            const bool visible = i < queries && plan.visible(1, 1, query + i, key + j);
            any |= visible;
            wrong += ((keep[j] >> i & 1U) != 0) == visible ? 0U : 1U;
          }
        }
        CHECK(wrong == 0);
        CHECK(some == any);
      }
    }
  }
  Case hidden = masked_case(0, {1, 1, 1, 70, 97, 1, 1});
  hidden.plan.masks[0].key_count = 50;
  std::vector<std::uint64_t> keep(47);
  CHECK_FALSE(fill_keep_bits(hidden.plan, 0, 0, 0, 64, 50, keep));
}

TEST_CASE_TEMPLATE("boolean masks and segments give the bytes of the additive mask that says the same", T, float, double) {
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    CAPTURE(seed);
    Case c = masked_case(seed, {1, 2, 1, 66 + 31 * seed, 110 + 47 * seed, 6, 5});
    c.plan.options.causal = seed % 4 == 2;
    c.plan.options.softcap = seed % 4 == 3 ? 2 : 0;
    c.plan.options.score = seed % 3 == 0 ? Score::sqeuclidean : Score::scaled;
    std::copy_n(c.query.begin(), 60, c.key.begin());
    if (seed % 2 == 0) c.value[20] = std::numeric_limits<double>::quiet_NaN();
    for (const Normalizer normalize : {Normalizer::softmax, Normalizer::softmin, Normalizer::double_softmax, Normalizer::softmax1,
                                       Normalizer::sigmoid, Normalizer::none}) {
      CAPTURE(static_cast<int>(normalize));
      c.plan.options.normalize = normalize;
      Case same = c;
      same.plan = additive<T>(c.plan);
      CHECK(same_bytes(run_case<T>(c, kEverything, {}), run_case<T>(same, kEverything, {})));
    }
  }
}

}  // namespace attn::engine::test

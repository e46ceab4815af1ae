// The block map against pairs counted one by one, and what the fast engine leaves out because of it.
#include "engine/block_map.hpp"

#include "engine/tiled_support.hpp"
#include "kernels/kernels.hpp"

#include <attn/error.hpp>

#include <array>
#include <atomic>
#include <functional>

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace attn::engine::test {

namespace {

using kernels::kKeys;
using kernels::kLanes;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr std::size_t kSizes[] = {1, 63, 64, 65, 95, 96, 97, 191, 192, 193};

/// The value of an additive mask at (batch, head, query, key); -inf hides, also in boolean masks.
using Rule = std::function<double(std::size_t, std::size_t, std::size_t, std::size_t)>;

/// Which axes a mask has of its own.
struct Axes {
  bool batch = false;
  bool heads = false;
  bool queries = true;
  bool keys = true;
};

MaskPart part_of(const Dims& d, MaskKind kind, DType compute, Axes axes, std::size_t key_count, const Rule& rule) {
  const std::size_t shape[4] = {axes.batch ? d.batch : 1, axes.heads ? d.heads : 1, axes.queries ? d.q_len : 1,
                                axes.keys ? key_count : 1};
  MaskPart part;
  part.kind = kind;
  part.key_count = axes.keys ? key_count : d.kv_len;
  part.array = Array(kind == MaskKind::add ? compute : DType::boolean, {shape[0], shape[1], shape[2], shape[3]});
  std::size_t step = 1;
  for (std::size_t n = 4; n-- > 0;) {
    part.stride[n] = shape[n] == 1 && (n < 3 || !axes.keys) ? 0 : step;
    step *= shape[n];
  }
  std::size_t at = 0;
  for (std::size_t b = 0; b < shape[0]; ++b) {
    for (std::size_t h = 0; h < shape[1]; ++h) {
      for (std::size_t i = 0; i < shape[2]; ++i) {
        for (std::size_t j = 0; j < shape[3]; ++j, ++at) {
          const double value = rule(b, h, i, j);
          if (kind != MaskKind::add)
            part.array.mutable_values<bool>()[at] = (value == -kInf) == (kind == MaskKind::block);
          else if (compute == DType::f32)
            part.array.mutable_values<float>()[at] = static_cast<float>(value);
          else
            part.array.mutable_values<double>()[at] = value;
        }
      }
    }
  }
  return part;
}

double hide_unless(bool kept) { return kept ? 0.0 : -kInf; }

/// Masks of many kinds; `value` is what additive ones add here and there.
std::vector<Rule> rules(std::size_t seed, double value) {
  return {
      [](auto, auto, std::size_t i, std::size_t j) { return hide_unless((i / 64 * 7 + j / 96 * 3) % 4 < 2); },  // block-sparse
      [](auto, auto, std::size_t i, std::size_t j) { return hide_unless(j + 20 >= i && j <= i + 33); },         // banded
      [](auto b, auto, auto, std::size_t j) { return hide_unless(j < 100 + 50 * b); },                          // key padding
      [](auto, auto h, std::size_t i, std::size_t j) { return hide_unless(h % 2 == 0 || (i / 64 + j / 96) % 2 == 0); },
      [seed](auto b, auto h, std::size_t i, std::size_t j) {
        return hide_unless(Random(seed + b + 3 * h + 5 * i + 1009 * j).below(8) > 0);
      },
      [value](auto, auto, std::size_t i, std::size_t j) {
        return i / 64 == j / 96 ? (i + j) % 3 == 0 ? -0.0 : 0.0 : i / 64 > j / 96 ? -kInf : value;
      },
      [](auto, auto, auto, auto) { return 0.0; },
      [](auto, auto, auto, auto) { return -kInf; },
  };
}

/// What is true of the pairs in range of one block, tile, batch entry and head.
struct Truth {
  bool some_visible = false;
  bool some_changed = false;
};

Truth truth_of(const Plan& plan, std::size_t b, std::size_t h, std::size_t query, std::size_t queries, KeyRange keys) {
  Truth truth;
  for (std::size_t i = query; i < query + queries; ++i) {
    const KeyRange own = plan.range(b, i);
    for (std::size_t j = std::max(own.begin, keys.begin); j < std::min(own.end, keys.end); ++j) {
      const bool visible = plan.visible(b, h, i, j);
      truth.some_visible |= visible;
      truth.some_changed |= !visible || plan.bias(b, h, i, j) != 0;
    }
  }
  return truth;
}

/// Calls f(b, h, query, queries, keys) for each block and tile.
template <class F>
void for_each_tile(const Dims& d, const F& f) {
  for (std::size_t b = 0; b < d.batch; ++b)
    for (std::size_t h = 0; h < d.heads; ++h)
      for (std::size_t i = 0; i < d.q_len; i += kLanes)
        for (std::size_t j = 0; j < d.kv_len; j += kKeys)
          f(b, h, i, std::min(kLanes, d.q_len - i), KeyRange{j, std::min(j + kKeys, d.kv_len)});
}

/// Covers must never promise what is not so, and `exact` ones must promise all there is.
void check_covers(const Plan& plan, bool exact) {
  const BlockMap map(plan, {});
  for_each_tile(plan.dims, [&](auto b, auto h, auto query, auto queries, KeyRange keys) {
    const Truth truth = truth_of(plan, b, h, query, queries, keys);
    const Cover cover = map.cover(b, h, 1, query, queries, keys);
    const bool right = exact ? cover == (!truth.some_visible   ? Cover::hidden
                                         : !truth.some_changed ? Cover::open
                                                               : Cover::mixed)
                             : cover == Cover::mixed || (cover == Cover::hidden && !truth.some_visible) ||
                                   (cover == Cover::open && !truth.some_changed);
    CHECK_MESSAGE(right, "batch ", b, ", head ", h, ", query ", query, ", key ", keys.begin, ": ", static_cast<int>(cover));
  });
}

Case sized_case(std::size_t seed, const Dims& d) {
  Random random(seed);
  return make_case(random, d);
}

std::vector<std::int64_t> ids(std::size_t count, std::size_t run, bool shuffled, std::uint64_t seed) {
  std::vector<std::int64_t> result(count);
  for (std::size_t i = 0; i < count; ++i) result[i] = static_cast<std::int64_t>(i / run) - 1;
  Random random(seed);
  for (std::size_t i = count; shuffled && i > 1; --i) std::swap(result[i - 1], result[random.below(i)]);
  return result;
}

constexpr Normalizer kNormalizers[] = {Normalizer::softmax,  Normalizer::softmin, Normalizer::double_softmax,
                                       Normalizer::softmax1, Normalizer::sigmoid, Normalizer::none};

/// The same bytes with the map and without.
template <class T>
void check_same_bytes(Case c) {
  Execution without;
  without.map_masks = false;
  for (const Normalizer normalize : kNormalizers) {
    CAPTURE(static_cast<int>(normalize));
    c.plan.options.normalize = normalize;
    CHECK(same_bytes(run_case<T>(c, kEverything, {}), run_case<T>(c, kEverything, without)));
  }
}

}  // namespace

TEST_CASE("covers of one mask are exact at every size") {
  for (const std::size_t q_len : kSizes) {
    for (const std::size_t kv_len : kSizes) {
      CAPTURE(q_len);
      CAPTURE(kv_len);
      const std::vector<Rule> all = rules(q_len * 1000 + kv_len, 0.5);
      for (std::size_t n = 0; n < all.size(); ++n) {
        CAPTURE(n);
        for (const MaskKind kind : {MaskKind::keep, MaskKind::block, MaskKind::add}) {
          Case c = sized_case(1, {2, 3, 1, q_len, kv_len, 1, 1});
          const DType compute = n % 2 == 0 ? DType::f32 : DType::f64;
          const std::size_t key_count = kv_len - (n == 1 && kv_len > 97 ? 97 : 0);
          c.plan.masks.push_back(
              part_of(c.plan.dims, kind, compute, {.batch = n == 2 || n == 4, .heads = n == 3 || n == 4}, key_count, all[n]));
          check_covers(c.plan, true);
        }
      }
    }
  }
}

TEST_CASE("masks with repeated queries or keys, and masks inside causal, window and lengths") {
  for (const MaskKind kind : {MaskKind::keep, MaskKind::block, MaskKind::add}) {
    Case c = sized_case(2, {3, 2, 1, 193, 400, 1, 1});
    const Dims& d = c.plan.dims;
    const Plan bare = c.plan;
    const auto padding = [](auto b, auto, auto, std::size_t j) { return hide_unless(j < 120 + 96 * b); };
    c.plan.masks = {part_of(d, kind, DType::f32, {.batch = true, .queries = false}, 390, padding)};
    check_covers(c.plan, true);
    const auto rows = [](auto, auto h, std::size_t i, auto) { return hide_unless(i / 64 != h); };
    c.plan.masks = {part_of(d, kind, DType::f64, {.heads = true, .keys = false}, d.kv_len, rows)};
    check_covers(c.plan, true);
    // A mask that ends before the first key in range, within its tile.
    c.plan.options.window.left = 10;
    c.plan.query_offset = {160, 160, 170};
    c.plan.masks = {part_of(d, kind, DType::f32, {}, 120, [](auto, auto, auto, auto) { return 0.0; })};
    check_covers(c.plan, false);
    CHECK(BlockMap(c.plan, {}).cover(0, 0, 1, 0, 64, {96, 192}) == Cover::hidden);
    // One of a batch's own mask, and one mask for all of a batch whose ranges differ.
    for (const bool own : {true, false}) {
      c.plan = bare;
      c.plan.options.causal = true;
      c.plan.options.window.left = 70;
      c.plan.query_offset = {0, 100, 250};
      c.plan.key_length = {400, 350, 30};
      const auto band = [](auto, auto, std::size_t i, std::size_t j) { return hide_unless(j % 192 < 96 || j > i + 130); };
      c.plan.masks = {part_of(d, kind, DType::f32, {.batch = own}, d.kv_len, band)};
      check_covers(c.plan, false);
      const BlockMap map(c.plan, {});
      // Far from every range nothing is left.
      if (own) CHECK(map.cover(0, 0, 1, 0, 64, {192, 288}) == Cover::hidden);
    }
  }
}

TEST_CASE("covers of segments, of several masks, blocks, tiles and heads together") {
  for (const bool shuffled : {false, true}) {
    for (const std::size_t run : {1U, 40U, 64U, 96U, 500U}) {
      Case c = sized_case(3, {2, 2, 1, 300, 500, 1, 1});
      const Dims& d = c.plan.dims;
      c.plan.segments.query = ids(d.q_len, run, shuffled, 1);
      c.plan.segments.key = ids(d.batch * d.kv_len, run, shuffled, 2);
      c.plan.segments.key_stride = d.kv_len;
      check_covers(c.plan, !shuffled);
      const auto sparse = [](auto, auto h, std::size_t i, std::size_t j) { return hide_unless((i / 64 + j / 96 + h) % 3 > 0); };
      c.plan.masks = {part_of(d, MaskKind::keep, DType::f32, {.heads = true}, d.kv_len, sparse)};
      check_covers(c.plan, false);
      const BlockMap map(c.plan, {});
      const auto all = [&](std::size_t heads, std::size_t query, std::size_t queries, KeyRange keys) {
        const Cover cover = map.cover(0, 0, heads, query, queries, keys);
        for (std::size_t h = 0; h < heads; ++h) {
          const Truth truth = truth_of(c.plan, 0, h, query, queries, keys);
          if (cover == Cover::hidden) CHECK_FALSE(truth.some_visible);
          if (cover == Cover::open) CHECK_FALSE(truth.some_changed);
        }
      };
      all(2, 10, 200, {50, 400});
      all(2, 70, 1, {96, 97});
      all(1, 0, 300, {0, 500});
    }
  }
  Case c = sized_case(4, {1, 4, 1, 130, 200, 1, 1});
  const auto first_heads = [](auto, auto h, std::size_t, std::size_t j) { return hide_unless(h < 2 && j < 96); };
  c.plan.masks = {part_of(c.plan.dims, MaskKind::keep, DType::f32, {.heads = true}, 200, first_heads)};
  const BlockMap map(c.plan, {});
  CHECK(map.cover(0, 0, 2, 0, 130, {0, 96}) == Cover::open);
  CHECK(map.cover(0, 2, 2, 0, 130, {0, 96}) == Cover::hidden);
  CHECK(map.cover(0, 1, 2, 0, 130, {0, 96}) == Cover::mixed);
  CHECK(map.cover(0, 0, 2, 0, 130, {96, 200}) == Cover::hidden);
  CHECK(map.cover(0, 0, 2, 0, 130, {0, 97}) == Cover::mixed);
  CHECK(map.cover(0, 0, 2, 0, 0, {0, 97}) == Cover::hidden);
  CHECK(BlockMap().cover(0, 0, 1, 0, 130, {0, 200}) == Cover::mixed);
}

TEST_CASE("NaN and infinity in an additive mask are neither hidden nor open") {
  for (const double value : {std::numeric_limits<double>::quiet_NaN(), kInf, 1e-40}) {
    Case c = sized_case(5, {1, 1, 1, 64, 192, 1, 1});
    for (const DType compute : {DType::f32, DType::f64}) {
      const auto last = [value](auto, auto, std::size_t i, std::size_t j) { return i == 63 && j % 96 == 95 ? value : 0.0; };
      const auto only = [value](auto, auto, std::size_t i, std::size_t j) { return i == 63 && j % 96 == 95 ? value : -kInf; };
      for (const Rule& rule : {Rule(last), Rule(only)}) {
        c.plan.masks = {part_of(c.plan.dims, MaskKind::add, compute, {}, 192, rule)};
        const BlockMap map(c.plan, {});
        CHECK(map.cover(0, 0, 1, 0, 64, {0, 96}) == Cover::mixed);
        CHECK(map.cover(0, 0, 1, 0, 64, {96, 192}) == Cover::mixed);
      }
    }
  }
}

TEST_CASE("the map is the same for every number of threads and heeds cancelling") {
  const Dims d{1, 1, 1, 700, 900, 1, 1};
  Case c = sized_case(6, d);
  for (const Rule& rule : rules(6, 1.0)) c.plan.masks.push_back(part_of(d, MaskKind::block, DType::f32, {}, d.kv_len, rule));
  std::vector<Cover> found[2];
  for (const std::size_t threads : {1U, 3U}) {
    for (const MaskPart& part : c.plan.masks) {
      Plan one = c.plan;
      one.masks = {part};
      Execution execution;
      execution.threads = threads;
      const BlockMap map(one, execution);
      for_each_tile(d, [&](auto b, auto h, auto query, auto queries, KeyRange keys) {
        found[threads / 3].push_back(map.cover(b, h, 1, query, queries, keys));
      });
    }
  }
  CHECK(found[0] == found[1]);
  const std::atomic<bool> cancelled = true;
  Execution execution;
  execution.cancelled = &cancelled;
  CHECK_THROWS_AS(BlockMap(c.plan, execution), Error);
}

TEST_CASE_TEMPLATE("the map changes no byte", T, float, double) {
  const DType compute = std::is_same_v<T, float> ? DType::f32 : DType::f64;
  for (const auto& [q_len, kv_len] : {std::pair<std::size_t, std::size_t>{1, 193}, {65, 97}, {150, 290}, {200, 96}}) {
    CAPTURE(q_len);
    const Dims d{2, 2, 1, q_len, kv_len, 5, 7};
    const std::vector<Rule> all = rules(q_len, 0.25);
    for (std::size_t n = 0; n < all.size(); ++n) {
      CAPTURE(n);
      Case c = sized_case(n, d);
      const MaskKind kind = n % 3 == 0 ? MaskKind::keep : n % 3 == 1 ? MaskKind::block : MaskKind::add;
      for (const Axes axes : {Axes{.batch = true, .heads = true}, Axes{.queries = n != 1}})
        c.plan.masks.push_back(part_of(d, n == 5 ? MaskKind::add : kind, compute, axes, kv_len, all[n]));
      // Zeros of either sign among the logits: equal rows have the distance 0, which is negated.
      c.plan.options.score = n % 2 == 0 ? Score::scaled : Score::sqeuclidean;
      std::copy_n(c.query.begin(), std::min(c.query.size(), c.key.size()) / 2, c.key.begin());
      if (n % 4 == 1) c.plan.slopes = {0.5, 0.125};
      if (n % 4 == 2) c.plan.options.causal = true;
      if (n % 4 == 3) c.plan.options.softcap = 2;
      check_same_bytes<T>(c);
      c.value[3] = std::numeric_limits<double>::quiet_NaN();
      c.key[d.head_dim * d.kv_len - 1] = kInf;
      check_same_bytes<T>(c);
    }
    for (const bool shuffled : {false, true}) {
      Case c = sized_case(q_len, d);
      c.plan.segments.query = ids(q_len, 70, shuffled, 3);
      c.plan.segments.key = ids(kv_len, 70, shuffled, 4);
      check_same_bytes<T>(c);
    }
  }
}

TEST_CASE("keys and values of hidden tiles are never read") {
  // Each tile is whole pages, those that nobody may see are taken away: reading one would end the program.
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::size_t dim = 512;
  const std::size_t tiles = 9;
  const std::size_t tile_bytes = kKeys * dim * sizeof(float);
  REQUIRE(tile_bytes % page == 0);
  const Dims d{1, 1, 1, 200, tiles * kKeys - 5, dim, dim};
  Case c = sized_case(7, {1, 1, 1, 200, 1, dim, dim});
  c.plan.dims = d;
  c.plan.key_length = {d.kv_len};
  const auto kept = [](std::size_t block, std::size_t tile) { return tile % 3 == 1 && tile / 3 != block; };
  c.plan.masks = {part_of(d, MaskKind::keep, DType::f32, {}, d.kv_len,
                          [&](auto, auto, std::size_t i, std::size_t j) { return hide_unless(kept(i / kLanes, j / kKeys)); })};
  void* memory = mmap(nullptr, tiles * tile_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  auto* rows = static_cast<float*>(memory);
  Random random(8);
  for (std::size_t n = 0; n < d.kv_len * dim; ++n) rows[n] = static_cast<float>(random.normal());
  for (std::size_t tile = 0; tile < tiles; ++tile)
    if (tile % 3 != 1) REQUIRE(mprotect(rows + tile * kKeys * dim, tile_bytes, PROT_NONE) == 0);
  const Typed<float> query(c.query, 1, d.q_len, dim, false);
  Operands<float> operands;
  operands.query = {query.rows, dim};
  operands.key = operands.value = {Rows<float>{rows, 0, 0, dim}, dim};
  Recorder<float> recorder(d, {.output = true, .log_sum_exp = true, .weights = true});
  Observer<float>* const observers[] = {&recorder};
  for (const Normalizer normalize : {Normalizer::softmax, Normalizer::double_softmax, Normalizer::sigmoid}) {
    c.plan.options.normalize = normalize;
    run_tiled<float>(c.plan, operands, observers, {});
    CHECK(std::ranges::count(recorder.results.is_empty, 1) == 0);
    std::size_t seen = 0;
    for (const float weight : recorder.results.weights) seen += weight > 0 ? 1 : 0;
    CHECK(seen > 0);
    CHECK(seen <= 200 * 2 * kKeys + 8 * kKeys);
  }
  munmap(memory, tiles * tile_bytes);
}

}  // namespace attn::engine::test

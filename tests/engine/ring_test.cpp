// Attention shared by several ranks: every row has the bits of the walk of one process, whatever is asked for, and work and keys
// are shared out as they should.
#include "engine/ring.hpp"

#include "engine/tiled_support.hpp"
#include "tools/local_ranks.hpp"

#include <atomic>
#include <random>
#include <set>
#include <string>

#include <doctest/doctest.h>

namespace attn::engine::test {

namespace {

using attn::testing::run_ranks;

/// Counts how often each row is handed out.
template <class T>
class RowCounter : public Observer<T> {
 public:
  explicit RowCounter(const Dims& dims) : dims_(dims), counts(dims.batch * dims.heads * dims.q_len, 0) {}
  [[nodiscard]] Needs needs() const override { return {}; }
  void rows(const RowBlock<T>& block) override {
    for (std::size_t i = 0; i < block.queries; ++i)
      ++counts[(block.batch * dims_.heads + block.head) * dims_.q_len + block.query + i];
  }

 private:
  const Dims dims_;

 public:
  std::vector<int> counts;
};

/// Keeps final weights as columns are handed out, and how often queries of a column did not come in ascending order.
template <class T>
class ColumnRecorder : public Observer<T> {
 public:
  explicit ColumnRecorder(const Dims& dims)
      : weights(dims.batch * dims.heads * dims.q_len * dims.kv_len, T(0)),
        next_(dims.batch * dims.heads * dims.kv_len),
        dims_(dims) {}
  [[nodiscard]] Needs needs() const override { return {.columns = true}; }
  void columns(const Tile<T>& tile) override {
    const std::size_t head = tile.batch * dims_.heads + tile.head;
    for (std::size_t j = 0; j < tile.keys; ++j) {
      std::size_t& next = next_[head * dims_.kv_len + tile.key + j];
      if (tile.query < next) ++disorders;
      next = tile.query + tile.queries;
      for (std::size_t i = 0; i < tile.queries; ++i)
        weights[(head * dims_.q_len + tile.query + i) * dims_.kv_len + tile.key + j] = tile.at(i, j);
    }
  }

  std::vector<T> weights;
  std::atomic<int> disorders = 0;

 private:
  std::vector<std::size_t> next_;
  const Dims dims_;
};

/// Runs the case over ranks; one recorder takes what all of them hand out.
template <class T>
Results<T> run_shared(const Case& c, Needs needs, int ranks, std::size_t threads, bool packed, const std::vector<T>& columns) {
  const Dims& d = c.plan.dims;
  const CaseOperands<T> typed(c, packed);
  const Operands<T>& operands = typed.operands;
  Recorder<T> recorder(d, needs);
  RowCounter<T> counter(d);
  ColumnRecorder<T> recorded(d);
  std::vector<Observer<T>*> observers{&recorder, &counter};
  if (!columns.empty()) observers.push_back(&recorded);
  const auto thrown = run_ranks(ranks, [&](Transport& transport) {
    const Execution execution{.threads = threads, .isa = {}, .cancelled = nullptr, .progress = {}};
    run_ring<T>(c.plan, operands, observers, execution, {transport, [] {}});
  });
  for (const std::exception_ptr& one : thrown)
    if (one) std::rethrow_exception(one);
  CHECK(std::ranges::all_of(counter.counts, [](int count) { return count == 1; }));
  CHECK(recorded.disorders == 0);
  if (!columns.empty()) CHECK(std::memcmp(recorded.weights.data(), columns.data(), columns.size() * sizeof(T)) == 0);
  return std::move(recorder.results);
}

/// The columns of one process.
template <class T>
std::vector<T> columns_alone(const Case& c, bool packed) {
  const CaseOperands<T> typed(c, packed);
  ColumnRecorder<T> recorded(c.plan.dims);
  Observer<T>* const observers[] = {&recorded};
  run_tiled<T>(c.plan, typed.operands, observers, Execution{});
  CHECK(recorded.disorders == 0);
  return std::move(recorded.weights);
}

/// A case with anything that a plan may hold.
Case random_case(Random& random, DType compute) {
  const std::size_t group = 1 + random.below(3);
  const std::size_t kv_heads = 1 + random.below(2);
  Dims dims{.batch = 1 + random.below(2),
            .heads = kv_heads * group,
            .kv_heads = kv_heads,
            .q_len = 1 + random.below(random.below(2) == 0 ? 20 : 300),
            .kv_len = random.below(2) == 0 ? 1 + random.below(150) : 300 + random.below(1500),
            .head_dim = 1 + random.below(70),
            .value_dim = 1 + random.below(70)};
  // Wide rows make short spans, and so several of them.
  if (random.below(2) == 0) dims.head_dim += 500;
  Case c = make_case(random, dims);
  c.plan.options.causal = random.below(3) == 0;
  if (c.plan.options.causal)
    for (auto& offset : c.plan.query_offset) offset = static_cast<std::int64_t>(random.below(dims.kv_len));
  if (random.below(4) == 0) c.plan.options.window = {.left = 30 + random.below(200), .right = random.below(100)};
  if (random.below(3) == 0)
    for (auto& length : c.plan.key_length) length = random.below(dims.kv_len + 1);
  if (random.below(4) == 0) add_mask(random, c, random.below(2) == 0 ? MaskKind::keep : MaskKind::add, compute);
  if (random.below(5) == 0) c.plan.slopes = alibi_slopes(dims.heads);
  constexpr Normalizer kinds[] = {Normalizer::softmax,  Normalizer::softmax, Normalizer::softmin, Normalizer::double_softmax,
                                  Normalizer::softmax1, Normalizer::sigmoid, Normalizer::none};
  c.plan.options.normalize = kinds[random.below(std::size(kinds))];
  if (random.below(5) == 0) c.plan.options.softcap = 3;
  if (random.below(5) == 0) c.plan.options.score = Score::euclidean;
  return c;
}

/// Pairs of the block's queries and the keys that range() leaves them.
double pairs_of(const Plan& plan, const BlockPlace& place) {
  double pairs = 0;
  for (std::size_t i = place.first; i < place.first + place.queries; ++i) {
    const KeyRange seen = plan.range(place.batch, i);
    pairs += static_cast<double>((seen.end - seen.begin) * place.heads);
  }
  return pairs;
}

template <class T>
void check_random(std::uint64_t seed, int cases) {
  MESSAGE("seed ", seed);
  Random random(seed);
  for (int n = 0; n < cases; ++n) {
    const Case c = random_case(random, dtype_of<T>);
    Needs needs{.output = random.below(4) != 0, .log_sum_exp = random.below(2) == 0};
    if (random.below(3) == 0) needs = kEverything;
    const bool packed = random.below(3) == 0;
    const Results<T> alone = run_case<T>(c, needs, {}, false, packed);
    const std::vector<T> columns = random.below(2) == 0 ? columns_alone<T>(c, packed) : std::vector<T>();
    for (int ranks = 1; ranks <= 5; ++ranks) {
      INFO("case ", n, ", ", ranks, " ranks, q_len ", c.plan.dims.q_len, ", kv_len ", c.plan.dims.kv_len);
      REQUIRE(same_bytes(run_shared<T>(c, needs, ranks, 1 + random.below(2), packed, columns), alone));
    }
  }
}

}  // namespace

TEST_CASE("any number of ranks gives the bits of one process, in float32") { check_random<float>(std::random_device{}(), 25); }
TEST_CASE("any number of ranks gives the bits of one process, in float64") { check_random<double>(std::random_device{}(), 15); }

TEST_CASE("under a causal mask ranks have the same number of pairs, and keys go only where they are seen") {
  constexpr std::size_t length = 64 * 24;
  Random random(7);
  Case c = make_case(random,
                     {.batch = 1, .heads = 1, .kv_heads = 1, .q_len = length, .kv_len = length, .head_dim = 4, .value_dim = 4});
  c.plan.options.causal = true;
  for (const int ranks : {2, 3, 4}) {
    INFO(ranks, " ranks");
    const RingShare share(c.plan, 96, ranks);
    std::vector<std::size_t> pairs;
    std::size_t moves = 0;
    for (int rank = 0; rank < ranks; ++rank) {
      pairs.push_back(0);
      for (const BlockPlace& place : share.places(rank))
        for (std::size_t i = 0; i < place.queries; ++i) pairs.back() += place.first + i + 1;
      for (const RingStep& step : share.steps(rank, {{.with_values = true}})) moves += step.from == RingStep::nobody ? 0U : 1U;
    }
    // There and back: first and last block of each round trip together see as many keys on every rank.
    CHECK(std::ranges::all_of(pairs, [&](std::size_t n) { return n == length * (length + 1) / 2 / pairs.size(); }));
    const std::size_t everywhere = length / 96 * static_cast<std::size_t>(ranks - 1);
    CHECK(moves < everywhere + (ranks == 2 ? 1 : 0));
    CHECK(moves > everywhere / 2);
  }
}

TEST_CASE("work is even where rounds do not come out, and the rows of a mask that heads share are a rank's own") {
  Random random(7);
  for (const std::size_t blocks : {std::size_t{37}, std::size_t{130}}) {
    const std::size_t length = blocks * 64 - 47;
    Case c = make_case(random,
                       {.batch = 1, .heads = 6, .kv_heads = 3, .q_len = length, .kv_len = length, .head_dim = 2, .value_dim = 2});
    for (const std::string kind : {"full", "causal", "window"}) {
      c.plan.options.causal = kind == "causal";
      if (kind == "window") c.plan.options.window = {.left = 500, .right = 0};
      for (const int ranks : {2, 3, 4, 5}) {
        INFO(blocks, " blocks, ", kind, ", ", ranks, " ranks");
        const RingShare share(c.plan, 96, ranks);
        for (int rank = 0; rank < ranks; ++rank) {
          double pairs = 0;
          std::set<std::size_t> rows;
          for (const BlockPlace& place : share.places(rank)) {
            rows.insert(place.first);
            pairs += pairs_of(c.plan, place);
          }
          // All wait for the one that has most.
          CHECK(pairs * ranks <= 1.04 * c.plan.visible_pairs());
          CHECK(pairs > 0);
          CHECK(rows.size() <= blocks / static_cast<std::size_t>(ranks) + 2 * static_cast<std::size_t>(ranks));
        }
      }
    }
  }
}

TEST_CASE("a window sends a span only to ranks that look at it, and keys beyond the lengths to nobody") {
  Random random(8);
  Case c = make_case(random, {.batch = 1, .heads = 1, .kv_heads = 1, .q_len = 64, .kv_len = 9600, .head_dim = 4, .value_dim = 4});
  c.plan.options.window = {.left = 10, .right = 10};
  c.plan.query_offset = {4800};
  std::size_t steps = 0;
  for (int rank = 0; rank < 4; ++rank) steps += RingShare(c.plan, 96, 4).steps(rank, {{.with_values = true}}).size();
  // 64 queries and 10 keys to both sides touch two spans; one rank has the queries, and perhaps another reads.
  CHECK(steps >= 2);
  CHECK(steps <= 4);
  c.plan.options.window = {};
  c.plan.key_length = {100};
  steps = 0;
  for (int rank = 0; rank < 4; ++rank) steps += RingShare(c.plan, 96, 4).steps(rank, {{.with_values = true}}).size();
  CHECK(steps >= 2);
  CHECK(steps <= 4);
}

TEST_CASE("columns are dealt out once, and queries come only to ranks whose columns they see") {
  Random random(9);
  Case c =
      make_case(random, {.batch = 1, .heads = 4, .kv_heads = 2, .q_len = 640, .kv_len = 2000, .head_dim = 4, .value_dim = 4});
  c.plan.options.window = {.left = 20, .right = 0};
  c.plan.query_offset = {1300};
  for (const int ranks : {1, 3, 7}) {
    const RingShare share(c.plan, 960, ranks);
    std::vector<int> taken(2 * 2000, 0);
    std::size_t needed = 0;
    for (int rank = 0; rank < ranks; ++rank) {
      for (const ColumnPart& part : share.columns(rank)) {
        CHECK(part.keys.begin % 96 == 0);
        for (std::size_t key = part.keys.begin; key < part.keys.end; ++key) ++taken[part.kv_head * 2000 + key];
      }
      for (const RingStep& step : share.column_steps(rank, 0, 1)) needed += step.is_needed ? 1U : 0U;
    }
    CHECK(std::ranges::all_of(taken, [](int count) { return count == 1; }));
    // 10 blocks of each of two heads, 84 keys wide: a piece of 96 keys or more ends in one of them now and then.
    CHECK(needed >= 20);
    CHECK(needed <= 40);
  }
}

TEST_CASE("an exception on one rank is that rank's") {
  Random random(9);
  const Case c =
      make_case(random, {.batch = 1, .heads = 1, .kv_heads = 1, .q_len = 300, .kv_len = 50, .head_dim = 4, .value_dim = 4});
  const CaseOperands<float> typed(c, false);
  const auto thrown = run_ranks(2, [&](Transport& transport) {
    const auto poll = [&] {
      if (transport.rank() == 1) throw Error(Status::interrupted, "interrupted");
    };
    run_ring<float>(c.plan, typed.operands, {}, {}, {transport, poll});
  });
  CHECK(thrown[0] == nullptr);
  REQUIRE(thrown[1] != nullptr);
  CHECK_THROWS_AS(std::rethrow_exception(thrown[1]), Error);
}

}  // namespace attn::engine::test

// Row facts, strongest keys and columns of the tiled engine against the reference, over several spans; ties; bits.
#include "engine/tiled_support.hpp"

#include <memory>

#include <doctest/doctest.h>

namespace attn::engine::test {

namespace {

/// Keeps everything that is learned of rows and columns.
template <class T>
class NotesRecorder : public Observer<T> {
 public:
  NotesRecorder(const Dims& dims, std::size_t top)
      : dims_(dims),
        top_(top),
        facts(dims.batch * dims.heads * dims.q_len),
        strongest(facts.size()),
        columns_seen(dims.batch * dims.heads * dims.kv_len * dims.q_len) {}

  [[nodiscard]] Needs needs() const override { return {.facts = true, .top = top_, .columns = true}; }
  void rows(const RowBlock<T>& block) override {
    for (std::size_t i = 0; i < block.queries; ++i) {
      const std::size_t row = (block.batch * dims_.heads + block.head) * dims_.q_len + block.query + i;
      facts[row] = block.facts[i];
      strongest[row].assign(block.top + i * block.top_step, block.top + i * block.top_step + block.top_count[i]);
    }
  }
  void columns(const Tile<T>& tile) override {
    for (std::size_t j = 0; j < tile.keys; ++j) {
      const std::size_t column = (tile.batch * dims_.heads + tile.head) * dims_.kv_len + tile.key + j;
      for (std::size_t i = 0; i < tile.queries; ++i) columns_seen[column * dims_.q_len + tile.query + i] = tile.at(i, j);
    }
  }

  const Dims dims_;
  const std::size_t top_;
  std::vector<RowFacts> facts;
  std::vector<std::vector<KeyWeight>> strongest;
  std::vector<T> columns_seen;  ///< [batch, heads, kv_len, q_len]
};

template <class T>
std::unique_ptr<NotesRecorder<T>> notes_of(const Case& c, std::size_t top, const Execution& execution, bool reference = false) {
  const Dims& d = c.plan.dims;
  const CaseOperands<T> typed(c, false);
  const Operands<T>& operands = typed.operands;
  auto recorder = std::make_unique<NotesRecorder<T>>(d, top);
  Observer<T>* const observers[] = {recorder.get()};
  if constexpr (std::is_same_v<T, double>) {
    if (reference) {
      run_reference(c.plan, operands, observers, execution);
      return recorder;
    }
  }
  run_tiled<T>(c.plan, operands, observers, execution);
  return recorder;
}

void check_near(double got, double expected, double tolerance) {
  INFO("got ", got, ", expected ", expected);
  CHECK(std::abs(got - expected) <= tolerance * std::max(1.0, std::abs(expected)));
}

template <class T>
void check_against(const NotesRecorder<T>& got, const NotesRecorder<double>& expected, double tolerance) {
  for (std::size_t r = 0; r < expected.facts.size(); ++r) {
    INFO("row ", r);
    check_near(got.facts[r].entropy, expected.facts[r].entropy, tolerance);
    check_near(got.facts[r].maximum, expected.facts[r].maximum, tolerance);
    check_near(got.facts[r].distance, expected.facts[r].distance, tolerance);
    check_near(got.facts[r].mass, expected.facts[r].mass, tolerance);
    REQUIRE_EQ(got.strongest[r].size(), expected.strongest[r].size());
    for (std::size_t n = 0; n < expected.strongest[r].size(); ++n)
      check_near(got.strongest[r][n].weight, expected.strongest[r][n].weight, tolerance);
    if (!expected.strongest[r].empty()) {
      CHECK_EQ(got.strongest[r][0].key, got.facts[r].argmax);
      CHECK(got.strongest[r][0].weight == got.facts[r].maximum);
    }
  }
  double worst = 0;
  bool is_number = true;
  for (std::size_t i = 0; i < expected.columns_seen.size(); ++i) {
    const double difference = std::abs(static_cast<double>(got.columns_seen[i]) - expected.columns_seen[i]);
    is_number = is_number && difference <= tolerance;
    worst = std::max(worst, difference);
  }
  INFO("columns off by ", worst);
  CHECK(is_number);
}

template <class T>
bool same_notes(const NotesRecorder<T>& a, const NotesRecorder<T>& b) {
  for (std::size_t r = 0; r < a.facts.size(); ++r) {
    if (std::memcmp(&a.facts[r], &b.facts[r], sizeof(RowFacts)) != 0) return false;
    if (a.strongest[r].size() != b.strongest[r].size()) return false;
    for (std::size_t n = 0; n < a.strongest[r].size(); ++n)
      if (std::memcmp(&a.strongest[r][n], &b.strongest[r][n], sizeof(KeyWeight)) != 0) return false;
  }
  return same_bytes(a.columns_seen, b.columns_seen);
}

}  // namespace

TEST_CASE("what is learned of rows and columns over several spans is what the reference learns") {
  for (const Normalizer normalizer :
       {Normalizer::softmax, Normalizer::softmin, Normalizer::softmax1, Normalizer::double_softmax, Normalizer::sigmoid}) {
    for (const std::size_t q_len : {1U, 3U, 70U}) {
      CAPTURE(static_cast<int>(normalizer));
      CAPTURE(q_len);
      Random random(71 + q_len);
      // Wide values make short spans: the keys fill several of them.
      Case c = make_case(random, {1, 4, 2, q_len, q_len == 70 ? 700U : 1500U, 40, 700});
      c.plan.options.normalize = normalizer;
      if (q_len == 70) c.plan.options.causal = true;
      const auto expected = notes_of<double>(c, 7, {}, true);
      check_against(*notes_of<float>(c, 7, {}), *expected, 2e-5);
      check_against(*notes_of<double>(c, 7, {}), *expected, 1e-12);
    }
  }
}

TEST_CASE_TEMPLATE("the same bits on any number of threads and every vector target", T, float, double) {
  for (const std::size_t q_len : {1U, 5U, 130U}) {
    for (const Normalizer normalizer : {Normalizer::softmax, Normalizer::softmax1, Normalizer::sigmoid}) {
      CAPTURE(q_len);
      Random random(81 + q_len);
      Case c = make_case(random, {2, 4, 2, q_len, 500, 24, 900});
      c.plan.options.normalize = normalizer;
      const auto first = notes_of<T>(c, 5, {});
      for (const std::size_t threads : {2U, 3U, 7U}) {
        Execution execution;
        execution.threads = threads;
        CHECK(same_notes(*first, *notes_of<T>(c, 5, execution)));
      }
      for (const std::string& isa : available_isas()) {
        CAPTURE(isa);
        Execution execution;
        execution.isa = isa;
        CHECK(same_notes(*first, *notes_of<T>(c, 5, execution)));
      }
    }
  }
}

TEST_CASE_TEMPLATE("of equal keys the lowest comes first, wherever spans and tiles end", T, float, double) {
  for (const std::size_t threads : {1U, 4U}) {
    for (const Normalizer normalizer : {Normalizer::softmax, Normalizer::softmin, Normalizer::sigmoid}) {
      Random random(91);
      Case c = make_case(random, {1, 1, 1, 3, 400, 8, 1200});
      c.plan.options.normalize = normalizer;
      // Every key is one of two rows: all weights tie with many others.
      for (std::size_t j = 2; j < 400; ++j)
        std::copy_n(c.key.begin() + static_cast<std::ptrdiff_t>(j % 2 * 8), 8,
                    c.key.begin() + static_cast<std::ptrdiff_t>(j * 8));
      Execution execution;
      execution.threads = threads;
      const auto got = notes_of<T>(c, 120, execution);
      for (std::size_t i = 0; i < 3; ++i) {
        CHECK(got->facts[i].argmax < 2);
        REQUIRE_EQ(got->strongest[i].size(), 120);
        for (std::size_t n = 0; n < 120; ++n) CHECK_EQ(got->strongest[i][n].key, got->facts[i].argmax + 2 * n);
      }
    }
  }
}

TEST_CASE_TEMPLATE("a single key has the whole row, and a row without keys nothing", T, float, double) {
  Random random(101);
  Case c = make_case(random, {1, 1, 1, 3, 3, 4, 4});
  c.plan.options.causal = true;
  c.plan.query_offset = {-1};
  const auto got = notes_of<T>(c, 2, {});
  CHECK(got->facts[0].entropy == 0);
  CHECK(got->facts[0].maximum == 0);
  CHECK(got->facts[0].mass == 0);
  CHECK(got->strongest[0].empty());
  CHECK(got->facts[1].entropy == 0);
  CHECK(got->facts[1].maximum == 1);
  CHECK(got->facts[1].argmax == 0);
  CHECK(got->facts[1].distance == 0);
  CHECK_EQ(got->strongest[1].size(), 1);
  CHECK_EQ(got->strongest[2].size(), 2);
}

}  // namespace attn::engine::test

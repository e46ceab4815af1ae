// Methods that compute in float32 only, on a job in float64.
#include "approx/narrow.hpp"

#include <algorithm>
#include <memory>

namespace attn::approx {

namespace {

/// All rows of a source, [batch, heads, length, dim].
struct Copy {
  Copy(const engine::RowSource<double>& source, std::size_t batch, std::size_t heads, std::size_t length) {
    const std::size_t dim = source.dim();
    numbers.resize(batch * heads * length * dim);
    std::vector<double> row(dim);
    float* to = numbers.data();
    for (std::size_t b = 0; b < batch; ++b)
      for (std::size_t h = 0; h < heads; ++h)
        for (std::size_t i = 0; i < length; ++i) {
          source.make(b, h, i, 1, row.data());
          to = std::ranges::transform(row, to, [](double x) { return static_cast<float>(x); }).out;
        }
    rows = {engine::Rows<float>{numbers.data(), heads * length * dim, length * dim, dim}, dim};
  }
  std::vector<float> numbers;
  engine::RowSource<float> rows;
};

/// Additive masks are of the type computed in.
engine::Plan narrowed(const engine::Plan& plan) {
  engine::Plan narrow = plan;
  for (engine::MaskPart& mask : narrow.masks) {
    if (mask.kind != engine::MaskKind::add) continue;
    Array array(DType::f32, mask.array.shape());
    std::ranges::transform(mask.array.values<double>(), array.mutable_values<float>().begin(),
                           [](double x) { return static_cast<float>(x); });
    mask.array = array;
  }
  return narrow;
}

/// Hands what it is handed to an observer of doubles.
class Widening : public engine::Observer<float> {
 public:
  explicit Widening(engine::Observer<double>& to, std::size_t value_dim) : to_(to), value_dim_(value_dim) {}

  [[nodiscard]] engine::Needs needs() const override {
    engine::Needs needs = to_.needs();
    needs.undivided = false;  // divisors are not handed on
    return needs;
  }
  void weights(const engine::Tile<float>& tile) override { hand_on(tile, &engine::Observer<double>::weights); }
  void raw_scores(const engine::Tile<float>& tile) override { hand_on(tile, &engine::Observer<double>::raw_scores); }
  void capped_scores(const engine::Tile<float>& tile) override { hand_on(tile, &engine::Observer<double>::capped_scores); }
  void masked_scores(const engine::Tile<float>& tile) override { hand_on(tile, &engine::Observer<double>::masked_scores); }
  void columns(const engine::Tile<float>& tile) override { hand_on(tile, &engine::Observer<double>::columns); }
  void rows(const engine::RowBlock<float>& block) override {
    std::vector<double> output;
    if (block.output != nullptr) output.assign(block.output, block.output + block.queries * value_dim_);
    to_.rows({.batch = block.batch,
              .head = block.head,
              .query = block.query,
              .queries = block.queries,
              .output = block.output == nullptr ? nullptr : output.data(),
              .log_sum_exp = block.log_sum_exp,
              .is_empty = block.is_empty,
              .facts = block.facts,
              .top = block.top,
              .top_count = block.top_count,
              .top_step = block.top_step});
  }

 private:
  void hand_on(const engine::Tile<float>& tile, void (engine::Observer<double>::*take)(const engine::Tile<double>&)) {
    std::vector<double> numbers(tile.queries * tile.keys);
    for (std::size_t i = 0; i < tile.queries; ++i)
      for (std::size_t j = 0; j < tile.keys; ++j) numbers[i * tile.keys + j] = static_cast<double>(tile.at(i, j));
    (to_.*take)({.batch = tile.batch,
                 .head = tile.head,
                 .query = tile.query,
                 .queries = tile.queries,
                 .key = tile.key,
                 .keys = tile.keys,
                 .data = numbers.data(),
                 .query_step = tile.keys,
                 .key_step = 1});
  }

  engine::Observer<double>& to_;
  const std::size_t value_dim_;
};

}  // namespace

void in_single(const Job<double>& job, const std::function<void(const Job<float>&)>& run) {
  const engine::Dims& d = job.plan.dims;
  const engine::Dims& all = job.whole.dims;
  const Copy query(job.operands.query, d.batch, d.heads, d.q_len);
  const Copy every_query(job.whole_operands.query, all.batch, all.heads, &job.whole == &job.plan ? 0 : all.q_len);
  const Copy key(job.operands.key, d.batch, d.kv_heads, d.kv_len);
  const Copy value(job.operands.value, d.batch, d.kv_heads, d.kv_len);
  const engine::Operands<float> operands{query.rows, key.rows, value.rows, {}};
  const engine::Operands<float> whole_operands{every_query.rows, key.rows, value.rows, {}};
  const engine::Plan plan = narrowed(job.plan);
  const engine::Plan whole = narrowed(job.whole);
  std::vector<std::unique_ptr<Widening>> widening;
  std::vector<engine::Observer<float>*> observers;
  for (engine::Observer<double>* observer : job.observers) {
    widening.push_back(std::make_unique<Widening>(*observer, d.value_dim));
    observers.push_back(widening.back().get());
  }
  const bool is_whole = &job.whole == &job.plan;
  run({plan, operands, observers, job.execution, is_whole ? plan : whole, is_whole ? operands : whole_operands, job.promise});
}

std::uint64_t single_bytes(const engine::Dims& d) noexcept {
  const std::uint64_t keys = d.batch * d.kv_heads * d.kv_len;
  return sizeof(float) * (d.batch * d.heads * d.q_len * d.head_dim + keys * (d.head_dim + d.value_dim));
}

}  // namespace attn::approx

// Keeps what the reference engine shows of one head, and asks one rule at a time what it hides.
#include "analysis/trace.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace attn::analysis {

namespace {

using engine::Needs;
using engine::Tile;

/// Copies rows of one head; each call writes rows of its own.
class Keeper final : public engine::Observer<double> {
 public:
  explicit Keeper(HeadTrace& trace) : empty(trace.output.rows), trace_(trace) {}
  [[nodiscard]] Needs needs() const override {
    return {.output = true, .weights = true, .raw_scores = true, .capped_scores = true, .masked_scores = true};
  }
  void weights(const Tile<double>& tile) override { keep(tile, trace_.weights); }
  void raw_scores(const Tile<double>& tile) override { keep(tile, trace_.raw); }
  void capped_scores(const Tile<double>& tile) override { keep(tile, trace_.capped); }
  void masked_scores(const Tile<double>& tile) override { keep(tile, trace_.logits); }
  void rows(const engine::RowBlock<double>& block) override {
    if (block.batch != trace_.batch || block.head != trace_.head) return;
    for (std::size_t i = 0; i < block.queries; ++i) {
      empty[block.query + i] = block.is_empty[i];
      for (std::size_t c = 0; c < trace_.output.columns; ++c)
        trace_.output.at(block.query + i, c) = block.output[i * trace_.output.columns + c];
    }
  }

  std::vector<std::uint8_t> empty;  ///< [q_len]; bytes: rows come from several threads

 private:
  void keep(const Tile<double>& tile, Grid& grid) const {
    if (tile.batch != trace_.batch || tile.head != trace_.head) return;
    for (std::size_t i = 0; i < tile.queries; ++i)
      for (std::size_t j = 0; j < tile.keys; ++j) grid.at(tile.query + i, tile.key + j) = tile.at(i, j);
  }

  HeadTrace& trace_;
};

/// Keeps the score's own numbers, from a walk without scale and temperature.
class ProductKeeper final : public engine::Observer<double> {
 public:
  explicit ProductKeeper(HeadTrace& trace) : trace_(trace) {}
  [[nodiscard]] Needs needs() const override { return {.raw_scores = true}; }
  void raw_scores(const Tile<double>& tile) override {
    if (tile.batch != trace_.batch || tile.head != trace_.head) return;
    for (std::size_t j = 0; j < tile.keys; ++j) trace_.products.at(tile.query, tile.key + j) = tile.at(0, j);
  }

 private:
  HeadTrace& trace_;
};

Grid rows_of(const engine::RowSource<double>& source, std::size_t b, std::size_t h, std::size_t length) {
  Grid grid(length, source.dim());
  for (std::size_t i = 0; i < length; ++i) {
    const std::vector<double> row = source.row(b, h, i);
    std::ranges::copy(row, grid.numbers.begin() + static_cast<std::ptrdiff_t>(i * grid.columns));
  }
  return grid;
}

}  // namespace

HeadTrace trace_head(const engine::Plan& plan, const engine::Operands<double>& operands, std::size_t batch, std::size_t head,
                     const engine::Execution& execution) {
  const engine::Dims& d = plan.dims;
  HeadTrace trace;
  trace.batch = batch;
  trace.head = head;
  trace.query = rows_of(operands.query, batch, head, d.q_len);
  trace.key = rows_of(operands.key, batch, d.kv_head(head), d.kv_len);
  trace.value = rows_of(operands.value, batch, d.kv_head(head), d.kv_len);
  for (Grid* grid : {&trace.products, &trace.raw, &trace.capped, &trace.bias, &trace.logits, &trace.weights})
    *grid = Grid(d.q_len, d.kv_len);
  trace.output = Grid(d.q_len, d.value_dim);
  Keeper keeper(trace);
  engine::Observer<double>* const observers[] = {&keeper};
  engine::run_reference(plan, operands, observers, execution);
  trace.empty.assign(keeper.empty.begin(), keeper.empty.end());

  engine::Plan unscaled = plan;
  unscaled.factor = 1;
  ProductKeeper products(trace);
  engine::Observer<double>* const second[] = {&products};
  engine::run_reference(unscaled, operands, second, execution);
  for (std::size_t i = 0; i < d.q_len; ++i)
    for (std::size_t j = 0; j < d.kv_len; ++j)
      if (plan.visible(batch, head, i, j)) trace.bias.at(i, j) = plan.bias(batch, head, i, j);
  return trace;
}

HidingRules::HidingRules(const engine::Plan& plan, const engine::Inputs& inputs) {
  engine::Plan open = plan;
  open.masks.clear();
  open.segments = {};
  open.options.causal = false;
  open.options.window = {};
  std::ranges::fill(open.key_length, plan.dims.kv_len);
  const auto add = [&](std::string name, auto change) {
    Rule rule{std::move(name), open};
    change(rule.plan);
    rules_.push_back(std::move(rule));
  };
  if (std::ranges::any_of(plan.key_length, [&](std::size_t n) { return n < plan.dims.kv_len; }))
    add("padding", [&](engine::Plan& p) { p.key_length = plan.key_length; });
  if (plan.options.causal) add("causal", [](engine::Plan& p) { p.options.causal = true; });
  if (plan.options.window.left || plan.options.window.right)
    add("window", [&](engine::Plan& p) { p.options.window = plan.options.window; });
  if (!plan.segments.empty()) add("segment", [&](engine::Plan& p) { p.segments = plan.segments; });
  for (std::size_t m = 0; m < plan.masks.size(); ++m) {
    std::string name = m < inputs.masks.size() ? inputs.masks[m].input.name : "mask";
    add(std::move(name), [&](engine::Plan& p) { p.masks = {plan.masks[m]}; });
  }
}

std::string HidingRules::hiding(std::size_t batch, std::size_t head, std::size_t i, std::size_t j) const {
  std::vector<std::string> names;
  for (const Rule& rule : rules_)
    if (!rule.plan.visible(batch, head, i, j)) names.push_back(rule.name);
  return fmt::format("{}", fmt::join(names, " and "));
}

}  // namespace attn::analysis

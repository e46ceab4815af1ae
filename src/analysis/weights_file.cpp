// Weights that some program has written, walked as an engine walks attention.
#include "analysis/weights_file.hpp"

#include "analysis/chunks.hpp"
#include "analysis/weight_row.hpp"
#include "base/groups.hpp"
#include "kernels/kernels.hpp"

#include <attn/error.hpp>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <vector>

#include <fmt/format.h>

namespace attn::analysis {

namespace {

using engine::Needs;
using engine::Observer;
using engine::Tile;

/// Joins what the rows of several threads are not.
class FindingsOfRows {
 public:
  void take(std::size_t row, const WeightRow& found, double tolerance) {
    const bool is_off = !found.is_empty && !(std::abs(found.facts.mass - 1) <= tolerance);
    if (!is_off && !found.is_negative) return;
    const std::scoped_lock lock(mutex_);
    if (is_off) {
      if (all_.rows_off == 0 || row < all_.first_off) {
        all_.first_off = row;
        all_.mass_off = found.facts.mass;
      }
      ++all_.rows_off;
    }
    if (found.is_negative) {
      all_.first_negative = all_.negative == 0 ? row : std::min(row, all_.first_negative);
      ++all_.negative;
    }
  }
  [[nodiscard]] const WeightsFindings& all() const noexcept { return all_; }

 private:
  std::mutex mutex_;
  WeightsFindings all_;
};

}  // namespace

double mass_tolerance(DType type) noexcept {
  switch (type) {
    case DType::bf16:
      return 2e-2;
    case DType::f16:
      return 2e-3;
    default:
      return 1e-4;
  }
}

Array weights_of_four_axes(const Array& array, const std::string& file) {
  const Shape& shape = array.shape();
  if (shape.size() < 2 || shape.size() > 4)
    throw Error(
        Status::data, {.file = file},
        fmt::format("weights of shape {} (expected [q_len, kv_len], [heads, q_len, kv_len] or [batch, heads, q_len, kv_len])",
                    to_string(shape)));
  Shape all(4, 1);
  std::ranges::copy_backward(shape, all.end());
  return array.reshaped(all);
}

engine::Plan plan_of_weights(const Shape& shape, std::int64_t query_offset) {
  engine::Plan plan;
  plan.dims = {.batch = shape[0],
               .heads = shape[1],
               .kv_heads = shape[1],
               .q_len = shape[2],
               .kv_len = shape[3],
               .head_dim = 0,
               .value_dim = 0};
  plan.query_offset.assign(shape[0], query_offset);
  plan.key_length.assign(shape[0], shape[3]);
  return plan;
}

WeightsFindings walk_weights(const engine::Plan& plan, const Array& weights, std::span<Observer<double>* const> observers,
                             const engine::Execution& execution, std::size_t first_batch) {
  constexpr std::size_t block = 16;
  const engine::Dims& d = plan.dims;
  Needs needs;
  for (const Observer<double>* observer : observers) needs |= observer->needs();
  FindingsOfRows findings;
  const double tolerance = mass_tolerance(weights.dtype());
  const std::size_t rows = d.batch * d.heads * d.q_len;
  engine::for_each_task(groups_of(rows, block), execution, [&](std::size_t task) {
    DoubleReader reader(weights);
    for (std::size_t r = task * block; r < std::min(rows, (task + 1) * block); ++r) {
      const std::size_t head = r / d.q_len;
      const std::size_t i = r % d.q_len;
      const WeightRow row = read_weight_row(plan, head / d.heads, i, reader.read(r * d.kv_len, d.kv_len), needs.top);
      findings.take(r, row, tolerance);
      const std::size_t top_count = row.top.size();
      const std::uint8_t is_empty = row.is_empty ? 1 : 0;
      const Tile<double> tile{.batch = first_batch + head / d.heads,
                              .head = head % d.heads,
                              .query = i,
                              .queries = 1,
                              .key = 0,
                              .keys = d.kv_len,
                              .data = reader.read(r * d.kv_len, d.kv_len).data(),
                              .query_step = d.kv_len,
                              .key_step = 1};
      for (Observer<double>* observer : observers) {
        if (observer->needs().weights && !row.is_empty) observer->weights(tile);
        observer->rows({.batch = first_batch + head / d.heads,
                        .head = head % d.heads,
                        .query = i,
                        .queries = 1,
                        .output = nullptr,
                        .log_sum_exp = nullptr,
                        .is_empty = &is_empty,
                        .facts = &row.facts,
                        .top = row.top.data(),
                        .top_count = &top_count,
                        .top_step = top_count});
      }
    }
  });
  if (needs.columns) {
    const auto make_reader = [&]() -> PieceReader {
      return [&, reader = DoubleReader(weights)](std::size_t row, std::size_t first, std::size_t count) mutable {
        return reader.read(row * d.kv_len + first, count);
      };
    };
    walk_columns(plan, make_reader, observers, execution, first_batch);
  }
  return findings.all();
}

void walk_columns(const engine::Plan& plan, const std::function<PieceReader()>& make_reader,
                  std::span<Observer<double>* const> observers, const engine::Execution& execution, std::size_t first_batch) {
  constexpr std::size_t width = 10 * kernels::kKeys;
  const engine::Dims& d = plan.dims;
  const std::size_t spans = groups_of(d.kv_len, width);
  engine::for_each_task(d.batch * d.heads * spans, execution, [&](std::size_t task) {
    const std::size_t head = task / spans;
    const std::size_t first = task % spans * width;
    const std::size_t keys = std::min(width, d.kv_len - first);
    const PieceReader read = make_reader();
    for (std::size_t i = 0; i < d.q_len; ++i) {
      const std::span<const double> piece = read(head * d.q_len + i, first, keys);
      const Tile<double> tile{.batch = first_batch + head / d.heads,
                              .head = head % d.heads,
                              .query = i,
                              .queries = 1,
                              .key = first,
                              .keys = keys,
                              .data = piece.data(),
                              .query_step = keys,
                              .key_step = 1};
      for (Observer<double>* observer : observers)
        if (observer->needs().columns) observer->columns(tile);
    }
  });
}

}  // namespace attn::analysis

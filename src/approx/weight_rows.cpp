// Handing observers what a method made of some queries.
#include "approx/weight_rows.hpp"

#include "analysis/weight_row.hpp"

#include <vector>

namespace attn::approx {

namespace {

template <class T>
engine::Tile<T> tile_of(const Job<T>& job, const QueryBlock& block, const T* weights) {
  const std::size_t keys = job.plan.dims.kv_len;
  return {.batch = block.batch,
          .head = block.head,
          .query = block.first,
          .queries = block.count,
          .key = 0,
          .keys = keys,
          .data = weights,
          .query_step = keys,
          .key_step = 1};
}

}  // namespace

template <class T>
void hand_out_rows(const Job<T>& job, const engine::Needs& needs, const QueryBlock& block, const T* outputs, const T* weights) {
  const std::size_t keys = job.plan.dims.kv_len;
  std::vector<std::uint8_t> is_empty(block.count);
  std::vector<engine::RowFacts> facts(block.count);
  std::vector<engine::KeyWeight> top(block.count * needs.top);
  std::vector<std::size_t> top_count(block.count);
  for (std::size_t i = 0; i < block.count; ++i) {
    is_empty[i] = job.plan.range(block.batch, block.first + i).empty() ? 1 : 0;
    if (weights == nullptr || !needs.notes() || is_empty[i] != 0) continue;
    const analysis::WeightRow row =
        analysis::read_weight_row<T>(job.plan, block.batch, block.first + i, {weights + i * keys, keys}, needs.top);
    facts[i] = row.facts;
    top_count[i] = row.top.size();
    std::copy(row.top.begin(), row.top.end(), top.begin() + static_cast<std::ptrdiff_t>(i * needs.top));
  }
  const engine::RowBlock<T> rows{.batch = block.batch,
                                 .head = block.head,
                                 .query = block.first,
                                 .queries = block.count,
                                 .output = outputs,
                                 .log_sum_exp = nullptr,
                                 .is_empty = is_empty.data(),
                                 .facts = weights != nullptr ? facts.data() : nullptr,
                                 .top = needs.top > 0 ? top.data() : nullptr,
                                 .top_count = needs.top > 0 ? top_count.data() : nullptr,
                                 .top_step = needs.top};
  for (engine::Observer<T>* observer : job.observers) {
    if (weights != nullptr && observer->needs().weights) observer->weights(tile_of(job, block, weights));
    observer->rows(rows);
  }
}

template <class T>
void hand_out_columns(const Job<T>& job, const QueryBlock& block, const T* weights) {
  for (engine::Observer<T>* observer : job.observers)
    if (observer->needs().columns) observer->columns(tile_of(job, block, weights));
}

template void hand_out_rows(const Job<float>&, const engine::Needs&, const QueryBlock&, const float*, const float*);
template void hand_out_rows(const Job<double>&, const engine::Needs&, const QueryBlock&, const double*, const double*);
template void hand_out_columns(const Job<float>&, const QueryBlock&, const float*);
template void hand_out_columns(const Job<double>&, const QueryBlock&, const double*);

}  // namespace attn::approx

// What outputs ask of the engine, and which of them gather in memory.
#include "request/output_memory.hpp"

#include "engine/blocks.hpp"
#include "request/watch_plan.hpp"

#include <algorithm>
#include <optional>

namespace attn::request {

namespace {

/// Bytes of the rows of pairs that go to their file in short pieces, by way of its map. `all_keys`: nothing is left out of a row.
std::uint64_t pairs_in_short_pieces(const engine::Plan& plan, std::size_t item, bool is_tiled, bool all_keys) {
  const engine::Dims& d = plan.dims;
  const std::size_t step = is_tiled ? engine::most_queries : 1;
  const std::size_t span = is_tiled ? engine::pair_span_length(d, item) : std::max<std::size_t>(d.kv_len, 1);
  std::uint64_t rows = 0;
  for (std::size_t b = 0; b < d.batch; ++b) {
    for (std::size_t i = 0; i < d.q_len; i += step) {
      const std::size_t count = std::min(step, d.q_len - i);
      const engine::KeyRange keys = all_keys ? engine::KeyRange{0, d.kv_len} : plan.range(b, i, count);
      if (keys.empty()) continue;
      const std::size_t first = std::min(keys.end, (keys.begin / span + 1) * span) - keys.begin;
      const std::size_t last = keys.end - std::max(keys.begin, (keys.end - 1) / span * span);
      const bool is_whole = first == d.kv_len;
      if (std::min(first, last) * (is_whole ? count : 1) * item < Outputs::long_piece) rows += count;
    }
  }
  return rows * d.heads * d.kv_len * item;
}

}  // namespace

engine::Needs needs_of(const std::vector<OutputPlan>& outputs, const RunRequest& request) {
  engine::Needs needs = needs_of(request.watch);
  for (const OutputPlan& p : outputs) {
    if (p.role == "output") (request.attention.combine == Combine::sum ? needs.output : needs.weights) = true;
    if (p.role == "weights") needs.weights = true;
    if (p.role == "lse") needs.log_sum_exp = true;
    if (p.role != "scores") continue;
    needs.raw_scores = request.scores_stage == ScoresStage::raw;
    needs.capped_scores = request.scores_stage == ScoresStage::capped;
    needs.masked_scores = request.scores_stage == ScoresStage::masked;
  }
  return needs;
}

std::uint64_t bytes_in_memory(const std::vector<OutputPlan>& outputs, const engine::Plan& plan, DType computed_in,
                              bool is_tiled) {
  std::uint64_t bytes = 0;
  for (const OutputPlan& p : outputs) {
    const std::uint64_t size = element_count(p.shape, item_size(p.dtype)) * item_size(p.dtype);
    const FileName name = FileName::parse_output(p.file);
    const std::optional<Format> format = format_of_path(name.path);
    const bool is_in_place = !name.is_standard_stream() && (format == Format::npy || format == Format::safetensors);
    const bool is_pairs = p.role == "weights" || p.role == "scores";
    const bool all_keys = p.role == "scores";
    const bool may_go = is_pairs && is_in_place && computed_in == p.dtype && (all_keys || !plan.may_hide());
    bytes += may_go ? pairs_in_short_pieces(plan, item_size(p.dtype), is_tiled, all_keys) : size;
  }
  return bytes;
}

}  // namespace attn::request

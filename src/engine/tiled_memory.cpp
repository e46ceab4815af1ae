// How much memory a walk of the tiled engine takes.
#include "engine/tiled_memory.hpp"

#include "base/groups.hpp"
#include "engine/blocks.hpp"
#include "engine/tiled_workspace.hpp"

#include <algorithm>

namespace attn::engine {

using kernels::kKeys;
using kernels::kLanes;

namespace {

std::uint64_t map_bytes(const Plan& plan) {
  const Dims& d = plan.dims;
  const std::uint64_t blocks = groups_of(d.q_len, kLanes);
  const std::uint64_t row = groups_of(d.kv_len, 4 * kKeys);
  std::uint64_t bytes = plan.segments.empty() ? 0 : d.batch * blocks * row;
  if (plan.has_gap()) bytes += d.batch * blocks * row;
  for (const MaskPart& part : plan.masks)
    bytes += (part.stride[0] == 0 ? 1 : d.batch) * (part.stride[1] == 0 ? 1 : d.heads) * (part.stride[2] == 0 ? 1 : blocks) * row;
  return bytes;
}

/// What one thread works in, without its blocks.
template <class T>
std::uint64_t scratch_bytes(const Plan& plan, const CopiedRows& copied, const Needs& needs) {
  const Dims& d = plan.dims;
  const std::uint64_t tile = TiledScratch<T>::kTile;
  const bool pairs = needs.weights || needs.any_scores();
  const std::uint64_t span = std::min(d.kv_len, span_length(d, sizeof(T)));
  const std::uint64_t pair_span = pairs ? std::min(d.kv_len, pair_span_length(d, sizeof(T))) : 0;
  const std::uint64_t lanes = std::min(kLanes, d.heads / d.kv_heads * d.q_len);
  const auto one = [](bool wanted) -> std::uint64_t { return wanted ? 1 : 0; };
  // Weights and raw scores, which come one after the other, share their place.
  const std::uint64_t kinds = one(needs.weights || needs.raw_scores) + one(needs.capped_scores) + one(needs.masked_scores);
  std::uint64_t numbers = d.head_dim * kLanes + 2 * d.value_dim * kLanes + d.value_dim * kernels::kFewLanes;
  numbers += tile * (1 + 2 * one(plan.has_bias()) + one(plan.may_hide() || needs.output));
  numbers += copied.keys ? std::max(span, pair_span) * d.head_dim : 0;
  numbers += copied.values && needs.output ? span * d.value_dim : 0;
  numbers += kinds * lanes * pair_span;
  numbers += needs.weights && logits_fit(d, sizeof(T)) ? tile_count(d.kv_len) * tile : 0;
  const std::uint64_t facts = needs.facts ? lanes * sizeof(RowFacts) : 0;
  const std::uint64_t top = lanes * std::min(needs.top, d.kv_len) * sizeof(KeyWeight);
  return sizeof(TiledScratch<T>) + numbers * sizeof(T) + facts + top + notes_bytes<T>(d, needs);
}

/// What a walk that comes back for columns keeps of each row.
template <class T>
std::uint64_t row_sums_bytes(const Plan& plan, const Needs& needs) {
  const Dims& d = plan.dims;
  const std::uint64_t kinds = plan.options.normalize == Normalizer::double_softmax ? 4 : 2;
  return needs.columns ? kinds * d.batch * d.heads * d.q_len * sizeof(T) : 0;
}

}  // namespace

template <class T>
std::uint64_t tiled_bytes(const Plan& plan, const CopiedRows& copied, const Needs& needs, std::size_t threads) {
  const Dims& d = plan.dims;
  if (d.batch == 0 || d.kv_heads == 0) return 0;
  const Blocks blocks(d);
  const std::uint64_t notes = notes_bytes<T>(d, needs);
  const std::uint64_t block = BlockMemory<T>::bytes(d.head_dim, d.value_dim) + notes;
  const std::uint64_t spans = std::max<std::uint64_t>(d.kv_len / span_length(d, sizeof(T)), 1);
  const std::uint64_t workers = std::min<std::uint64_t>(threads, std::max<std::uint64_t>(blocks.count() * spans, 1));
  // Few blocks share out their spans instead of forming strips: then each is kept, and a thread's sums wait for their turn.
  const std::uint64_t kept = std::max(std::min<std::uint64_t>(strip_length(blocks.count(), threads, block), blocks.in_kv_head()),
                                      std::min<std::uint64_t>(few_blocks(blocks.lanes()), blocks.count() / workers + 1));
  const std::uint64_t waiting = sizeof(Sums<T>) + d.value_dim * kLanes * sizeof(T) + notes;
  return map_bytes(plan) + row_sums_bytes<T>(plan, needs) +
         workers * (scratch_bytes<T>(plan, copied, needs) + kept * block + waiting);
}

template std::uint64_t tiled_bytes<float>(const Plan&, const CopiedRows&, const Needs&, std::size_t);
template std::uint64_t tiled_bytes<double>(const Plan&, const CopiedRows&, const Needs&, std::size_t);

}  // namespace attn::engine

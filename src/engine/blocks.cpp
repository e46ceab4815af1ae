// Cutting the work of the tiled engine into blocks and spans.
#include "engine/blocks.hpp"

#include "base/groups.hpp"
#include "kernels/kernels.hpp"

#include <algorithm>

namespace attn::engine {

using kernels::kKeys;
using kernels::kLanes;

static_assert(most_queries == kLanes);

Blocks::Blocks(const Dims& dims)
    : dims_(dims),
      group_(dims.heads / dims.kv_heads),
      heads_in_block_(dims.q_len == 0 ? 1 : std::clamp<std::size_t>(kLanes / dims.q_len, 1, group_)),
      blocks_in_head_(groups_of(dims.q_len, kLanes)),
      in_kv_head_(groups_of(group_, heads_in_block_) * blocks_in_head_) {}

BlockPlace Blocks::place(std::size_t batch, std::size_t kv_head, std::size_t index) const noexcept {
  const std::size_t in_group = index / blocks_in_head_ * heads_in_block_;
  const std::size_t first = index % blocks_in_head_ * kLanes;
  return {.batch = batch,
          .head = kv_head * group_ + in_group,
          .heads = std::min(heads_in_block_, group_ - in_group),
          .first = first,
          .queries = std::min(kLanes, dims_.q_len - first)};
}

std::size_t tile_count(std::size_t kv_len) noexcept { return groups_of(kv_len, kKeys); }

void let_masks_go(const Plan& plan, const BlockPlace& place) {
  for (const MaskPart& part : plan.masks)
    for (std::size_t head = place.head; head < place.head + place.heads; ++head)
      part.let_go(place.batch, head, place.first, place.queries);
}

std::size_t span_length(const Dims& dims, std::size_t item_bytes) noexcept {
  constexpr std::size_t most_bytes = std::size_t{3} << 19U;
  constexpr std::size_t fewest = 4;
  constexpr std::size_t most = 32;
  const std::size_t tile_bytes = kKeys * (dims.head_dim + dims.value_dim) * item_bytes;
  return kKeys * std::clamp(most_bytes / std::max<std::size_t>(tile_bytes, 1), fewest, most);
}

std::size_t strip_length(std::size_t count, std::size_t threads, std::uint64_t block_bytes) noexcept {
  constexpr std::uint64_t most = 64;
  constexpr std::uint64_t memory = std::uint64_t{4} << 20U;
  constexpr std::uint64_t shares = 8;
  const std::uint64_t fair = count / (std::max<std::size_t>(threads, 1) * shares);
  return static_cast<std::size_t>(std::clamp<std::uint64_t>(std::min(fair, memory / block_bytes), 1, most));
}

bool logits_fit(const Dims& dims, std::size_t item_bytes) noexcept {
  constexpr std::size_t most_bytes = std::size_t{3} << 19U;
  return whole_groups(dims.kv_len, kKeys) <= most_bytes / (kLanes * item_bytes);
}

std::size_t pair_span_length(const Dims& dims, std::size_t item_bytes) noexcept {
  constexpr std::size_t most_bytes = std::size_t{4} << 20U;
  const std::size_t most = std::max(most_bytes / (std::max(kLanes, dims.head_dim) * item_bytes), kKeys);
  if (dims.kv_len <= most) return std::max<std::size_t>(dims.kv_len, 1);
  // As even as whole tiles allow, so that the last piece is not a short one.
  const std::size_t pieces = groups_of(dims.kv_len, most);
  return whole_groups(groups_of(dims.kv_len, pieces), kKeys);
}

}  // namespace attn::engine

// How the tiled engine cuts its work: blocks of queries that fill the lanes of a tile, and spans of keys.
#pragma once

#include "engine/plan.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace attn::engine {

/// As many queries as a block has at most.
inline constexpr std::size_t most_queries = 64;

/// Queries that are computed together, each in a lane of its own: queries [first, first + queries) of `heads` consecutive heads,
/// which share one key/value head. Lane part * queries + i is query first + i of head `head + part`.
struct BlockPlace {
  std::size_t batch = 0;
  std::size_t head = 0;
  std::size_t heads = 1;
  std::size_t first = 0;
  std::size_t queries = 0;

  [[nodiscard]] std::size_t lanes() const noexcept { return heads * queries; }
  [[nodiscard]] std::size_t head_of(std::size_t lane) const noexcept { return head + lane / queries; }
  [[nodiscard]] std::size_t query_of(std::size_t lane) const noexcept { return first + lane % queries; }
};

/// The blocks of a plan, counted from 0 for each batch entry and key/value head. Short queries of several heads stand side by
/// side in one block, so that their keys are read once.
class Blocks {
 public:
  explicit Blocks(const Dims& dims);

  /// Blocks of one batch entry and key/value head.
  [[nodiscard]] std::size_t in_kv_head() const noexcept { return in_kv_head_; }
  /// Blocks that cover the queries of a head; in_kv_head() is some times as many.
  [[nodiscard]] std::size_t in_head() const noexcept { return blocks_in_head_; }
  /// Lanes of the largest block.
  [[nodiscard]] std::size_t lanes() const noexcept { return heads_in_block_ * std::min(dims_.q_len, most_queries); }
  [[nodiscard]] std::size_t count() const noexcept { return dims_.batch * dims_.kv_heads * in_kv_head_; }
  [[nodiscard]] BlockPlace place(std::size_t batch, std::size_t kv_head, std::size_t index) const noexcept;

 private:
  const Dims& dims_;
  std::size_t group_;           ///< query heads of a key/value head
  std::size_t heads_in_block_;  ///< more than 1 only when a block holds all queries of its heads
  std::size_t blocks_in_head_;
  std::size_t in_kv_head_;
};

/// Tiles that `kv_len` keys are cut into, kernels::kKeys each and the last perhaps fewer.
[[nodiscard]] std::size_t tile_count(std::size_t kv_len) noexcept;

/// Lets go of the rows of masks that a block has read, where they are not to be held.
void let_masks_go(const Plan& plan, const BlockPlace& place);

/// Keys of one span: a whole number of tiles that fit, with their values, into a part of the second-level cache. The sums of a
/// query are made span by span and then joined, whoever computes them, so that they do not depend on how spans are handed out.
[[nodiscard]] std::size_t span_length(const Dims& dims, std::size_t item_bytes) noexcept;

/// Tasks of full blocks for each thread, at least, so that none is left waiting for long at the end.
inline constexpr std::size_t tasks_of_thread = 4;

/// With fewer blocks than this for each thread, threads share out spans of keys instead. Blocks of few lanes take no memory worth
/// mentioning and pass as fast as their keys are read: more of them are shared out.
[[nodiscard]] constexpr std::size_t few_blocks(std::size_t lanes) noexcept {
  return lanes <= most_queries / 8 ? 8 * tasks_of_thread : tasks_of_thread;
}

/// How many of a head's blocks a thread takes at a time, of `count` in all. Rows that must be made want many, so that they are
/// made for many; an even share of the work wants few; and their memory, `block_bytes` each, must fit in the thread's part.
[[nodiscard]] std::size_t strip_length(std::size_t count, std::size_t threads, std::uint64_t block_bytes) noexcept;

/// Keys that are taken at a time where pairs are handed out, each by itself: all of them if their rows of pairs and the keys' own
/// rows take no more than about 4 MiB each, since a file is written fastest in long pieces; else a whole number of tiles.
[[nodiscard]] std::size_t pair_span_length(const Dims& dims, std::size_t item_bytes) noexcept;

/// True where the logits of a block of queries, over all keys, are worth keeping from the pass for the sums to the one for the
/// pairs: while they fit, with the keys, into the second-level cache, fetching them is faster than computing them again.
[[nodiscard]] bool logits_fit(const Dims& dims, std::size_t item_bytes) noexcept;

}  // namespace attn::engine

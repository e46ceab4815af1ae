// Who does what where one attention is shared by several processes: which queries a rank computes, and which keys pass by it.
#pragma once

#include "engine/blocks.hpp"
#include "engine/plan.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace attn::engine {

/// A walk over the keys that all ranks take at the same time.
struct RingPass {
  bool with_values = false;
  bool all_keys = false;  ///< masked ones too
};

/// A span of keys of one head, or a block of its queries, and its way from the rank that has it to those that need it.
struct RingStep {
  std::size_t batch = 0;
  std::size_t kv_head = 0;
  std::size_t pass = 0;  ///< which one of several
  KeyRange keys;
  bool with_values = false;
  std::size_t block = 0;     ///< of queries, where these go round
  std::uint64_t number = 0;  ///< counts the spans of all ranks, and likewise the blocks
  int from = nobody;         ///< whom it comes from; nobody: this rank reads it
  int to = nobody;           ///< whom it goes on to
  bool is_needed = false;    ///< some query of this rank sees it, or it sees some column of this rank

  static constexpr int nobody = -1;
};

/// Keys of one key/value head, in whole tiles: one process computes the columns of all heads that share them.
struct ColumnPart {
  std::size_t batch = 0;
  std::size_t kv_head = 0;
  KeyRange keys;
};

/// Blocks of queries go to ranks there and back (0 1 2 2 1 0 0 1 ...), so that under a causal mask all have the same work with
/// every span of keys. Spans of keys are read by one rank after another and go round in ascending order, only where some query
/// sees them. Their boundaries are those of the engine's spans, whatever the number of ranks.
class RingShare {
 public:
  /// `plan` must outlive this.
  RingShare(const Plan& plan, std::size_t span_length, int ranks);

  /// The blocks of `rank` in one head of keys, or in all.
  [[nodiscard]] std::vector<BlockPlace> places(int rank, std::size_t batch, std::size_t kv_head) const;
  [[nodiscard]] std::vector<BlockPlace> places(int rank) const;
  /// What `rank` reads, passes on or needs: head by head, in each of them pass by pass, with ascending keys.
  [[nodiscard]] std::vector<RingStep> steps(int rank, const std::vector<RingPass>& passes) const;

  /// The columns of `rank` in one head of keys, or in all. Pieces of them are dealt out as blocks of queries are.
  [[nodiscard]] std::vector<ColumnPart> columns(int rank, std::size_t batch, std::size_t kv_head) const;
  [[nodiscard]] std::vector<ColumnPart> columns(int rank) const;
  /// The blocks of one head that `rank` has, passes on, or needs for its columns, ascending.
  [[nodiscard]] std::vector<RingStep> column_steps(int rank, std::size_t batch, std::size_t kv_head) const;

 private:
  /// Things are dealt out there and back.
  [[nodiscard]] int dealt(std::size_t number) const noexcept;
  [[nodiscard]] int rank_of(std::size_t batch, std::size_t kv_head, std::size_t block) const noexcept;
  /// needed[span][rank]: a query of that rank sees some of the span.
  [[nodiscard]] std::vector<std::vector<bool>> find_needed(std::size_t batch, std::size_t kv_head, bool all_keys) const;

  const Plan& plan_;
  Blocks blocks_;
  std::size_t span_length_;
  std::size_t spans_;
  std::size_t column_length_;  ///< keys of a ColumnPart
  int ranks_;
};

}  // namespace attn::engine

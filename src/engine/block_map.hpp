// Which tiles of (query, key) pairs masks hide and which they leave open, found before the walk so that it reads a mask only
// where the mask decides something.
#pragma once

#include "engine/plan.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace attn::engine {

struct Execution;

/// What masks and segments do to a set of pairs. They speak of pairs inside range() only; causal, window and lengths are not
/// looked at again.
enum class Cover : std::uint8_t {
  mixed,   ///< anything; the mask must be read
  open,    ///< nothing is hidden, and nothing but 0 is added
  hidden,  ///< everything is hidden
};

/// The cover of every block of kLanes queries and every tile of kKeys keys, both counted from 0, 2 bits each. Axes that a mask
/// repeats are held once. Masks that hide a tile only together leave it `mixed`.
class BlockMap {
 public:
  /// Knows nothing: all covers are `mixed`.
  BlockMap() = default;
  /// Reads each mask at most once, only inside range(), and a tile no further than to the row that settles it; on as many
  /// threads as asked for. With `wanted` masks are read only for blocks of kLanes queries that it holds true for; the covers of
  /// others are `mixed`. Throws Error(interrupted) when cancelled.
  BlockMap(const Plan& plan, const Execution& execution, const std::vector<bool>* wanted = nullptr);

  /// The cover of queries [query, query + queries) of heads [head, head + heads) against `keys`. Exact for one block of one head
  /// and one tile of one mask, else `mixed` in doubt.
  [[nodiscard]] Cover cover(std::size_t batch, std::size_t head, std::size_t heads, std::size_t query, std::size_t queries,
                            KeyRange keys) const noexcept;

  /// The covers of one mask, or of the segments.
  class Layer {
   public:
    /// `repeats_*`: the mask is the same for all batch entries, heads or queries.
    Layer(const Dims& dims, bool repeats_batch, bool repeats_heads, bool repeats_queries);

    /// The planes and queries that differ: what has to be looked at.
    [[nodiscard]] Dims distinct() const noexcept;
    [[nodiscard]] std::size_t tiles() const noexcept { return tiles_; }
    /// Different (batch, head, block) may be set from different threads.
    void set(std::size_t batch, std::size_t head, std::size_t block, std::size_t tile, Cover cover) noexcept;
    [[nodiscard]] Cover at(std::size_t batch, std::size_t head, std::size_t block, std::size_t tile) const noexcept;
    [[nodiscard]] Cover cover(std::size_t batch, std::size_t head, std::size_t query, std::size_t queries,
                              KeyRange keys) const noexcept;

   private:
    [[nodiscard]] std::size_t row(std::size_t batch, std::size_t head, std::size_t block) const noexcept;

    std::size_t batch_, heads_, queries_;  ///< 1 where repeated
    std::size_t blocks_, tiles_, row_bytes_;
    std::vector<std::uint8_t> covers_;  ///< [batch][heads][blocks][row_bytes]: 4 tiles a byte, no byte of two blocks
  };

  /// Hides tiles besides those that masks hide: `layer` has the same cover for all heads that stand in one block.
  void choose(Layer layer);
  /// True when it hides what masks do not.
  [[nodiscard]] bool is_chosen() const noexcept { return is_chosen_; }

 private:
  bool knows_ = false;
  bool is_chosen_ = false;
  std::vector<Layer> layers_;
};

}  // namespace attn::engine

// What is known of keys before they are looked at one by one: how far their integers are off, and where each tile of them lies.
#pragma once

#include "engine/engine.hpp"
#include "kernels/int8.hpp"
#include "kernels/kernels.hpp"

#include <vector>

namespace attn::engine {

inline constexpr std::size_t kGroups = kernels::kKeys / kernels::kGroup;  ///< groups of keys in a tile
static_assert(kernels::kKeys % kernels::kGroup == 0);

/// What sums of float32 may be off, for each |query| |key|.
[[nodiscard]] inline float slack_of(std::size_t dim) noexcept { return static_cast<float>(dim + 16) * 0x1p-21F; }

/// A row and its integers (int8.hpp): |row| and |row - integers * scale|, rounded up.
struct RowNorms {
  double rounded = 0;  ///< of integers * scale
  double lost = 0;
};
[[nodiscard]] RowNorms row_norms(const float* row, std::size_t dim);
/// With the scale that rows of this largest magnitude share.
[[nodiscard]] RowNorms row_norms(const float* row, std::size_t dim, float largest);

/// The keys of one tile, all numbers rounded up; infinite where a key is not finite. A score from integers q' and k' of a query
/// and a key with |q'| <= norm, |q - q'| <= lost_q (times the factor of scores) is below the exact one, and that below the one in
/// float32, by at most norm * lost + lost_q * longest.
struct TileBounds {
  float lost = 0;     ///< the largest |key - its integers * scale|
  float longest = 0;  ///< the largest |integers * scale| + |key - integers * scale|
  double radius = 0;  ///< the largest distance of a key from the centre
};

/// Bounds of all tiles of all key/value heads.
class KeyBounds {
 public:
  KeyBounds(const Plan& plan, const Operands<float>& operands, const Execution& execution);

  [[nodiscard]] std::size_t tiles() const noexcept { return tiles_; }
  [[nodiscard]] const TileBounds& tile(std::size_t batch, std::size_t kv_head, std::size_t tile) const noexcept {
    return bounds_[(batch * kv_heads_ + kv_head) * tiles_ + tile];
  }
  /// The first two of TileBounds for each group of kernels::kGroup keys from a tile's first on.
  [[nodiscard]] kernels::KeyErrors errors(std::size_t batch, std::size_t kv_head, std::size_t tile) const noexcept {
    const std::size_t first = ((batch * kv_heads_ + kv_head) * tiles_ + tile) * kGroups;
    return {.lost = lost_.data() + first, .longest = longest_.data() + first};
  }
  /// The mean of each tile's keys, [tiles, head_dim].
  [[nodiscard]] const float* centres(std::size_t batch, std::size_t kv_head) const noexcept {
    return centres_.data() + (batch * kv_heads_ + kv_head) * tiles_ * head_dim_;
  }
  /// The largest magnitude of a finite value of a key/value head; infinite where one is not finite.
  [[nodiscard]] double largest_value(std::size_t batch, std::size_t kv_head) const noexcept {
    return largest_value_[batch * kv_heads_ + kv_head];
  }
  [[nodiscard]] static std::uint64_t bytes(const Dims& dims) noexcept;

 private:
  void measure(const Operands<float>& operands, const Dims& dims, std::size_t head, std::size_t tile, double& largest_value);

  std::size_t kv_heads_;
  std::size_t tiles_;
  std::size_t head_dim_;
  std::vector<TileBounds> bounds_;
  std::vector<float> lost_;     ///< [batch, kv_heads, tiles, kGroups]
  std::vector<float> longest_;  ///< likewise
  std::vector<float> centres_;
  std::vector<double> largest_value_;
};

}  // namespace attn::engine

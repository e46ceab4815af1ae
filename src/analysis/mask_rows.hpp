// Masks given row by row: which keys each query may see, from plans alone or combined, never held as a whole.
#pragma once

#include "engine/plan.hpp"

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

namespace attn::analysis {

struct MaskSize {
  std::size_t batch = 1;
  std::size_t heads = 1;
  std::size_t queries = 0;
  std::size_t keys = 0;
  [[nodiscard]] std::size_t matrices() const noexcept { return batch * heads; }
};

class MaskRows {
 public:
  MaskRows() = default;
  MaskRows(const MaskRows&) = delete;
  MaskRows& operator=(const MaskRows&) = delete;
  virtual ~MaskRows() = default;

  [[nodiscard]] virtual MaskSize size() const = 0;
  /// Writes for each of size().keys keys whether the query may see it.
  virtual void row(std::size_t batch, std::size_t head, std::size_t query, std::span<bool> keys) const = 0;
};

/// What has to hold for a key to be visible.
enum class Combination {
  all,   ///< every operand shows it
  any,   ///< one operand shows it
  none,  ///< no operand shows it
};

/// One side of a combination: a key has to be visible under each of its plans.
using MaskOperand = std::vector<engine::Plan>;

/// The mask of operands whose plans all have the same batch, heads, q_len and kv_len. Visibility is the plans', as the engines
/// see it: ranges, segments, masks.
[[nodiscard]] std::unique_ptr<MaskRows> planned_mask(std::vector<MaskOperand> operands, Combination combination);

}  // namespace attn::analysis

// Recognizing what a mask is: the flags that make it, and the usual mistakes.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace attn::analysis {

/// What one query sees and does not see, as the smallest intervals that hold it. Empty intervals are [0, 0).
struct RowShape {
  std::size_t begin = 0;  ///< visible keys lie in [begin, end)
  std::size_t end = 0;
  std::size_t visible = 0;
  std::size_t hidden_begin = 0;  ///< hidden keys lie in [hidden_begin, hidden_end)
  std::size_t hidden_end = 0;
  bool diagonal = false;  ///< the query sees the key of its own number

  /// From one row of a mask.
  [[nodiscard]] static RowShape of(std::span<const bool> keys, std::size_t query);
};

/// What a matrix was recognized as.
struct MaskPattern {
  std::string flags = {};                      ///< "--causal --window 128:"; empty when no flags make it
  std::optional<std::size_t> key_length = {};  ///< keys that exist, when it is fewer than there are; part of the flags
  bool plain = false;                          ///< hides nothing
  std::vector<std::string> remarks = {};       ///< mistakes it looks like
};

/// Compares the rows of one matrix with what causal, window, query offset, key lengths, segments and blocks make of so many keys,
/// as the engine understands them. A matrix that several flags would make is given the simplest.
[[nodiscard]] MaskPattern recognize(std::span<const RowShape> rows, std::size_t keys);

}  // namespace attn::analysis

// What a mask does: how many keys each query sees, queries without any, and which flags would make the same mask.
#pragma once

#include "analysis/mask_rows.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace attn::analysis {

struct MaskFacts {
  MaskSize size;
  std::uint64_t visible = 0;  ///< (query, key) pairs over all matrices
  std::size_t fewest = 0;     ///< visible keys of a query
  std::size_t most = 0;
  double median = 0;
  std::size_t empty_rows = 0;   ///< queries without a visible key
  std::size_t first_empty = 0;  ///< the first, counted over [batch, heads, queries]
  /// Queries by the number of keys they see: bars[k] queries see from bar_first[k] to bar_first[k + 1] - 1 keys.
  std::vector<std::size_t> bars;
  std::vector<std::size_t> bar_first;
  std::vector<std::string> findings;  ///< what it equals and what it looks like

  [[nodiscard]] double pairs() const noexcept {
    return static_cast<double>(size.matrices()) * static_cast<double>(size.queries) * static_cast<double>(size.keys);
  }
};

/// One pass over the rows. Holds a few numbers for each query, never the mask.
[[nodiscard]] MaskFacts mask_facts(const MaskRows& mask);

/// For people and as JSON; `remarks` (about how a file was understood) stand before the findings.
[[nodiscard]] std::string mask_facts_text(const std::string& title, const MaskFacts& facts,
                                          const std::vector<std::string>& remarks);
[[nodiscard]] std::string mask_facts_json(const std::string& title, const MaskFacts& facts,
                                          const std::vector<std::string>& remarks);

}  // namespace attn::analysis

// Everything `attn mask` can be asked, and the mask that it describes.
#pragma once

#include "analysis/mask_rows.hpp"
#include "request/run_request.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace attn::request {

/// Of `run` the members causal, window, query_offset, key_lengths, segments, key_segments, mask_type, treat_below, reading,
/// writing and common are used: what they mean for `attn run` they mean here.
struct MaskRequest {
  std::vector<std::string> words;  ///< an action (make, and, or, not, info, draw), then files
  std::optional<std::size_t> queries;
  std::optional<std::size_t> keys;
  std::size_t block_size = 0;  ///< queries and keys see each other within blocks of so many positions; 0 is off
  RunRequest run;
};

enum class MaskAction { make, conjunction, disjunction, negation, info, draw };

struct RequestedMask {
  MaskAction action = MaskAction::make;
  std::string title;  ///< the files and flags it comes from
  std::unique_ptr<analysis::MaskRows> rows;
  Shape shape;                       ///< [queries, keys], [heads, queries, keys] or [batch, heads, queries, keys]
  std::vector<std::string> remarks;  ///< how files were understood
};

/// Reads the files and puts the mask together. Flags that make a mask are one operand, each file is another. Sizes that are not
/// given are those of the files or the segments; keys default to the queries. Throws Error(usage) for actions without operands,
/// for sizes that nothing says, and as masks do for `attn run`; Error(data) for files that do not fit each other.
[[nodiscard]] RequestedMask read_mask(const MaskRequest& request, Reporter& reporter);

}  // namespace attn::request

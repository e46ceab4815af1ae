// "Did you mean": the candidate closest to a misspelt word.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace attn {

/// The candidate with the smallest edit distance (insertions, deletions, substitutions, swaps of neighbours) to `word`, if that
/// is at most a third of the longer word's length (and at least 1 is allowed); else empty. Ties go to the first.
[[nodiscard]] std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace attn

// Column selectors, as they stand behind a file name: names of the header row or numbers from 1, ranges of either, lists of
// those.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace attn {

/// The columns that `selector` means, from 0, in the order of the selector: "3", "1..3,7", "digit", "p0..p63", "5..", "..4".
/// `names` is the header row, empty when there is none; `columns` is the number of columns. What a name of the header equals
/// exactly means that column, also when it looks like a number, a range or a list. Throws Error(usage) for a selector without
/// meaning and Error(data) for columns that `file` does not have.
[[nodiscard]] std::vector<std::size_t> select_columns(std::string_view selector, std::span<const std::string> names,
                                                      std::size_t columns, const std::string& file);

/// True when `selector` calls a column by the name `cell`, which it can only if the row of that cell is a header.
[[nodiscard]] bool selector_names(std::string_view selector, std::string_view cell);

/// The one of `known` that `word` was most likely meant to be; empty when none is near.
[[nodiscard]] std::string_view nearest_name(std::string_view word, std::span<const std::string> known);

}  // namespace attn

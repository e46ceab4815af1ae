// Names that come from files, made fit to be shown: valid UTF-8 without control characters, and how wide a terminal shows them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace attn::render {

/// Bytes that are no UTF-8 and control characters (what a terminal would obey, line breaks) become U+FFFD.
[[nodiscard]] std::string showable(std::string_view text);

/// Columns of a terminal that valid UTF-8 takes: two for Chinese, Japanese, Korean and emoji, none for combining marks.
[[nodiscard]] std::size_t columns_of(std::string_view text);

/// The text cut to `columns` columns, the last of them an ellipsis ("~" without Unicode) where something is missing, and
/// filled up with blanks to exactly that many.
[[nodiscard]] std::string fitted(std::string_view text, std::size_t columns, bool unicode, bool right_aligned);

}  // namespace attn::render

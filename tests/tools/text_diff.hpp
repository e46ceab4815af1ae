// A short, readable difference of two texts for the messages of failed tests.
#pragma once

#include <string>

namespace attn::testing {

/// Lines of `expected` behind "-" and of `actual` behind "+", without the common beginning and end; at most `limit` lines of
/// each. Bytes that do not print are shown as \xHH, a missing last newline is named. Empty when the texts are the same.
[[nodiscard]] std::string text_diff(const std::string& expected, const std::string& actual, int limit = 12);

}  // namespace attn::testing

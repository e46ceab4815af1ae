// Names of the arrays in one file: choosing one, and showing them in messages.
#pragma once

#include <attn/error.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace attn {

/// A name from a file as messages show it: on one line, bytes of control characters as \xHH, cut when it is very long.
[[nodiscard]] std::string shown_name(std::string_view name);

/// Where an error in one array of a file is.
[[nodiscard]] Location location_of(const std::string& label, std::string_view name);

/// Chooses `wanted` among the names of a file's arrays; an empty one chooses the only one. Throws Error(data) that lists the
/// names, with the nearest or the first in its hint.
[[nodiscard]] std::size_t choose_array(const std::vector<std::string>& names, std::string_view wanted, const std::string& label);

}  // namespace attn

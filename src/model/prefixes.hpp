// The prefixes of a file of parameters: their order, and the nearest one for messages.
#pragma once

#include "model/parameter_file.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace attn::model {

/// Layer 2 before layer 10: runs of digits compare as numbers.
[[nodiscard]] bool natural_less(std::string_view a, std::string_view b);

/// A prefix as messages show it: in quotes, without control characters.
[[nodiscard]] std::string quoted_prefix(const std::string& prefix);

/// The end of a message about `prefix`, "; the nearest prefix that has them is 'layer.0.', one of 6", from `others`, the prefixes
/// that have what is looked for. Without any it lists the first tensors of the file.
[[nodiscard]] std::string where_else(const ParameterFile& file, const std::string& prefix,
                                     const std::vector<std::string>& others);

}  // namespace attn::model

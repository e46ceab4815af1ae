// Numbers in JSON documents: all of them, also those that JSON has no notation for.
#pragma once

#include <cmath>

#include <nlohmann/json.hpp>

namespace attn {

using Json = nlohmann::ordered_json;  ///< members stay in the order they were given

/// The number, or "nan", "inf", "-inf". As strings and not as null, so that a script's `.max_abs < 1e-5` is false for them.
[[nodiscard]] inline Json json_number(double x) {
  if (std::isnan(x)) return "nan";
  if (std::isinf(x)) return x > 0 ? "inf" : "-inf";
  return x;
}

}  // namespace attn

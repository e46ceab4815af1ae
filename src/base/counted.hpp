// Numbers of things in sentences: "1 row", "3 rows".
#pragma once

#include <cstddef>
#include <string>

namespace attn {

[[nodiscard]] inline std::string counted(std::size_t count, const char* one, const char* many) {
  return std::to_string(count) + " " + (count == 1 ? one : many);
}

}  // namespace attn

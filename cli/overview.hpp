// `attn` alone and `attn help`: the commands with one example each.
#pragma once

#include <string>

namespace attn::cli {

[[nodiscard]] std::string overview();
[[nodiscard]] std::string version_line();

}  // namespace attn::cli

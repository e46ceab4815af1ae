// The makers of all commands; each lives in the file named after it.
#pragma once

#include "cli/command.hpp"

namespace attn::cli {

[[nodiscard]] Command help_command();

}  // namespace attn::cli

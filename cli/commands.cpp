// The list of all commands.
#include "cli/commands.hpp"

namespace attn::cli {

const std::vector<Command>& commands() {
  static const std::vector<Command> list{
      help_command(),
  };
  return list;
}

}  // namespace attn::cli

// The list of all commands.
#include "cli/commands.hpp"

namespace attn::cli {

const std::vector<Command>& commands() {
  static const std::vector<Command> list{
      run_command(),     cosine_command(),      dot_command(), scaled_command(), multihead_command(),

      convert_command(), info_command(),        gen_command(), mask_command(),   compare_command(),

      help_command(),    completions_command(), man_command(),
  };
  return list;
}

}  // namespace attn::cli

// The list of all commands.
#include "cli/commands.hpp"

#include "base/nearest.hpp"

#include <fmt/format.h>

namespace attn::cli {

const std::vector<Command>& commands() {
  static const std::vector<Command> list{
      run_command(),      cosine_command(),      dot_command(),       scaled_command(), multihead_command(), layer_command(),
      linear_command(),   approx_command(),      stats_command(),     topk_command(),   plot_command(),      verify_command(),
      identify_command(), explain_command(),     reproduce_command(), sweep_command(),

      convert_command(),  info_command(),        gen_command(),       mask_command(),   compare_command(),

      bench_command(),

      help_command(),     completions_command(), man_command(),
  };
  return list;
}

std::vector<std::string> command_names() {
  std::vector<std::string> names;
  for (const Command& command : commands()) names.push_back(command.info.name);
  return names;
}

const Command& find_command(const std::string& name) {
  for (const Command& command : commands()) {
    if (command.info.name == name) return command;
  }
  const std::string near = nearest(name, command_names());
  throw Error(Status::usage, fmt::format("there is no command '{}'", name),
              near.empty() ? "attn help lists the commands" : fmt::format("did you mean attn {}?", near));
}

}  // namespace attn::cli

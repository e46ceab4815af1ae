// attn linear: recurrent linear attention, token by token through a state.
#include "request/linear.hpp"

#include "cli/cluster.hpp"
#include "cli/commands.hpp"

namespace attn::cli {

Command linear_command() {
  return make_command<request::LinearRequest>(
      {.name = "linear",
       .group = "Attention",
       .summary = "recurrent linear attention: a state that every token changes and reads",
       .usage = "attn linear [X] [--rule RULE] [options]",
       .example = "attn linear -q q.npy -k k.npy -v v.npy --decay g.npy --heads 4 --present-state s.npy -o y.npy",
       .description =
           "Each key/value head has a state S of head_dim x value_dim numbers. A token decays it (gated), adds its key and value "
           "(or, with the delta rule, corrects what the state recalls for the key), and its query reads it: y = scale * S^T q. "
           "Time and memory grow with the length alone. It is the operator LinearAttention of ONNX; --past-state and "
           "--present-state go on where a run stopped."},
      request::linear_table, [](const request::LinearRequest& request, Console& console) {
        return run_alone("attn linear", console,
                         [&](const request::RunContext& context) { request::run_linear(request, context); });
      });
}

}  // namespace attn::cli

// attn layer: transformer layers from the parameters of checkpoints.
#include "request/layer.hpp"

#include "cli/cluster.hpp"
#include "cli/commands.hpp"

namespace attn::cli {

Command layer_command() {
  return make_command<request::LayerRequest>(
      {.name = "layer",
       .group = "Attention",
       .summary = "transformer layers from the parameters of a checkpoint",
       .usage = "attn layer X --params F [--params-prefix P] [options]",
       .example = "attn layer x.npy --params model.safetensors --params-prefix encoder.layer.0 -o y.npy",
       .description =
           "Runs rows through a layer, or a stack of them: attention, feed-forward network, and the sums and norms around both; "
           "with --memory a decoder layer with cross-attention. The names of BERT, DistilBERT, PyTorch's TransformerEncoderLayer "
           "and TransformerDecoderLayer, GPT-2, Llama and BART are known; they and config.json beside the file set what options "
           "leave open: the place and kind of the norms and their epsilon, the activation, rotary positions, and whether queries "
           "see later keys. Positions that padding fills (--key-lengths) never influence the others."},
      request::layer_table, [](const request::LayerRequest& request, Console& console) {
        return run_alone("attn layer", console,
                         [&](const request::RunContext& context) { request::run_layers(request, context); });
      });
}

}  // namespace attn::cli

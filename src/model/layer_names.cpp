// The naming schemes of transformer layers.
#include "model/layer_names.hpp"

namespace attn::model {

namespace {

using enum LayerRole;

constexpr LayerNameRow kBertLayer[] = {
    {attention_norm, "attention.output.LayerNorm.weight", Presence::required, "attention.output.LayerNorm.gamma"},
    {attention_norm_bias, "attention.output.LayerNorm.bias", Presence::required, "attention.output.LayerNorm.beta"},
    {up_weight, "intermediate.dense.weight"},
    {up_bias, "intermediate.dense.bias", kOptional},
    {down_weight, "output.dense.weight"},
    {down_bias, "output.dense.bias", kOptional},
    {feed_norm, "output.LayerNorm.weight", Presence::required, "output.LayerNorm.gamma"},
    {feed_norm_bias, "output.LayerNorm.bias", Presence::required, "output.LayerNorm.beta"}};

constexpr LayerNameRow kBertDecoder[] = {
    {attention_norm, "attention.output.LayerNorm.weight", Presence::required, "attention.output.LayerNorm.gamma"},
    {attention_norm_bias, "attention.output.LayerNorm.bias", Presence::required, "attention.output.LayerNorm.beta"},
    {cross_norm, "crossattention.output.LayerNorm.weight", Presence::required, "crossattention.output.LayerNorm.gamma"},
    {cross_norm_bias, "crossattention.output.LayerNorm.bias", Presence::required, "crossattention.output.LayerNorm.beta"},
    {up_weight, "intermediate.dense.weight"},
    {up_bias, "intermediate.dense.bias", kOptional},
    {down_weight, "output.dense.weight"},
    {down_bias, "output.dense.bias", kOptional},
    {feed_norm, "output.LayerNorm.weight", Presence::required, "output.LayerNorm.gamma"},
    {feed_norm_bias, "output.LayerNorm.bias", Presence::required, "output.LayerNorm.beta"}};

// torch.nn.TransformerEncoderLayer and TransformerDecoderLayer; bias=False leaves out the biases of the norms, too.
constexpr LayerNameRow kTorchEncoder[] = {{attention_norm, "norm1.weight"}, {attention_norm_bias, "norm1.bias", kOptional},
                                          {up_weight, "linear1.weight"},    {up_bias, "linear1.bias", kOptional},
                                          {down_weight, "linear2.weight"},  {down_bias, "linear2.bias", kOptional},
                                          {feed_norm, "norm2.weight"},      {feed_norm_bias, "norm2.bias", kOptional}};
constexpr LayerNameRow kTorchDecoder[] = {{attention_norm, "norm1.weight"}, {attention_norm_bias, "norm1.bias", kOptional},
                                          {cross_norm, "norm2.weight"},     {cross_norm_bias, "norm2.bias", kOptional},
                                          {up_weight, "linear1.weight"},    {up_bias, "linear1.bias", kOptional},
                                          {down_weight, "linear2.weight"},  {down_bias, "linear2.bias", kOptional},
                                          {feed_norm, "norm3.weight"},      {feed_norm_bias, "norm3.bias", kOptional}};

constexpr LayerNameRow kGpt2Layer[] = {{attention_norm, "ln_1.weight"},
                                       {attention_norm_bias, "ln_1.bias"},
                                       {feed_norm, "ln_2.weight"},
                                       {feed_norm_bias, "ln_2.bias"},
                                       {up_weight, "mlp.c_fc.weight"},
                                       {up_bias, "mlp.c_fc.bias", kOptional},
                                       {down_weight, "mlp.c_proj.weight"},
                                       {down_bias, "mlp.c_proj.bias", kOptional},
                                       {unknown_part, "ln_cross_attn.weight", kRefused}};

// The refused norms are those of models that normalize what comes out of each part as well.
constexpr LayerNameRow kLlamaLayer[] = {{attention_norm, "input_layernorm.weight"},
                                        {attention_norm_bias, "input_layernorm.bias", kOptional},
                                        {feed_norm, "post_attention_layernorm.weight"},
                                        {feed_norm_bias, "post_attention_layernorm.bias", kOptional},
                                        {gate_weight, "mlp.gate_proj.weight"},
                                        {gate_bias, "mlp.gate_proj.bias", kOptional},
                                        {up_weight, "mlp.up_proj.weight"},
                                        {up_bias, "mlp.up_proj.bias", kOptional},
                                        {down_weight, "mlp.down_proj.weight"},
                                        {down_bias, "mlp.down_proj.bias", kOptional},
                                        {unknown_part, "pre_feedforward_layernorm.weight", kRefused},
                                        {unknown_part, "post_feedforward_layernorm.weight", kRefused}};

constexpr LayerNameRow kBartEncoder[] = {{attention_norm, "self_attn_layer_norm.weight"},
                                         {attention_norm_bias, "self_attn_layer_norm.bias"},
                                         {up_weight, "fc1.weight"},
                                         {up_bias, "fc1.bias", kOptional},
                                         {down_weight, "fc2.weight"},
                                         {down_bias, "fc2.bias", kOptional},
                                         {feed_norm, "final_layer_norm.weight"},
                                         {feed_norm_bias, "final_layer_norm.bias"}};
constexpr LayerNameRow kBartDecoder[] = {{attention_norm, "self_attn_layer_norm.weight"},
                                         {attention_norm_bias, "self_attn_layer_norm.bias"},
                                         {cross_norm, "encoder_attn_layer_norm.weight"},
                                         {cross_norm_bias, "encoder_attn_layer_norm.bias"},
                                         {up_weight, "fc1.weight"},
                                         {up_bias, "fc1.bias", kOptional},
                                         {down_weight, "fc2.weight"},
                                         {down_bias, "fc2.bias", kOptional},
                                         {feed_norm, "final_layer_norm.weight"},
                                         {feed_norm_bias, "final_layer_norm.bias"}};

constexpr LayerNameRow kDistilBertLayer[] = {
    {attention_norm, "sa_layer_norm.weight"}, {attention_norm_bias, "sa_layer_norm.bias"},
    {up_weight, "ffn.lin1.weight"},           {up_bias, "ffn.lin1.bias", kOptional},
    {down_weight, "ffn.lin2.weight"},         {down_bias, "ffn.lin2.bias", kOptional},
    {feed_norm, "output_layer_norm.weight"},  {feed_norm_bias, "output_layer_norm.bias"}};

constexpr LayerScheme kLayerSchemes[] = {
    {.name = "PyTorch encoder",
     .attention = {"self_attn.", "PyTorch"},
     .rows = kTorchEncoder,
     .activation = Activation::relu,
     .biases_go_together = true},
    {.name = "PyTorch decoder",
     .attention = {"self_attn.", "PyTorch"},
     .cross = {"multihead_attn.", "PyTorch"},
     .rows = kTorchDecoder,
     .activation = Activation::relu,
     .biases_go_together = true},
    {.name = "BERT", .attention = {"attention.", "BERT"}, .rows = kBertLayer, .epsilon = 1e-12, .biases_go_together = true},
    {.name = "BERT decoder",
     .attention = {"attention.", "BERT"},
     .cross = {"crossattention.", "BERT"},
     .rows = kBertDecoder,
     .epsilon = 1e-12,
     .is_causal = true,
     .biases_go_together = true},
    {.name = "GPT-2",
     .attention = {"attn.", "GPT-2"},
     .rows = kGpt2Layer,
     .order = NormOrder::pre,
     .activation = Activation::gelu_tanh,
     .is_causal = true,
     .biases_go_together = true,
     .orientation = Orientation::in_out},
    {.name = "Llama",
     .attention = {"self_attn.", "Llama"},
     .rows = kLlamaLayer,
     .order = NormOrder::pre,
     .activation = Activation::silu,
     .epsilon = 1e-6,
     .norm_keeps_mean = true,
     .is_causal = true,
     .rotates = true},
    {.name = "BART encoder", .attention = {"self_attn.", "BART"}, .rows = kBartEncoder},
    {.name = "BART decoder",
     .attention = {"self_attn.", "BART"},
     .cross = {"encoder_attn.", "BART"},
     .rows = kBartDecoder,
     .is_causal = true},
    {.name = "DistilBERT",
     .attention = {"attention.", "DistilBERT"},
     .rows = kDistilBertLayer,
     .epsilon = 1e-12,
     .biases_go_together = true},
};

}  // namespace

std::span<const LayerScheme> layer_schemes() noexcept { return kLayerSchemes; }

}  // namespace attn::model

// The naming schemes of attention parameters.
#include "model/names.hpp"

#include <algorithm>

namespace attn::model {

namespace {

using enum Role;

constexpr NameRow kPlain[] = {
    {query_weight, "Wq"},          {key_weight, "Wk"},          {value_weight, "Wv"},          {output_weight, "Wo"},
    {query_bias, "bq", kOptional}, {key_bias, "bk", kOptional}, {value_bias, "bv", kOptional}, {output_bias, "bo", kOptional}};

// torch.nn.MultiheadAttention; the second form is that of kdim and vdim.
constexpr NameRow kTorch[] = {{joined_weight, "in_proj_weight"},        {output_weight, "out_proj.weight"},
                              {joined_bias, "in_proj_bias", kOptional}, {output_bias, "out_proj.bias", kOptional},
                              {extra_key, "bias_k", kRefused},          {extra_key, "bias_v", kRefused}};
constexpr NameRow kTorchSeparate[] = {{query_weight, "q_proj_weight"},          {key_weight, "k_proj_weight"},
                                      {value_weight, "v_proj_weight"},          {output_weight, "out_proj.weight"},
                                      {joined_bias, "in_proj_bias", kOptional}, {output_bias, "out_proj.bias", kOptional},
                                      {extra_key, "bias_k", kRefused},          {extra_key, "bias_v", kRefused}};

constexpr NameRow kBert[] = {{query_weight, "self.query.weight"},        {key_weight, "self.key.weight"},
                             {value_weight, "self.value.weight"},        {output_weight, "output.dense.weight"},
                             {query_bias, "self.query.bias", kOptional}, {key_bias, "self.key.bias", kOptional},
                             {value_bias, "self.value.bias", kOptional}, {output_bias, "output.dense.bias", kOptional}};

constexpr NameRow kLlama[] = {{query_weight, "q_proj.weight"},          {key_weight, "k_proj.weight"},
                              {value_weight, "v_proj.weight"},          {output_weight, "o_proj.weight"},
                              {query_bias, "q_proj.bias", kOptional},   {key_bias, "k_proj.bias", kOptional},
                              {value_bias, "v_proj.bias", kOptional},   {output_bias, "o_proj.bias", kOptional},
                              {query_norm, "q_norm.weight", kOptional}, {key_norm, "k_norm.weight", kOptional}};

// Whisper has no key bias, so biases need not go together.
constexpr NameRow kBart[] = {{query_weight, "q_proj.weight"},        {key_weight, "k_proj.weight"},
                             {value_weight, "v_proj.weight"},        {output_weight, "out_proj.weight"},
                             {query_bias, "q_proj.bias", kOptional}, {key_bias, "k_proj.bias", kOptional},
                             {value_bias, "v_proj.bias", kOptional}, {output_bias, "out_proj.bias", kOptional}};

constexpr NameRow kDistilBert[] = {{query_weight, "q_lin.weight"},        {key_weight, "k_lin.weight"},
                                   {value_weight, "v_lin.weight"},        {output_weight, "out_lin.weight"},
                                   {query_bias, "q_lin.bias", kOptional}, {key_bias, "k_lin.bias", kOptional},
                                   {value_bias, "v_lin.bias", kOptional}, {output_bias, "out_lin.bias", kOptional}};

constexpr NameRow kGpt2[] = {{joined_weight, "c_attn.weight"},
                             {output_weight, "c_proj.weight"},
                             {joined_bias, "c_attn.bias", kOptional},
                             {output_bias, "c_proj.bias", kOptional}};

constexpr NamingScheme kSchemes[] = {
    {.name = "plain", .orientation = Orientation::in_out, .biases_go_together = false, .rows = kPlain},
    {.name = "PyTorch", .orientation = Orientation::out_in, .biases_go_together = true, .rows = kTorch},
    {.name = "PyTorch, separate", .orientation = Orientation::out_in, .biases_go_together = true, .rows = kTorchSeparate},
    {.name = "BERT", .orientation = Orientation::out_in, .biases_go_together = true, .rows = kBert},
    {.name = "Llama", .orientation = Orientation::out_in, .biases_go_together = false, .rows = kLlama},
    {.name = "GPT-2", .orientation = Orientation::in_out, .biases_go_together = true, .rows = kGpt2},
    {.name = "BART", .orientation = Orientation::out_in, .biases_go_together = false, .rows = kBart},
    {.name = "DistilBERT", .orientation = Orientation::out_in, .biases_go_together = true, .rows = kDistilBert},
};

}  // namespace

std::span<const NamingScheme> attention_schemes() noexcept { return kSchemes; }

const NameRow* SchemeMatch::row(Role role) const noexcept {
  const auto at = std::ranges::find(found, role, &NameRow::role);
  return at == found.end() ? nullptr : *at;
}

}  // namespace attn::model

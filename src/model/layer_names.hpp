// How checkpoints name the parameters of transformer layers: one table of schemes, each with what its names imply.
#pragma once

#include "model/names.hpp"

#include <cstdint>
#include <span>
#include <string_view>

namespace attn::model {

/// f(x) of feed-forward networks.
enum class Activation : std::uint8_t {
  gelu,       ///< x Phi(x)
  gelu_tanh,  ///< its approximation by tanh
  relu,
  silu,
};

/// Where a layer normalizes.
enum class NormOrder : std::uint8_t {
  post,  ///< x = norm(x + f(x)), Vaswani et al. 2017
  pre,   ///< x = x + f(norm(x))
};

/// What a tensor outside of the attentions is for. Norms are named by the part they belong to: before or after it.
enum class LayerRole : std::uint8_t {
  attention_norm,
  attention_norm_bias,
  cross_norm,
  cross_norm_bias,
  feed_norm,
  feed_norm_bias,
  up_weight,
  up_bias,
  gate_weight,
  gate_bias,
  down_weight,
  down_bias,
  unknown_part,  ///< a part that the layer of the table does not have
};

[[nodiscard]] constexpr bool is_bias(LayerRole role) noexcept {
  switch (role) {
    case LayerRole::attention_norm_bias:
    case LayerRole::cross_norm_bias:
    case LayerRole::feed_norm_bias:
    case LayerRole::up_bias:
    case LayerRole::gate_bias:
    case LayerRole::down_bias:
      return true;
    default:
      return false;
  }
}

struct LayerNameRow {
  LayerRole role;
  std::string_view name;  ///< what stands behind the prefix of the layer
  Presence presence = Presence::required;
  std::string_view other_name = {};  ///< what older files call it
};

/// An attention inside a layer: what stands before its names, and the scheme of names (attention_schemes()).
struct AttentionPart {
  std::string_view prefix = {};  ///< empty: there is none
  std::string_view scheme = {};
};

/// One convention, and what a model that uses it does unless its config.json says otherwise.
struct LayerScheme {
  std::string_view name;  ///< as reports show it: "BERT"
  AttentionPart attention;
  AttentionPart cross = {};  ///< over a memory
  std::span<const LayerNameRow> rows;
  NormOrder order = NormOrder::post;
  Activation activation = Activation::gelu;
  double epsilon = 1e-5;
  bool norm_keeps_mean = false;  ///< RMSNorm (Zhang and Sennrich 2019), unless the norms have biases
  bool is_causal = false;
  bool rotates = false;             ///< rotary positions in halves
  bool biases_go_together = false;  ///< a layer of this scheme has all biases or none
  Orientation orientation = Orientation::out_in;
};

[[nodiscard]] std::span<const LayerScheme> layer_schemes() noexcept;

}  // namespace attn::model

// Everything `attn layer` can be asked, as one value: what attn run takes, and what a layer has besides attention.
#pragma once

#include "model/layer_names.hpp"
#include "request/run_request.hpp"

#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace attn::request {

/// FILE members are as the user wrote them; empty is "not given".
struct LayerRequest {
  RunRequest run;
  std::set<std::string> given;  ///< options of attn run that were given: the others have the defaults of the parameters' names

  std::optional<model::NormOrder> norm;
  std::optional<double> norm_epsilon;
  std::optional<model::Activation> activation;
  bool bidirectional = false;
  std::string layers;          ///< "0..5": a stack
  std::string memory;          ///< what the cross-attention of a decoder looks at
  std::string memory_lengths;  ///< a list or a file
  std::string cross_weights;
  std::string rollout;

  CommonSettings common;
};

[[nodiscard]] const Table<LayerRequest>& layer_table();

/// "3" or "0..5" or "0..2,5": the numbers in their order, both ends of a range included. Throws Error(usage).
[[nodiscard]] std::vector<std::size_t> parse_layers(const std::string& text);

template <>
struct Names<model::NormOrder> {
  static constexpr std::array<std::pair<std::string_view, model::NormOrder>, 2> list{
      {{"post", model::NormOrder::post}, {"pre", model::NormOrder::pre}}};
};
template <>
struct Names<model::Activation> {
  static constexpr std::array<std::pair<std::string_view, model::Activation>, 4> list{
      {{"gelu", model::Activation::gelu},
       {"gelu-tanh", model::Activation::gelu_tanh},
       {"relu", model::Activation::relu},
       {"silu", model::Activation::silu}}};
};

}  // namespace attn::request

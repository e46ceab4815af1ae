// config.json of a checkpoint: the numbers of a model that its tensors do not tell.
#pragma once

#include <attn/error.hpp>
#include <attn/options.hpp>

#include <cstddef>
#include <optional>
#include <string>

namespace attn::model {

/// `rope_scaling` (or `rope_parameters`) of the file.
struct ConfiguredScaling {
  std::string type;                    ///< "linear", "dynamic", "llama3", ...; never empty or "default"
  std::optional<RopeScaling> scaling;  ///< nullopt for a type that attn does not have
};

/// What the file says, by whatever spelling; nullopt where it says nothing.
struct ModelConfig {
  std::string path;
  std::string model_type;  ///< "bert", "llama", ...; may be empty
  std::optional<std::size_t> heads;
  std::optional<std::size_t> kv_heads;
  std::optional<std::size_t> head_dim;
  std::optional<double> rope_base;
  std::optional<ConfiguredScaling> rope_scaling;
  std::optional<double> rope_fraction;  ///< of the features of a head, that rotate
  std::optional<double> norm_epsilon;
  std::optional<std::string> activation;  ///< as the file spells it: "gelu", "gelu_new", "silu"
};

/// The config.json in the folder of `parameters`. nullopt when there is none, or none that tells anything of the above; one that
/// is not JSON is ignored with a warning. Throws Error(data) for entries of the wrong kind ("num_attention_heads": "many").
[[nodiscard]] std::optional<ModelConfig> read_config(const std::string& parameters, Reporter& reporter);

/// The scaling of rotary positions that the file asks for; nullopt for none, and for a type that attn does not have. Throws
/// Error(data) for numbers without meaning, such as a missing length.
[[nodiscard]] std::optional<RopeScaling> usable_scaling(const ModelConfig& config);

}  // namespace attn::model

// The attention layers of a checkpoint, for `attn info`.
#pragma once

#include "model/attention_parameters.hpp"

#include <attn/io.hpp>

#include <optional>
#include <string>
#include <vector>

namespace attn::analysis {

/// One place with attention parameters. Either `set` or `problem` says something.
struct LayerReport {
  std::string prefix;
  std::optional<model::AttentionSet> set;
  std::optional<model::HeadCounts> heads;  ///< nullopt when nothing in the file or beside it tells them
  std::string problem;                     ///< why the parameters cannot be used
};

/// The layers of one file.
struct LayersReport {
  std::string file;
  std::string config;  ///< the config.json that was read; may be empty
  std::vector<LayerReport> layers;
};

/// nullopt for files that are no checkpoint or hold no attention. A config.json that is damaged is reported as a warning.
[[nodiscard]] std::optional<LayersReport> attention_layers(const FileName& name, Reporter& reporter);

/// A table for people; empty for no reports.
[[nodiscard]] std::string layers_text(const std::vector<LayersReport>& reports);

}  // namespace attn::analysis

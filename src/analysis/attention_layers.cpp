// The attention layers of a checkpoint, for `attn info`.
#include "analysis/attention_layers.hpp"

#include "io/array_names.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace attn::analysis {

namespace {

bool may_be_checkpoint(const FileName& name) {
  if (name.is_standard_stream() || !name.selector.empty()) return false;
  const std::optional<Format> format = format_of_path(name.path);
  return name.path.ends_with(".json") || (format && (*format == Format::npz || *format == Format::safetensors));
}

LayerReport report_of(const model::AttentionPlace& place, const std::optional<model::ModelConfig>& config,
                      const std::string& file) {
  LayerReport report{.prefix = place.prefix, .set = place.set, .heads = {}, .problem = place.problem};
  if (!place.set) return report;
  try {
    model::HeadCounts heads = model::resolve_heads(*place.set, 0, 0, config, file);
    if (!heads.source.empty()) report.heads = std::move(heads);
  } catch (const Error& error) {
    report.problem = error.what();
  }
  return report;
}

using Row = std::array<std::string, 9>;

Row row_of(const LayerReport& layer) {
  const std::string prefix = layer.prefix.empty() ? "(none)" : shown_name(layer.prefix);
  if (!layer.set) return {prefix, "-", "-", "-", "-", "-", "-", "-", layer.problem};
  const model::AttentionSet& set = *layer.set;
  const auto widths = [](model::Widths w) { return fmt::format("{}->{}", w.in, w.out); };
  std::string heads = "?";
  if (layer.heads)
    heads = layer.heads->heads == layer.heads->kv_heads ? fmt::format("{}", layer.heads->heads)
                                                        : fmt::format("{}/{}", layer.heads->heads, layer.heads->kv_heads);
  return {prefix,
          std::string(set.scheme->name),
          heads,
          widths(set.query),
          widths(set.key),
          widths(set.value),
          widths(set.output),
          set.has_bias() ? "biases" : "no biases",
          layer.problem};
}

}  // namespace

std::optional<LayersReport> attention_layers(const FileName& name, Reporter& reporter) {
  if (!may_be_checkpoint(name)) return std::nullopt;
  const model::ParameterFile file(name.path, reporter);
  const std::vector<model::AttentionPlace> places = model::find_attention(file);
  if (places.empty()) return std::nullopt;
  LayersReport report{.file = name.path, .config = {}, .layers = {}};
  std::optional<model::ModelConfig> config;
  try {
    config = model::read_config(name.path, reporter);
  } catch (const Error& error) {
    reporter.warn(fmt::format("{}: {}", error.where().file, error.what()));
  }
  if (config) report.config = config->path;
  for (const model::AttentionPlace& place : places) report.layers.push_back(report_of(place, config, name.path));
  return report;
}

std::string layers_text(const std::vector<LayersReport>& reports) {
  std::string text;
  for (const LayersReport& report : reports) {
    text += fmt::format("attention layers in {}{}\n", report.file,
                        report.config.empty() ? "" : fmt::format(" (heads from {})", report.config));
    std::vector<Row> rows{{"prefix", "scheme", "heads", "query", "key", "value", "output", "", ""}};
    for (const LayerReport& layer : report.layers) rows.push_back(row_of(layer));
    std::array<std::size_t, 9> widest{};
    for (const Row& row : rows) {
      for (std::size_t c = 0; c + 1 < row.size(); ++c) widest[c] = std::max(widest[c], row[c].size());
    }
    for (const Row& row : rows) {
      std::string line;
      for (std::size_t c = 0; c < row.size(); ++c) line += fmt::format("  {:<{}}", row[c], widest[c]);
      line.resize(line.find_last_not_of(' ') + 1);
      text += line + "\n";
    }
  }
  return text;
}

}  // namespace attn::analysis

// attn compare --metric: two files of attention weights against each other, head by head, with a table of the rows and a picture.
#pragma once

#include "analysis/map_distance.hpp"
#include "request/option.hpp"
#include "request/plot_request.hpp"
#include "request/run.hpp"

#include <array>
#include <cstddef>
#include <optional>
#include <string>

namespace attn::request {

struct MapSettings {
  std::optional<analysis::MapMetric> metric;  ///< none: arrays are compared element by element
  std::optional<analysis::HeadMatch> match;
  std::string rows;  ///< a file for the distance of each row; empty: none
  PlotSettings plot;
  std::size_t threads = 0;  ///< 0: those of the context
};

[[nodiscard]] const Table<MapSettings>& map_table();

/// Throws Error(usage) for options of maps without a metric, and for files where standard output is, which holds the comparison.
void check_maps(const MapSettings& settings);

/// Compares, writes the files asked for, warns of rows that do not add up to 1. `maps` are A, which is judged, and B, which is
/// right. Throws what compare_maps of the analysis throws, and what reading and publishing do.
[[nodiscard]] analysis::MapComparison compare_maps(const MapSettings& settings, const ReadingSettings& reading,
                                                   const std::array<Loaded, 2>& maps, double tolerance,
                                                   const RunContext& context);

/// The comparison for people, and as a JSON object; `a` and `b` are the maps' files as they were given.
[[nodiscard]] std::string map_text(const analysis::MapComparison& comparison);
[[nodiscard]] std::string map_json(const std::string& a, const std::string& b, const std::array<Loaded, 2>& maps,
                                   const analysis::MapComparison& comparison);

template <>
struct Names<analysis::MapMetric> {
  static constexpr std::array<std::pair<std::string_view, analysis::MapMetric>, 4> list{
      {{"kl", analysis::MapMetric::kl},
       {"js", analysis::MapMetric::js},
       {"mse", analysis::MapMetric::mse},
       {"cosine", analysis::MapMetric::cosine}}};
};
template <>
struct Names<analysis::HeadMatch> {
  static constexpr std::array<std::pair<std::string_view, analysis::HeadMatch>, 2> list{
      {{"order", analysis::HeadMatch::order}, {"best", analysis::HeadMatch::best}}};
};

}  // namespace attn::request

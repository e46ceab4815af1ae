// What a picture of weights will show: which heads, how many cells, what is written around them.
#pragma once

#include "engine/plan.hpp"
#include "render/picture.hpp"
#include "request/plot_request.hpp"

#include <string>
#include <vector>

namespace attn::request {

/// Names of queries and keys, and where weights come from that were not computed.
struct PlotNames {
  const std::vector<std::string>& ids;
  const std::vector<std::string>& key_ids;
  std::string source;
  // Of numbers that are no weights; empty: what a picture of weights says.
  std::string title = {};
  std::string quantity = {};            ///< what the scale is of
  std::vector<std::string> heads = {};  ///< what panels are called
  std::string line_axis = {};           ///< what the first axis is
};

struct PlotView {
  PlotForm form = PlotForm::png;
  analysis::PoolGrid grid;
  render::Terminal terminal;
  render::TerminalPlan plan;  ///< of text
  std::size_t size = 0;       ///< pixels
  std::size_t across = 1;
};

/// Decides what the settings leave open. Throws Error(usage) for what cannot be drawn: nothing, too many panels, too large ones.
[[nodiscard]] PlotView view_of(const PlotSettings& settings, const engine::Plan& plan, const std::vector<std::string>& ids);

/// The picture around the cells: titles, axes, panels without numbers.
[[nodiscard]] render::Picture picture_of(const PlotSettings& settings, const PlotView& view, const engine::Plan& plan,
                                         const PlotNames& names);

}  // namespace attn::request

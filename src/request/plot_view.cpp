// What a picture of weights will show.
#include "request/plot_view.hpp"

#include "render/text.hpp"
#include "request/run_request.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace attn::request {

namespace {

constexpr std::size_t kMostPanels = 64;
constexpr std::size_t kMostLinePanels = 16;
constexpr std::size_t kMostSmallPanels = 4096;
constexpr std::size_t kLargestSize = 4096;
/// Cells of a page: each takes 8/3 bytes of it.
constexpr std::size_t kMostPageCells = 5'500'000;
constexpr std::size_t kMostThingsInLines = 100;
constexpr std::size_t kMostCells = 1U << 26U;

std::size_t most_panels(PlotKind kind) {
  switch (kind) {
    case PlotKind::lines:
      return kMostLinePanels;
    case PlotKind::heads:
      return kMostSmallPanels;
    case PlotKind::heatmap:
      break;
  }
  return kMostPanels;
}

std::vector<std::size_t> heads_of(const PlotSettings& s, const engine::Dims& d) {
  std::vector<std::size_t> heads;
  for (const std::size_t b : chosen("--batch", s.batch, d.batch))
    for (const std::size_t h : chosen("--head", s.head, d.heads)) heads.push_back(b * d.heads + h);
  const std::size_t most = most_panels(s.kind);
  if (heads.empty() || d.q_len == 0 || d.kv_len == 0)
    throw Error(Status::usage,
                fmt::format("there is nothing to draw: {} heads of {} queries and {} keys", heads.size(), d.q_len, d.kv_len));
  if (heads.size() > most)
    throw Error(Status::usage, fmt::format("{} panels are too many for one picture (at most {})", heads.size(), most),
                s.kind == PlotKind::heatmap ? "--head 0..15 draws some of them, --kind heads a small panel of each"
                                            : "--head 0..3 draws some of them");
  return heads;
}

std::size_t panels_across(const PlotSettings& s, PlotForm form, std::size_t panels, std::size_t chosen_heads) {
  if (s.kind == PlotKind::heads || form == PlotForm::html) return chosen_heads;
  if (s.kind == PlotKind::lines) return std::min<std::size_t>(panels, 4);
  return panels <= 3 ? panels : static_cast<std::size_t>(std::ceil(std::sqrt(static_cast<double>(panels))));
}

std::size_t default_size(const PlotSettings& s, PlotForm form, std::size_t panels, std::size_t across) {
  if (form == PlotForm::html) {
    const double cells = static_cast<double>(kMostPageCells) / static_cast<double>(panels);
    return std::min<std::size_t>(static_cast<std::size_t>(std::sqrt(cells)), 2048);
  }
  if (s.kind == PlotKind::heads) return std::clamp<std::size_t>(1400 / across, 24, 120);
  return std::clamp<std::size_t>(1600 / across, 100, 800);
}

render::Depth depth_of(const PlotSettings& s) {
  switch (s.colours) {
    case PlotColours::none:
      return render::Depth::characters;
    case PlotColours::palette:
      return render::Depth::palette;
    case PlotColours::full:
      return render::Depth::full;
    case PlotColours::automatic:
      break;
  }
  return s.file.ends_with(".txt") ? render::Depth::characters : s.terminal.depth;
}

void plan_text(const PlotSettings& s, const engine::Dims& d, const std::vector<std::string>& ids, PlotView& view) {
  view.terminal = s.terminal;
  view.terminal.depth = depth_of(s);
  if (s.size) view.terminal.columns = std::clamp<std::size_t>(*s.size, 1, kLargestSize);
  std::size_t longest = 0;
  for (const std::string& id : ids) longest = std::max(longest, render::columns_of(render::showable(id)));
  view.plan = render::plan_terminal(d.q_len, d.kv_len, view.grid.heads.size(), longest, view.terminal);
  view.grid.rows = view.plan.rows;
  view.grid.columns = view.plan.columns;
  view.across = view.plan.across;
}

std::string without_zeros(double x) { return fmt::format("{:.4g}", x); }

/// "softmax of scaled scores, causal, window 4:0".
std::string what_was_computed(const engine::Plan& plan) {
  const AttentionOptions& o = plan.options;
  std::string text = o.normalize == Normalizer::none ? fmt::format("{} scores", name_of(o.score))
                                                     : fmt::format("{} of {} scores", name_of(o.normalize), name_of(o.score));
  if (o.scale) text += fmt::format(", scale {}", without_zeros(*o.scale));
  if (o.temperature != 1) text += fmt::format(", temperature {}", without_zeros(o.temperature));
  if (o.softcap > 0) text += fmt::format(", softcap {}", without_zeros(o.softcap));
  if (o.causal) text += ", causal";
  if (!o.window.open()) text += ", window " + to_text(show_value(o.window));
  if (!plan.slopes.empty()) text += ", ALiBi";
  if (o.rope != RopePairing::none) text += ", rotary positions";
  if (!plan.masks.empty()) text += ", masked";
  if (!plan.segments.empty()) text += ", segments";
  return text;
}

std::string counted(std::size_t count, const char* one, const char* several) {
  return fmt::format("{} {}", count, count == 1 ? one : several);
}

std::string remark_of(const PlotSettings& s, const PlotView& view, const engine::Dims& d) {
  std::string text = fmt::format("{}, {} x {}", counted(view.grid.heads.size(), "head", "heads"),
                                 counted(d.q_len, "query", "queries"), counted(d.kv_len, "key", "keys"));
  if (view.grid.rows == d.q_len && view.grid.columns == d.kv_len) return text;
  const double down = static_cast<double>(d.q_len) / static_cast<double>(view.grid.rows);
  const double across = static_cast<double>(d.kv_len) / static_cast<double>(view.grid.columns);
  return text + fmt::format("; each cell is the {} of {} x {} pairs", s.pool == analysis::Pool::mean ? "mean" : "largest",
                            without_zeros(down), without_zeros(across));
}

std::vector<std::string> showable_names(const std::vector<std::string>& names) {
  std::vector<std::string> shown;
  shown.reserve(names.size());
  for (const std::string& name : names) shown.push_back(render::showable(name));
  return shown;
}

void add_panels(const PlotView& view, const engine::Dims& d, const PlotNames& names, render::Picture& picture) {
  for (const std::size_t head : view.grid.heads) {
    render::Panel panel;
    const std::string name = names.heads.empty() ? fmt::format("head {}", head % d.heads) : names.heads[head % d.heads];
    if (d.batch > 1)
      panel.title = fmt::format("{} {}, {}", names.line_axis.empty() ? "batch" : names.line_axis, head / d.heads, name);
    else if (d.heads > 1)
      panel.title = name;
    panel.cells = {view.grid.rows, view.grid.columns, {}};
    picture.panels.push_back(std::move(panel));
  }
}

void add_overview_titles(const PlotView& view, const engine::Dims& d, const PlotNames& names, render::Picture& picture) {
  picture.column_axis = "head";
  std::size_t column = 0;
  for (std::size_t n = 0; n < view.grid.heads.size(); ++n) {
    const std::size_t head = view.grid.heads[n];
    if (n < view.across) picture.column_titles.push_back(std::to_string(head % d.heads));
    if (column == 0 && d.batch > 1) picture.line_titles.push_back(std::to_string(head / d.heads));
    column = column + 1 == view.across ? 0 : column + 1;
  }
  // Nobody said what the first axis of a file of weights is.
  const std::string first_axis = names.source.empty() ? "batch entry" : "layer or batch entry";
  if (d.batch > 1) picture.line_axis = names.line_axis.empty() ? first_axis : names.line_axis;
}

}  // namespace

PlotView view_of(const PlotSettings& s, const engine::Plan& plan, const std::vector<std::string>& ids) {
  const engine::Dims& d = plan.dims;
  PlotView view;
  view.form = form_of(s);
  view.grid.heads = heads_of(s, d);
  view.across = panels_across(s, view.form, view.grid.heads.size(), chosen("--head", s.head, d.heads).size());
  if (view.form == PlotForm::ansi) {
    plan_text(s, d, ids, view);
    return view;
  }
  const std::size_t usual = default_size(s, view.form, view.grid.heads.size(), view.across);
  // A few more pixels rather than cells of one pair beside cells of two.
  const std::size_t longer = std::max(d.q_len, d.kv_len);
  const bool is_near =
      s.kind == PlotKind::heatmap && view.form != PlotForm::html && longer > usual && longer <= usual + usual / 2;
  view.size = s.size.value_or(is_near ? longer : usual);
  if (view.size == 0 || view.size > kLargestSize)
    throw Error(Status::usage, fmt::format("a panel of {} pixels cannot be drawn (expected 1 to {})", view.size, kLargestSize));
  view.grid.rows = std::min(d.q_len, view.size);
  view.grid.columns = std::min(d.kv_len, view.size);
  if (s.kind == PlotKind::lines) {
    if (std::max(d.q_len, d.kv_len) > kMostThingsInLines)
      throw Error(Status::usage,
                  fmt::format("lines are for short sequences: {} queries and {} keys are more than {}", d.q_len, d.kv_len,
                              kMostThingsInLines),
                  "--kind heatmap draws any number of them");
    view.grid.rows = d.q_len;
    view.grid.columns = d.kv_len;
  }
  const std::size_t cells = view.grid.heads.size() * view.grid.rows * view.grid.columns;
  const bool is_page = view.form == PlotForm::html;
  const std::size_t most = is_page ? kMostPageCells : kMostCells;
  if (cells > most)
    throw Error(Status::usage,
                fmt::format("{} cells are too many for one {} (at most {})", cells, is_page ? "page" : "picture", most),
                "ask for fewer heads or a smaller size");
  return view;
}

render::Picture picture_of(const PlotSettings& s, const PlotView& view, const engine::Plan& plan, const PlotNames& names) {
  const engine::Dims& d = plan.dims;
  render::Picture picture;
  picture.title = render::showable(!s.title.empty()       ? s.title
                                   : !names.title.empty() ? names.title
                                   : names.source.empty() ? what_was_computed(plan)
                                                          : "weights of " + names.source);
  picture.remark = remark_of(s, view, d);
  picture.style = s.kind == PlotKind::lines   ? render::Style::lines
                  : s.kind == PlotKind::heads ? render::Style::overview
                                              : render::Style::heat_map;
  picture.across = view.across;
  picture.size = view.size;
  picture.rows = {"query", d.q_len, showable_names(names.ids)};
  picture.columns = {"key", d.kv_len, showable_names(names.key_ids)};
  add_panels(view, d, names, picture);
  if (s.kind == PlotKind::heads || view.form == PlotForm::html) add_overview_titles(view, d, names, picture);
  return picture;
}

}  // namespace attn::request

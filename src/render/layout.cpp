// Where everything stands in a picture.
#include "render/layout.hpp"

#include "base/groups.hpp"

#include <algorithm>
#include <cmath>

namespace attn::render {

namespace {

constexpr double kLeastName = 9;    ///< a cell must be this high for a name of its own
constexpr double kLineHeight = 18;  ///< of the lines style, from name to name
constexpr double kLineSpan = 220;   ///< of the lines style, between the names

double longest(const Axis& axis, double text_size, Canvas& measure) {
  double length = 0;
  for (std::size_t i = 0; i < axis.length && length < kLongestName; ++i)
    length = std::max(length, measure.text_width(name_of(axis, i), text_size));
  return std::min(std::ceil(length), kLongestName);
}

double text_size_in(double pixels) { return std::clamp(pixels - 2, 8.0, 12.0); }

Naming name_rows(const Axis& axis, double cell, double side, bool is_pooled, Canvas& measure) {
  Naming naming;
  if (!is_pooled && cell >= kLeastName) {
    naming.kind = Naming::Kind::names;
    naming.text_size = text_size_in(cell);
    naming.room = longest(axis, naming.text_size, measure);
    return naming;
  }
  naming.kind = Naming::Kind::numbers;
  naming.ticks = index_ticks(axis.length, static_cast<std::size_t>(std::max(side / 24, 2.0)));
  naming.room = measure.text_width(std::to_string(naming.ticks.back()), naming.text_size);
  return naming;
}

Naming name_columns(const Axis& axis, double cell, double side, bool is_pooled, Canvas& measure) {
  Naming naming;
  if (!is_pooled && cell >= kLeastName) {
    naming.kind = Naming::Kind::names;
    naming.text_size = 12;
    naming.room = longest(axis, naming.text_size, measure);
    naming.upright = naming.room + 4 > cell;
    if (!naming.upright) return naming;
    naming.text_size = text_size_in(cell);
    naming.room = longest(axis, naming.text_size, measure);
    return naming;
  }
  naming.kind = Naming::Kind::numbers;
  const double text = measure.text_width(std::to_string(axis.length), naming.text_size) + 14;
  naming.ticks = index_ticks(axis.length, static_cast<std::size_t>(std::max(side / text, 2.0)));
  naming.room = kSmallText + 3;
  return naming;
}

/// What stands around the panels, in pixels.
struct Frame {
  double left = kMargin;
  double above = kMargin;
  double below = kMargin;
  double right = kMargin;
  double gap_across = 14;
  double gap_down = 12;
};

double height_of_columns(const Naming& naming) { return naming.upright ? naming.room : naming.text_size + 4; }

void place_panels(const Picture& picture, const Frame& frame, double width, double height, Layout& layout) {
  const std::size_t across = std::max<std::size_t>(picture.across, 1);
  const std::size_t lines = groups_of(picture.panels.size(), across);
  const double step_x = width + frame.gap_across;
  const double step_y = height + layout.panel_title + frame.gap_down;
  for (std::size_t p = 0; p < picture.panels.size(); ++p) {
    const std::size_t line = p / across;
    layout.panels.push_back({frame.left + step_x * static_cast<double>(p % across),
                             frame.above + layout.panel_title + step_y * static_cast<double>(line), width, height});
  }
  const double panels_width = step_x * static_cast<double>(std::min(across, picture.panels.size())) - frame.gap_across;
  const double panels_height = step_y * static_cast<double>(lines) - frame.gap_down;
  layout.bar = {frame.left + panels_width + frame.right, frame.above + layout.panel_title, kBarWidth,
                std::clamp(panels_height - layout.panel_title, 100.0, 400.0)};
  const double bar_below = layout.bar.height + layout.panel_title + (picture.scale.has_nan ? 36 : 12);
  layout.height = frame.above + std::max(panels_height + frame.below, bar_below + kMargin);
  layout.width = layout.bar.x + kBarWidth + layout.bar_text + kMargin;
}

double bar_text_width(const Scale& scale, Canvas& measure) {
  double width = measure.text_width("NaN", kSmallText);
  for (const Tick& tick : ticks_of(scale, 6)) width = std::max(width, measure.text_width(tick.text, kSmallText));
  return std::ceil(width) + 8 + (scale.title.empty() ? 0 : kAxisTitle);
}

/// Titles come first; the frame begins below them.
void place_titles(const Picture& picture, Canvas& measure, Frame& frame, Layout& layout) {
  layout.title = {kMargin, frame.above};
  if (!picture.title.empty()) frame.above += 22;
  layout.remark = {kMargin, frame.above};
  if (!picture.remark.empty()) frame.above += 18;
  if (!picture.title.empty() || !picture.remark.empty()) frame.above += 4;
  const double text =
      std::max(measure.text_width(picture.title, kTitleText) * 1.2, measure.text_width(picture.remark, kSmallText));
  layout.text_room = std::min(std::ceil(text), 700.0);
}

void lay_out_overview(const Picture& picture, Canvas& measure, Frame& frame) {
  frame.gap_across = frame.gap_down = 4;
  double left = 0;
  for (const std::string& title : picture.line_titles) left = std::max(left, measure.text_width(title, kSmallText));
  frame.left += std::ceil(left) + kNameGap + (picture.line_axis.empty() ? 0 : kAxisTitle);
  frame.above += kSmallText + kNameGap + (picture.column_axis.empty() ? 0 : kAxisTitle);
}

}  // namespace

std::string name_of(const Axis& axis, std::size_t index) {
  return axis.names.empty() ? std::to_string(index) : axis.names[index];
}

CellSize cell_size(std::size_t rows, std::size_t columns, std::size_t size) noexcept {
  const auto along = [&](std::size_t cells, std::size_t length) {
    return std::clamp<std::size_t>(length / std::max<std::size_t>(cells, 1), 1, kLargestCell);
  };
  const std::size_t square = std::min(along(rows, size), along(columns, size));
  const auto stretched = [&](std::size_t cells) {
    return static_cast<double>(cells * square < size / 4 ? std::max(square, along(cells, size / 4)) : square);
  };
  return {stretched(columns), stretched(rows)};
}

Layout lay_out(const Picture& picture, Canvas& measure) {
  Layout layout;
  Frame frame;
  place_titles(picture, measure, frame, layout);
  layout.bar_text = bar_text_width(picture.scale, measure);
  const bool has_titles = std::ranges::any_of(picture.panels, [](const Panel& p) { return !p.title.empty(); });
  if (picture.style != Style::overview && has_titles) layout.panel_title = 18;
  const Grid& grid = picture.panels.front().cells;
  CellSize cell = cell_size(grid.rows, grid.columns, picture.size);
  double width = cell.width * static_cast<double>(grid.columns);
  double height = cell.height * static_cast<double>(grid.rows);
  if (picture.style == Style::overview) {
    lay_out_overview(picture, measure, frame);
  } else if (picture.style == Style::lines) {
    layout.rows = {.kind = Naming::Kind::names, .text_size = 12, .room = longest(picture.rows, 12, measure), .ticks = {}};
    layout.columns = {.kind = Naming::Kind::names, .text_size = 12, .room = longest(picture.columns, 12, measure), .ticks = {}};
    width = kLineSpan;
    height = kLineHeight * static_cast<double>(std::max(grid.rows, grid.columns));
    frame.left += layout.rows.room + kNameGap;
    frame.right += layout.columns.room + kNameGap;
    frame.gap_across += layout.rows.room + layout.columns.room + 2 * kNameGap + 10;
    frame.above += kAxisTitle;
  } else {
    layout.rows = name_rows(picture.rows, cell.height, height, grid.rows < picture.rows.length, measure);
    layout.columns = name_columns(picture.columns, cell.width, width, grid.columns < picture.columns.length, measure);
    frame.left += std::ceil(layout.rows.room) + kNameGap + kAxisTitle;
    frame.below += height_of_columns(layout.columns) + kNameGap + kAxisTitle;
  }
  place_panels(picture, frame, width, height, layout);
  layout.width = std::max(layout.width, layout.text_room + 2 * kMargin);
  return layout;
}

}  // namespace attn::render

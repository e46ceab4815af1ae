// Draws pictures: titles, cells or lines, names, the scale.
#include "render/draw.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

namespace attn::render {

namespace {

/// The lines of the token-to-token view: dark on white, the thin ones still to be told from the paper.
constexpr Colour kLine{49, 84, 146};

void draw_frame(const Box& box, Canvas& canvas) {
  canvas.fill({box.x - 1, box.y - 1, box.width + 2, 1}, kFaint);
  canvas.fill({box.x - 1, box.y + box.height, box.width + 2, 1}, kFaint);
  canvas.fill({box.x - 1, box.y, 1, box.height}, kFaint);
  canvas.fill({box.x + box.width, box.y, 1, box.height}, kFaint);
}

void draw_cells(const Grid& grid, const Scale& scale, const Box& box, Canvas& canvas) {
  std::vector<Colour> colours(grid.values.size());
  std::ranges::transform(grid.values, colours.begin(), [&](double value) { return viridis(scale.place(value)); });
  canvas.cells(box, grid.rows, grid.columns, colours);
}

/// The middle of thing `index` of `length` along a side.
double middle_of(std::size_t index, std::size_t length, double side) {
  return (static_cast<double>(index) + 0.5) / static_cast<double>(length) * side;
}

void name_rows(const Picture& picture, const Layout& layout, const Box& box, Canvas& canvas) {
  const Naming& naming = layout.rows;
  const bool all = naming.kind == Naming::Kind::names;
  const std::size_t count = all ? picture.rows.length : naming.ticks.size();
  for (std::size_t n = 0; n < count; ++n) {
    const std::size_t index = all ? n : naming.ticks[n];
    const double y = box.y + middle_of(index, picture.rows.length, box.height);
    if (!all) canvas.fill({box.x - 4, std::floor(y), 3, 1}, kFaint);
    canvas.text({box.x - kNameGap, y}, all ? name_of(picture.rows, index) : std::to_string(index),
                {.size = naming.text_size, .across = Side::end, .room = all ? kLongestName : 0});
  }
  canvas.text({box.x - kNameGap - naming.room - kAxisTitle + 2, box.y + box.height / 2}, picture.rows.title,
              {.size = kSmallText, .colour = kFaint, .across = Side::middle, .along = Side::begin, .upright = true});
}

void name_columns(const Picture& picture, const Layout& layout, const Box& box, Canvas& canvas) {
  const Naming& naming = layout.columns;
  const bool all = naming.kind == Naming::Kind::names;
  const std::size_t count = all ? picture.columns.length : naming.ticks.size();
  const double y = box.y + box.height;
  for (std::size_t n = 0; n < count; ++n) {
    const std::size_t index = all ? n : naming.ticks[n];
    const double x = box.x + middle_of(index, picture.columns.length, box.width);
    if (!all) canvas.fill({std::floor(x), y + 1, 1, 3}, kFaint);
    TextStyle style{.size = naming.text_size, .across = Side::middle, .along = Side::begin};
    if (naming.upright) style = {.size = naming.text_size, .across = Side::end, .upright = true, .room = kLongestName};
    canvas.text({x, y + kNameGap - 1}, all ? name_of(picture.columns, index) : std::to_string(index), style);
  }
  const double names = naming.upright ? naming.room : naming.text_size + 4;
  canvas.text({box.x + box.width / 2, y + kNameGap + names + 2}, picture.columns.title,
              {.size = kSmallText, .colour = kFaint, .across = Side::middle, .along = Side::begin});
}

void draw_bar(const Scale& scale, const Layout& layout, Canvas& canvas) {
  const Box& bar = layout.bar;
  const auto steps = static_cast<std::size_t>(bar.height);
  std::vector<Colour> colours(steps);
  for (std::size_t i = 0; i < steps; ++i) colours[i] = viridis(1 - (static_cast<double>(i) + 0.5) / static_cast<double>(steps));
  canvas.cells({bar.x, bar.y, bar.width, static_cast<double>(steps)}, steps, 1, colours);
  draw_frame({bar.x, bar.y, bar.width, static_cast<double>(steps)}, canvas);
  const double text = bar.x + bar.width + 5;
  for (const Tick& tick : ticks_of(scale, static_cast<std::size_t>(std::clamp(bar.height / 40, 2.0, 6.0)))) {
    const double y = bar.y + (1 - scale.place(tick.value)) * static_cast<double>(steps);
    canvas.fill({bar.x + bar.width + 1, std::min(std::floor(y), bar.y + bar.height - 1), 3, 1}, kFaint);
    canvas.text({text, y}, tick.text, {.size = kSmallText});
  }
  if (scale.is_log && scale.is_cut)
    canvas.text({bar.x, bar.y + bar.height + 10}, "darkest: less, or 0", {.size = 9, .colour = kFaint, .across = Side::begin});
  if (scale.has_nan) {
    const double y = bar.y + bar.height + (scale.is_log && scale.is_cut ? 20 : 10);
    canvas.fill({bar.x, y, bar.width, bar.width}, kNoNumber);
    canvas.text({text, y + bar.width / 2}, "NaN", {.size = kSmallText});
  }
  canvas.text({bar.x + bar.width + layout.bar_text - 2, bar.y + bar.height / 2}, scale.title,
              {.size = kSmallText, .colour = kFaint, .across = Side::middle, .along = Side::end, .upright = true});
}

void draw_heat_panel(const Picture& picture, const Layout& layout, std::size_t p, Canvas& canvas) {
  const Box& box = layout.panels[p];
  draw_cells(picture.panels[p].cells, picture.scale, box, canvas);
  draw_frame(box, canvas);
  canvas.text({box.x, box.y - 4}, picture.panels[p].title, {.size = 12, .along = Side::end, .room = box.width + 10});
  // Names stand once for all panels of a line or column of them.
  if (p % picture.across == 0) name_rows(picture, layout, box, canvas);
  if (p + picture.across >= picture.panels.size()) name_columns(picture, layout, box, canvas);
}

void draw_overview(const Picture& picture, const Layout& layout, Canvas& canvas) {
  for (std::size_t p = 0; p < picture.panels.size(); ++p) {
    draw_cells(picture.panels[p].cells, picture.scale, layout.panels[p], canvas);
    draw_frame(layout.panels[p], canvas);
  }
  const Box& first = layout.panels.front();
  const Box& last = layout.panels.back();
  double names = 0;
  for (std::size_t l = 0; l < picture.line_titles.size(); ++l) {
    const Box& box = layout.panels[l * picture.across];
    names = std::max(names, canvas.text_width(picture.line_titles[l], kSmallText));
    canvas.text({box.x - kNameGap, box.y + box.height / 2}, picture.line_titles[l], {.size = kSmallText, .across = Side::end});
  }
  for (std::size_t c = 0; c < std::min(picture.across, picture.column_titles.size()); ++c) {
    const Box& box = layout.panels[c];
    canvas.text({box.x + box.width / 2, box.y - 4}, picture.column_titles[c],
                {.size = kSmallText, .across = Side::middle, .along = Side::end});
  }
  const TextStyle axis{.size = kSmallText, .colour = kFaint, .across = Side::middle, .along = Side::end};
  canvas.text({(first.x + layout.panels[std::min(picture.across, picture.panels.size()) - 1].x + first.width) / 2,
               first.y - kSmallText - kNameGap - 2},
              picture.column_axis, axis);
  TextStyle upright = axis;
  upright.upright = true;
  canvas.text({first.x - kNameGap - names - 4, (first.y + last.y + last.height) / 2}, picture.line_axis, upright);
}

/// Thin lines first, so that the thick ones lie above them.
void draw_lines(const Picture& picture, const Layout& layout, std::size_t p, Canvas& canvas) {
  const Box& box = layout.panels[p];
  const Grid& grid = picture.panels[p].cells;
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < grid.values.size(); ++i)
    if (kThickestLine * picture.scale.place(grid.values[i]) >= kThinnestLine) order.push_back(i);
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return picture.scale.place(grid.values[i]); });
  const auto y_of = [&](std::size_t index, std::size_t length) { return box.y + middle_of(index, length, box.height); };
  for (const std::size_t i : order) {
    const double place = picture.scale.place(grid.values[i]);
    canvas.line({box.x, y_of(i / grid.columns, grid.rows)}, {box.x + box.width, y_of(i % grid.columns, grid.columns)},
                kThickestLine * place, kLine, 0.35 + 0.5 * place);
  }
  canvas.text({box.x, box.y - kAxisTitle}, picture.panels[p].title, {.size = 12, .along = Side::end, .bold = true});
  const TextStyle title{.size = kSmallText, .colour = kFaint, .along = Side::end};
  TextStyle left = title;
  left.across = Side::end;
  canvas.text({box.x - kNameGap, box.y - 2}, picture.rows.title, left);
  canvas.text({box.x + box.width + kNameGap, box.y - 2}, picture.columns.title, title);
  for (std::size_t i = 0; i < grid.rows; ++i)
    canvas.text({box.x - kNameGap, y_of(i, grid.rows)}, name_of(picture.rows, i),
                {.size = 12, .across = Side::end, .room = kLongestName});
  for (std::size_t j = 0; j < grid.columns; ++j)
    canvas.text({box.x + box.width + kNameGap, y_of(j, grid.columns)}, name_of(picture.columns, j),
                {.size = 12, .room = kLongestName});
}

/// What the widths of lines mean.
void draw_widths(const Scale& scale, const Layout& layout, Canvas& canvas) {
  double y = layout.bar.y + kThickestLine;
  canvas.text({layout.bar.x, layout.bar.y - 4}, scale.title, {.size = kSmallText, .colour = kFaint, .along = Side::end});
  for (const double part : {1.0, 0.5, 0.1}) {
    const double value =
        scale.is_log ? scale.low * std::pow(scale.high / scale.low, part) : scale.low + part * (scale.high - scale.low);
    canvas.line({layout.bar.x, y}, {layout.bar.x + 2 * kBarWidth, y}, kThickestLine * part, kLine, 0.35 + 0.5 * part);
    canvas.text({layout.bar.x + 2 * kBarWidth + 4, y}, fmt::format("{:.2g}", value), {.size = kSmallText});
    y += 20;
  }
}

}  // namespace

void draw_on(const Picture& picture, const Layout& layout, Canvas& canvas) {
  const double room = layout.width - 2 * kMargin;
  canvas.text(layout.title, picture.title, {.size = kTitleText, .along = Side::begin, .room = room, .bold = true});
  canvas.text(layout.remark, picture.remark, {.size = kSmallText, .colour = kFaint, .along = Side::begin, .room = room});
  if (picture.style == Style::overview) draw_overview(picture, layout, canvas);
  for (std::size_t p = 0; p < picture.panels.size(); ++p) {
    if (picture.style == Style::heat_map) draw_heat_panel(picture, layout, p, canvas);
    if (picture.style == Style::lines) draw_lines(picture, layout, p, canvas);
  }
  if (picture.style == Style::lines) return draw_widths(picture.scale, layout, canvas);
  draw_bar(picture.scale, layout, canvas);
}

std::string draw(const Picture& picture, FileKind kind) {
  const Layout layout = lay_out(picture, *measuring_canvas());
  return draw_file(kind, layout.width, layout.height, [&](Canvas& canvas) { draw_on(picture, layout, canvas); });
}

}  // namespace attn::render

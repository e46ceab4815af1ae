// Named points in a plane with logarithmic axes.
#include "render/scatter.hpp"

#include "render/layout.hpp"
#include "render/scale.hpp"

#include <cmath>

namespace attn::render {

namespace {

constexpr Box kPlane{88, 58, 560, 376};
constexpr double kMark = 8;

/// Whole powers of ten around all positive numbers.
Scale axis_of(const std::vector<double>& numbers, const std::string& title) {
  ScaleMaker maker;
  maker.take(numbers);
  Scale scale = maker.scale(true);
  if (!scale.is_log) scale = {.low = 0.1, .high = 1, .is_log = true};
  scale.low = std::pow(10.0, std::floor(std::log10(scale.low)));
  scale.high = std::pow(10.0, std::ceil(std::log10(scale.high)));
  if (!(scale.low < scale.high)) scale.high = scale.low * 10;
  scale.title = title;
  return scale;
}

void draw_axes(const Scale& x, const Scale& y, Canvas& canvas) {
  constexpr Colour grid{225, 225, 225};
  const double bottom = kPlane.y + kPlane.height;
  for (const Tick& tick : ticks_of(x, 8)) {
    const double at = kPlane.x + x.place(tick.value) * kPlane.width;
    canvas.fill({at, kPlane.y, 1, kPlane.height}, grid);
    canvas.text({at, bottom + kNameGap}, tick.text, {.size = kSmallText, .across = Side::middle, .along = Side::begin});
  }
  for (const Tick& tick : ticks_of(y, 8)) {
    const double at = bottom - y.place(tick.value) * kPlane.height;
    canvas.fill({kPlane.x, at, kPlane.width, 1}, grid);
    canvas.text({kPlane.x - kNameGap, at}, tick.text, {.size = kSmallText, .across = Side::end});
  }
  canvas.text({kPlane.x + kPlane.width / 2, bottom + kNameGap + kAxisTitle}, x.title,
              {.size = kSmallText, .colour = kFaint, .across = Side::middle, .along = Side::begin});
  canvas.text({kMargin, kPlane.y + kPlane.height / 2}, y.title,
              {.size = kSmallText, .colour = kFaint, .across = Side::middle, .along = Side::begin, .upright = true});
}

}  // namespace

void draw_on(const Scatter& scatter, Canvas& canvas) {
  std::vector<Mark> marks;
  std::vector<double> xs;
  std::vector<double> ys;
  for (const Mark& mark : scatter.marks) {
    if (!std::isfinite(mark.x) || !std::isfinite(mark.y)) continue;
    marks.push_back(mark);
    xs.push_back(mark.x);
    ys.push_back(mark.y);
  }
  const bool has_line = scatter.line > 0 && std::isfinite(scatter.line);
  if (has_line) xs.push_back(scatter.line);
  const Scale x = axis_of(xs, scatter.x_title);
  const Scale y = axis_of(ys, scatter.y_title);
  const double room = kScatterWidth - 2 * kMargin;
  canvas.text({kMargin, kMargin - 4}, scatter.title, {.size = kTitleText, .along = Side::begin, .room = room, .bold = true});
  canvas.text({kMargin, kMargin + 18}, scatter.remark,
              {.size = kSmallText, .colour = kFaint, .along = Side::begin, .room = room});
  draw_axes(x, y, canvas);
  if (has_line) {
    const double at = kPlane.x + x.place(scatter.line) * kPlane.width;
    canvas.fill({at, kPlane.y, 2, kPlane.height}, kFaint);
    canvas.text({at + kMark, kPlane.y + kPlane.height - kNameGap}, scatter.line_name,
                {.size = kSmallText, .colour = kFaint, .along = Side::begin, .upright = true});
  }
  for (std::size_t n = 0; n < marks.size(); ++n) {
    // A mark at 0 has no logarithm, and stands at the edge.
    const double px = kPlane.x + (marks[n].x > 0 ? x.place(marks[n].x) : 0) * kPlane.width;
    const double py = kPlane.y + (1 - (marks[n].y > 0 ? y.place(marks[n].y) : 0)) * kPlane.height;
    const Colour colour = viridis(0.85 * static_cast<double>(n) / static_cast<double>(marks.size()));
    canvas.fill({px - kMark / 2, py - kMark / 2, kMark, kMark}, colour);
    canvas.text({px + kMark, py - kMark}, marks[n].name, {.size = kSmallText, .colour = kInk});
  }
}

std::string draw(const Scatter& scatter, FileKind kind) {
  return draw_file(kind, kScatterWidth, kScatterHeight, [&](Canvas& canvas) { draw_on(scatter, canvas); });
}

}  // namespace attn::render

// Named points in a plane with logarithmic axes.
#include "render/scatter.hpp"

#include "render/layout.hpp"
#include "render/scale.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

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

constexpr double kNameHeight = 1.2 * kSmallText;  ///< height of a line of text

/// Where names of marks may stand: on the plane, right of it, and as far above and below as the name of a mark at its edge needs.
constexpr Box kNames{kPlane.x, kPlane.y - kMark, kScatterWidth - kPlane.x - kNameGap, kPlane.height + 2 * kMark};

Box mark_box(Point mark) { return {mark.x - kMark / 2, mark.y - kMark / 2, kMark, kMark}; }

bool boxes_meet(const Box& a, const Box& b) {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

/// A text of `width` that stands away from a point: wholly on one side where `across` or `along` is -1 or 1, around it where it
/// is 0.
Box beside(Point at, double width, double across, double along, double away) {
  const auto start = [away](double middle, double length, double direction) {
    return middle - length / 2 + direction * (length / 2 + away);
  };
  return {start(at.x, width, across), start(at.y, kNameHeight, along), width, kNameHeight};
}

/// Finds room for names one by one, none over another or over a mark: beside its mark where that is free, else further away.
class NamePlaces {
 public:
  void take(const Box& box) { taken_.push_back(box); }
  /// Names stand over it only where they would else be further from their marks.
  void avoid(const Box& box) { avoided_ = box; }

  [[nodiscard]] bool is_free(const Box& box) const {
    const bool inside = box.x >= kNames.x && box.y >= kNames.y && box.x + box.width <= kNames.x + kNames.width &&
                        box.y + box.height <= kNames.y + kNames.height;
    return inside && std::ranges::none_of(taken_, [&](const Box& other) { return boxes_meet(box, other); });
  }

  /// Room for a name of `width` for the mark at a point, which is taken then. Without any the name has to be left out.
  std::optional<Box> find(Point mark, double width) {
    struct Direction {
      double across;
      double along;
    };
    static constexpr Direction directions[] = {{1, 0},    {-1, 0},    {0, -1},   {0, 1},   {1, -1},    {1, 1},
                                               {-1, -1},  {-1, 1},    {1, -0.5}, {1, 0.5}, {-1, -0.5}, {-1, 0.5},
                                               {0.5, -1}, {-0.5, -1}, {0.5, 1},  {-0.5, 1}};
    constexpr int rings = 100;
    for (int ring = 0; ring < rings; ++ring)
      for (const bool may_cross : {false, true})
        for (const auto& [across, along] : directions) {
          const Box box = beside(mark, width, across, along, kMark + ring * kNameHeight / 2);
          if (!is_free(box) || (!may_cross && boxes_meet(box, avoided_))) continue;
          take(box);
          return box;
        }
    return std::nullopt;
  }

 private:
  std::vector<Box> taken_;
  Box avoided_;
};

/// A line from a mark to the next point of a name that stands too far away to be seen as its own.
void draw_leader(Point mark, const Box& name, Canvas& canvas) {
  const Point end{std::clamp(mark.x, name.x, name.x + name.width), std::clamp(mark.y, name.y, name.y + name.height)};
  if (std::hypot(end.x - mark.x, end.y - mark.y) > 2 * kMark) canvas.line(mark, end, 0.75, kFaint, 0.6);
}

/// Draws the line at `x` and its name, from below upwards: at its foot, or as far up as marks stand in the way.
void draw_limit(double x, const std::string& name, NamePlaces& places, Canvas& canvas) {
  const Box line{x, kPlane.y, 2, kPlane.height};
  canvas.fill(line, kFaint);
  places.avoid(line);
  const double length = canvas.text_width(name, kSmallText);
  const double lowest = kPlane.y + kPlane.height - kNameGap - length;
  Box box{x + kMark, lowest, kNameHeight, length};
  while (!places.is_free(box) && box.y > kPlane.y) box.y -= kNameHeight / 2;
  if (box.y <= kPlane.y) box.y = lowest;  // marks all the way: over them
  places.take(box);
  canvas.text({box.x, box.y + length}, name, {.size = kSmallText, .colour = kFaint, .along = Side::begin, .upright = true});
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
  NamePlaces places;
  std::vector<Point> points;
  for (const Mark& mark : marks) {
    // A mark at 0 has no logarithm, and stands at the edge.
    points.push_back({kPlane.x + (mark.x > 0 ? x.place(mark.x) : 0) * kPlane.width,
                      kPlane.y + (1 - (mark.y > 0 ? y.place(mark.y) : 0)) * kPlane.height});
    places.take(mark_box(points.back()));
  }
  if (has_line) draw_limit(kPlane.x + x.place(scatter.line) * kPlane.width, scatter.line_name, places, canvas);
  for (std::size_t n = 0; n < marks.size(); ++n) {
    const std::optional<Box> name = places.find(points[n], canvas.text_width(marks[n].name, kSmallText));
    if (!name) continue;
    draw_leader(points[n], *name, canvas);
    canvas.text({name->x, name->y + kNameHeight / 2}, marks[n].name, {.size = kSmallText, .colour = kInk});
  }
  for (std::size_t n = 0; n < marks.size(); ++n)
    canvas.fill(mark_box(points[n]), viridis(0.85 * static_cast<double>(n) / static_cast<double>(marks.size())));
}

std::string draw(const Scatter& scatter, FileKind kind) {
  return draw_file(kind, kScatterWidth, kScatterHeight, [&](Canvas& canvas) { draw_on(scatter, canvas); });
}

}  // namespace attn::render

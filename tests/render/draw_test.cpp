// Pictures by their structure: what stands where, and the colours that cells have in PNG and SVG files.
#include "render/draw.hpp"

#include "render/png.hpp"
#include "render/scatter.hpp"

#include <attn/error.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <string>

#include <doctest/doctest.h>
#include <fmt/format.h>

namespace attn::render {

namespace {

/// A canvas that keeps what it is asked to draw; a letter is as wide as half its size.
class Recorder : public Canvas {
 public:
  struct Text {
    Point at;
    std::string text;
    TextStyle style;
  };
  struct Line {
    Point from;
    Point to;
    double width = 0;
    double opacity = 0;
  };

  void fill(const Box& box, Colour colour) override { fills.emplace_back(box, colour); }
  void cells(const Box& box, std::size_t rows, std::size_t columns, std::span<const Colour> colours) override {
    CHECK(colours.size() == rows * columns);
    panels.push_back(box);
  }
  void line(Point from, Point to, double width, Colour /*colour*/, double opacity) override {
    lines.push_back({from, to, width, opacity});
  }
  void text(Point at, std::string_view text, const TextStyle& style) override {
    if (!text.empty()) texts.push_back({at, std::string(text), style});
  }
  double text_width(std::string_view text, double size) override { return static_cast<double>(text.size()) * size / 2; }

  [[nodiscard]] std::size_t count(const std::string& text) const {
    return static_cast<std::size_t>(std::ranges::count(texts, text, &Text::text));
  }

  std::vector<std::pair<Box, Colour>> fills;
  std::vector<Box> panels;  ///< of cells, the colour bar among them
  std::vector<Line> lines;
  std::vector<Text> texts;
};

Picture picture_of(std::size_t rows, std::size_t columns, std::size_t panels = 1, std::size_t across = 1) {
  Picture picture;
  picture.title = "a title";
  picture.remark = "a remark";
  picture.rows = {"query", rows, {}};
  picture.columns = {"key", columns, {}};
  picture.across = across;
  picture.scale = {.low = 0, .high = 1, .title = "weight"};
  for (std::size_t p = 0; p < panels; ++p) {
    Panel panel{panels > 1 ? fmt::format("head {}", p) : "", {rows, columns, std::vector<double>(rows * columns)}};
    for (std::size_t i = 0; i < rows * columns; ++i) panel.cells.values[i] = static_cast<double>((i * 7 + p) % 101) / 100;
    picture.panels.push_back(std::move(panel));
  }
  return picture;
}

std::vector<std::string> names_of(std::size_t count, const std::string& stem) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; ++i) names.push_back(stem + std::to_string(i));
  return names;
}

std::size_t occurrences(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace

TEST_CASE("cells are squares of whole pixels, and thin matrices are stretched") {
  const auto is = [](const CellSize& size, double width, double height) { return size.width == width && size.height == height; };
  CHECK(is(cell_size(1, 1, 800), 48, 48));
  CHECK(is(cell_size(10, 10, 800), 48, 48));
  CHECK(is(cell_size(100, 100, 800), 8, 8));
  CHECK(is(cell_size(800, 800, 800), 1, 1));
  CHECK(is(cell_size(512, 512, 800), 1, 1));
  CHECK(is(cell_size(1, 800, 800), 1, 48));
  CHECK(is(cell_size(800, 1, 800), 48, 1));
  CHECK(is(cell_size(100, 800, 800), 1, 2));
  CHECK(is(cell_size(400, 800, 800), 1, 1));
  CHECK(is(cell_size(3, 5, 1), 1, 1));
}

TEST_CASE("everything stands inside of the picture, and panels do not touch") {
  for (const Style style : {Style::heat_map, Style::overview, Style::lines})
    for (const auto& [rows, columns] : {std::pair<std::size_t, std::size_t>{1, 1}, {1, 40}, {40, 1}, {7, 9}, {97, 61}})
      for (const std::size_t panels : {1U, 2U, 5U, 12U}) {
        Picture picture = picture_of(rows, columns, panels, 4);
        picture.style = style;
        picture.size = 300;
        picture.rows.names = names_of(rows, "a long name of a query ");
        picture.columns.names = names_of(columns, "k");
        Recorder canvas;
        const Layout layout = lay_out(picture, canvas);
        draw_on(picture, layout, canvas);
        INFO(rows, " x ", columns, ", ", panels, " panels, style ", static_cast<int>(style));
        REQUIRE(layout.panels.size() == panels);
        const auto inside = [&](const Box& b) {
          return b.x >= 0 && b.y >= 0 && b.x + b.width <= layout.width && b.y + b.height <= layout.height;
        };
        for (const auto& [box, colour] : canvas.fills) CHECK(inside(box));
        for (const Box& box : canvas.panels) CHECK(inside(box));
        for (const Recorder::Text& text : canvas.texts) {
          INFO(text.text);
          const double length = text.style.room > 0 ? std::min(text.style.room, canvas.text_width(text.text, text.style.size))
                                                    : canvas.text_width(text.text, text.style.size);
          const auto begin = [&](double at, Side side, double size) {
            return side == Side::begin ? at : side == Side::middle ? at - size / 2 : at - size;
          };
          const double along = text.style.upright ? text.at.y : text.at.x;
          const double start = text.style.upright ? layout.height - along : along;
          CHECK(begin(start, text.style.across, length) >= -1);
          CHECK(begin(start, text.style.across, length) + length <= (text.style.upright ? layout.height : layout.width) + 1);
        }
        for (std::size_t p = 0; p < panels; ++p)
          for (std::size_t o = p + 1; o < panels; ++o) {
            const Box& a = layout.panels[p];
            const Box& b = layout.panels[o];
            CHECK((a.x + a.width < b.x || b.x + b.width < a.x || a.y + a.height < b.y || b.y + b.height < a.y));
          }
      }
}

TEST_CASE("names are drawn where they fit, numbers where they do not") {
  Picture picture = picture_of(20, 30);
  picture.rows.names = names_of(20, "row ");
  picture.columns.names = names_of(30, "column ");
  Recorder canvas;
  draw_on(picture, lay_out(picture, canvas), canvas);
  for (std::size_t i = 0; i < 20; ++i) CHECK(canvas.count(fmt::format("row {}", i)) == 1);
  for (std::size_t i = 0; i < 30; ++i) CHECK(canvas.count(fmt::format("column {}", i)) == 1);
  CHECK(canvas.count("query") == 1);
  CHECK(canvas.count("key") == 1);
  CHECK(canvas.count("a title") == 1);
  CHECK(canvas.count("a remark") == 1);

  Picture large = picture_of(500, 500);
  large.rows.names = large.columns.names = names_of(500, "n");
  Recorder numbers;
  draw_on(large, lay_out(large, numbers), numbers);
  CHECK(numbers.count("n1") == 0);
  CHECK(numbers.count("0") >= 2);
  CHECK(numbers.count("100") == 2);
}

TEST_CASE("a panel's name stands above it, the axes' names beside the first and below the last of them") {
  const Picture picture = picture_of(30, 30, 5, 3);
  Recorder canvas;
  const Layout layout = lay_out(picture, canvas);
  draw_on(picture, layout, canvas);
  for (std::size_t p = 0; p < 5; ++p) {
    const auto at = std::ranges::find(canvas.texts, fmt::format("head {}", p), &Recorder::Text::text);
    REQUIRE(at != canvas.texts.end());
    CHECK(at->at.x == layout.panels[p].x);
    CHECK(at->at.y < layout.panels[p].y);
  }
  CHECK(canvas.count("query") == 2);  // two lines of panels
  CHECK(canvas.count("key") == 3);    // three columns, the last of one panel
}

TEST_CASE("pixels of a PNG have the colours of their cells") {
  for (const auto& [rows, columns] : {std::pair<std::size_t, std::size_t>{1, 1}, {3, 5}, {1, 40}, {97, 61}, {200, 300}}) {
    Picture picture = picture_of(rows, columns, 2, 2);
    picture.size = 300;
    picture.panels[1].cells.values.back() = std::numeric_limits<double>::quiet_NaN();
    const Layout layout = lay_out(picture, *measuring_canvas());
    const testing::Pixels pixels = testing::read_png(draw(picture, FileKind::png));
    CHECK(pixels.width == static_cast<std::size_t>(std::ceil(layout.width)));
    CHECK(pixels.height == static_cast<std::size_t>(std::ceil(layout.height)));
    const CellSize cell = cell_size(rows, columns, 300);
    std::size_t wrong = 0;
    for (std::size_t p = 0; p < 2; ++p) {
      const Box& box = layout.panels[p];
      REQUIRE(box.width == cell.width * static_cast<double>(columns));
      for (std::size_t y = 0; y < static_cast<std::size_t>(box.height); ++y)
        for (std::size_t x = 0; x < static_cast<std::size_t>(box.width); ++x) {
          const double value =
              picture.panels[p].cells.at(y / static_cast<std::size_t>(cell.height), x / static_cast<std::size_t>(cell.width));
          const Colour got = pixels.at(static_cast<std::size_t>(box.x) + x, static_cast<std::size_t>(box.y) + y);
          if (got != viridis(picture.scale.place(value))) ++wrong;
        }
      CHECK(pixels.at(static_cast<std::size_t>(box.x) - 1, static_cast<std::size_t>(box.y)) == kFaint);
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("an SVG has a rectangle for each run of equal cells, or one image of many") {
  Picture picture = picture_of(4, 6);
  picture.panels[0].cells.values.assign(24, 0.25);
  picture.panels[0].cells.values[8] = 1;  // cuts its row in three
  const std::string svg = draw(picture, FileKind::svg);
  CHECK(svg.starts_with("<?xml"));
  CHECK(svg.find("</svg>") != std::string::npos);
  const Colour quarter = viridis(0.25);
  const std::string fill = fmt::format("fill:rgb({:.6f}%,", quarter.red * 100 / 255.0);
  CHECK(occurrences(svg, fill) >= 5);
  CHECK(occurrences(svg, "<image") == 0);
  CHECK(occurrences(draw(picture_of(200, 200), FileKind::svg), "<image") == 1);
}

TEST_CASE("lines are as wide as their weights, and none is drawn for 0") {
  Picture picture = picture_of(3, 2);
  picture.style = Style::lines;
  picture.panels[0].cells.values = {0, 1, 0.5, 0.25, 0, 0};
  Recorder canvas;
  const Layout layout = lay_out(picture, canvas);
  draw_on(picture, layout, canvas);
  REQUIRE(canvas.lines.size() == 3 + 3);  // three weights, three widths of the legend
  const auto width = [&](double y, double to) {
    for (const Recorder::Line& line : canvas.lines)
      if (line.from.x == layout.panels[0].x && std::abs(line.from.y - y) < 1 && std::abs(line.to.y - to) < 1) return line.width;
    return 0.0;
  };
  const Box& box = layout.panels[0];
  const auto left = [&](int i) { return box.y + (i + 0.5) / 3 * box.height; };
  const auto right = [&](int j) { return box.y + (j + 0.5) / 2 * box.height; };
  CHECK(width(left(0), right(1)) == doctest::Approx(kThickestLine));
  CHECK(width(left(1), right(0)) == doctest::Approx(kThickestLine / 2));
  CHECK(width(left(1), right(1)) == doctest::Approx(kThickestLine / 4));
  // The widest is drawn last, on top.
  CHECK(canvas.lines[0].width < canvas.lines[1].width);
  CHECK(canvas.lines[1].width < canvas.lines[2].width);
}

TEST_CASE("an overview names its lines and columns once") {
  Picture picture = picture_of(16, 16, 6, 3);
  picture.style = Style::overview;
  picture.size = 48;
  picture.line_titles = {"layer 0", "layer 1"};
  picture.column_titles = {"a", "b", "c"};
  picture.column_axis = "head";
  Recorder canvas;
  const Layout layout = lay_out(picture, canvas);
  draw_on(picture, layout, canvas);
  for (const char* text : {"layer 0", "layer 1", "a", "b", "c", "head"}) CHECK(canvas.count(text) == 1);
  CHECK(canvas.panels.size() == 7);  // six heads and the colour bar
  CHECK(layout.panels[3].y > layout.panels[0].y);
  CHECK(layout.panels[3].x == layout.panels[0].x);
}

TEST_CASE("pictures beyond the largest are refused, and the same picture is the same bytes") {
  CHECK_THROWS_AS(static_cast<void>(draw_file(FileKind::png, 40000, 10, [](Canvas&) {})), Error);
  CHECK_THROWS_AS(static_cast<void>(draw_file(FileKind::png, 20000, 20000, [](Canvas&) {})), Error);
  CHECK_THROWS_AS(static_cast<void>(draw_file(FileKind::svg, std::nan(""), 20, [](Canvas&) {})), Error);
  CHECK(draw(picture_of(9, 9), FileKind::png) == draw(picture_of(9, 9), FileKind::png));
}

TEST_CASE("names of every kind can be drawn, with whatever fonts there are") {
  Picture picture = picture_of(6, 6);
  picture.rows.names = picture.columns.names = {"the",
                                                "",
                                                "\xE7\x8B\x90\xE7\x8B\xB8",
                                                "a very long name that goes on and on and on and on and on",
                                                "\xD9\x85\xD8\xB1\xD8\xAD\xD8\xA8\xD8\xA7",
                                                "\xF0\x9F\xA6\x8A"};
  for (const FileKind kind : {FileKind::png, FileKind::svg}) CHECK(draw(picture, kind).size() > 1000);
}

TEST_CASE("marks stand where their logarithms are, and what has none at the edge") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Scatter scatter{
      .title = "title",
      .remark = "remark",
      .x_title = "seconds",
      .y_title = "error",
      .marks = {{0.01, 1e-4, "low"}, {1, 1, "high"}, {0.1, 0.01, "middle"}, {0.1, 0, "exact"}, {nan, 1, "none"}}};
  Recorder canvas;
  draw_on(scatter, canvas);
  for (const char* text : {"title", "remark", "seconds", "error", "low", "high", "middle", "exact"})
    CHECK(canvas.count(text) == 1);
  CHECK(canvas.count("none") == 0);
  CHECK(canvas.lines.empty());
  const auto at = [&](const std::string& name) { return std::ranges::find(canvas.texts, name, &Recorder::Text::text)->at; };
  CHECK(at("middle").x == doctest::Approx((at("low").x + at("high").x) / 2));
  CHECK(at("middle").y == doctest::Approx((at("low").y + at("high").y) / 2));
  CHECK(at("exact").x == at("middle").x);
  CHECK(at("exact").y == doctest::Approx(at("low").y));
  CHECK(at("high").y < at("low").y);
  // A line has a name at its foot, and stands on the axis as marks do.
  Scatter lined = scatter;
  lined.line = 0.1;
  lined.line_name = "limit";
  Recorder with_line;
  draw_on(lined, with_line);
  const auto limit = std::ranges::find(with_line.texts, "limit", &Recorder::Text::text);
  REQUIRE(limit != with_line.texts.end());
  const auto middle = std::ranges::find(with_line.texts, "middle", &Recorder::Text::text);
  const auto remark = std::ranges::find(with_line.texts, "remark", &Recorder::Text::text);
  CHECK(limit->at.x == doctest::Approx(middle->at.x));  // as far beside it as names of marks are
  CHECK(limit->at.y > middle->at.y);
  CHECK(middle->at.y > remark->at.y);
  lined.line = 100;
  Recorder wider;
  draw_on(lined, wider);
  CHECK(std::ranges::find(wider.texts, "middle", &Recorder::Text::text)->at.x < middle->at.x);
  // Nothing to show is a picture of axes.
  Recorder empty;
  draw_on({}, empty);
  CHECK_FALSE(empty.texts.empty());
}

TEST_CASE("names of marks stand over no other name, mark or edge, however close the marks are") {
  struct Crowd {
    std::size_t marks;
    double spread;   ///< how far the largest coordinate is from the least, in decades
    bool all_named;  ///< there is room
  };
  for (const auto& [count, spread, all_named] :
       {Crowd{12, 0, true}, Crowd{24, 0.02, true}, Crowd{60, 0.3, true}, Crowd{40, 6, true}, Crowd{1500, 0.1, false}}) {
    CAPTURE(count);
    CAPTURE(spread);
    Scatter scatter{.title = "", .remark = "", .x_title = "", .y_title = "", .marks = {}, .line = 0.1, .line_name = "a limit"};
    for (std::size_t n = 0; n < count; ++n) {
      const auto place = [&](std::size_t step) {
        return spread * static_cast<double>(n * step % count) / static_cast<double>(count);
      };
      scatter.marks.push_back(
          {0.1 * std::pow(10, place(7)), 0.01 * std::pow(10, place(11)), fmt::format("method:{}", n * n * n)});
    }
    Recorder canvas;
    draw_on(scatter, canvas);
    std::vector<Box> boxes;
    for (const Recorder::Text& text : canvas.texts) {
      if (!text.text.starts_with("method:") && text.text != "a limit") continue;
      const double length = canvas.text_width(text.text, text.style.size);
      boxes.push_back(text.style.upright ? Box{text.at.x, text.at.y - length, text.style.size, length}
                                         : Box{text.at.x, text.at.y - text.style.size / 2, length, text.style.size});
    }
    if (all_named)
      CHECK(boxes.size() == count + 1);
    else
      CHECK(boxes.size() > 100);
    const auto is_mark = [](const auto& fill) { return fill.first.width == fill.first.height; };
    CHECK(std::ranges::count_if(canvas.fills, is_mark) == static_cast<std::ptrdiff_t>(count));
    std::size_t names = boxes.size();
    for (const auto& fill : canvas.fills)
      if (is_mark(fill)) boxes.push_back(fill.first);
    std::size_t met = 0;
    for (std::size_t i = 0; i < names; ++i) {
      const Box& a = boxes[i];
      if (!(a.x >= 0 && a.x + a.width <= kScatterWidth && a.y >= 0 && a.y + a.height <= kScatterHeight)) ++met;
      for (std::size_t j = i + 1; j < boxes.size(); ++j) {
        const Box& b = boxes[j];
        if (a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height) ++met;
      }
    }
    CHECK(met == 0);
    // A name that stands away from its mark has a line to it.
    if (spread == 0) CHECK_FALSE(canvas.lines.empty());
  }
}

}  // namespace attn::render

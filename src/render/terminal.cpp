// Pictures on a terminal.
#include "render/terminal.hpp"

#include "base/groups.hpp"
#include "render/colour.hpp"
#include "render/layout.hpp"
#include "render/text.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>

#include <fmt/format.h>

namespace attn::render {

namespace {

constexpr std::size_t kLongestColumnName = 16;
constexpr std::size_t kLargest = 4;        ///< columns of a cell at most
constexpr std::size_t kAroundPicture = 4;  ///< lines of titles and legend, and one for what is typed next
constexpr std::size_t kAroundPanel = 2;    ///< lines of a panel's title and of its column numbers
constexpr std::string_view kShades = " .:-=+*#%@";

/// Text with colours; the codes are written where a colour changes.
class Ink {
 public:
  explicit Ink(Depth depth) : depth_(depth) {}

  void write(std::string_view text) {
    plain();
    text_ += text;
  }
  /// One character in `front` on `back`.
  void write(std::string_view text, std::optional<Colour> front, Colour back) {
    if (front) change(front_, code(38, *front));
    change(back_, code(48, back));
    text_ += text;
  }
  /// A half block whose lower half stays as the terminal is.
  void write_upper(Colour front) {
    if (!back_.empty()) plain();
    change(front_, code(38, front));
    text_ += "\xE2\x96\x80";
  }
  void end_line() {
    plain();
    // Blanks at the end of a line say nothing.
    text_.erase(text_.find_last_not_of(' ') + 1);
    text_ += '\n';
  }
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  void plain() {
    if (!back_.empty() || !front_.empty()) text_ += "\033[0m";
    front_.clear();
    back_.clear();
  }
  void change(std::string& now, std::string wanted) {
    if (now == wanted) return;
    text_ += wanted;
    now = std::move(wanted);
  }
  [[nodiscard]] std::string code(int layer, Colour c) const {
    return depth_ == Depth::full ? fmt::format("\033[{};2;{};{};{}m", layer, c.red, c.green, c.blue)
                                 : fmt::format("\033[{};5;{}m", layer, xterm_colour(c));
  }

  Depth depth_;
  // The codes in force; empty is the terminal's own colour.
  std::string front_;
  std::string back_;
  std::string text_;
};

char shade(double place) {
  if (std::isnan(place)) return '?';
  if (!(place > 0)) return kShades.front();
  const auto steps = static_cast<double>(kShades.size() - 1);
  return kShades[1 + static_cast<std::size_t>(std::min(place * steps, steps - 1))];
}

class Drawing {
 public:
  Drawing(const Picture& picture, const TerminalPlan& plan, const Terminal& terminal)
      : picture_(picture), plan_(plan), terminal_(terminal), ink_(terminal.depth) {}

  std::string make() {
    for (const std::string& line : {picture_.title, picture_.remark}) {
      if (line.empty()) continue;
      ink_.write(fitted(line, std::min(columns_of(line), terminal_.columns), terminal_.unicode, false));
      ink_.end_line();
    }
    for (std::size_t first = 0; first < picture_.panels.size(); first += plan_.across)
      draw_panels(first, std::min(plan_.across, picture_.panels.size() - first));
    draw_legend();
    return ink_.take();
  }

 private:
  [[nodiscard]] std::size_t panel_width() const { return plan_.columns * plan_.cell_width; }
  /// Half lines of a panel, or lines.
  [[nodiscard]] std::size_t panel_height() const { return plan_.rows * plan_.cell_height; }

  void draw_panels(std::size_t first, std::size_t count) {
    const bool has_titles =
        std::any_of(picture_.panels.begin(), picture_.panels.end(), [](const Panel& p) { return !p.title.empty(); });
    if (has_titles) {
      for (std::size_t p = 0; p < count; ++p) {
        ink_.write(std::string(plan_.names + (p == 0 ? 0 : 1), ' '));
        ink_.write(fitted(picture_.panels[first + p].title, panel_width(), terminal_.unicode, false));
      }
      ink_.end_line();
    }
    const std::size_t step = terminal_.halves() ? 2 : 1;
    for (std::size_t y = 0; y < panel_height(); y += step) {
      for (std::size_t p = 0; p < count; ++p) {
        if (p > 0) ink_.write(" ");
        write_row_name(y, step);
        write_cells(picture_.panels[first + p].cells, y);
      }
      ink_.end_line();
    }
    for (std::size_t p = 0; p < count; ++p) {
      ink_.write(std::string(plan_.names + (p == 0 ? 0 : 1), ' '));
      ink_.write(column_names());
    }
    ink_.end_line();
  }

  /// Names where each row has a line; else now and then the number of the first row in the line.
  void write_row_name(std::size_t y, std::size_t step) {
    std::string name;
    const std::size_t cell = y / plan_.cell_height;
    const bool each_has_line = plan_.cell_height >= step && plan_.rows == picture_.rows.length;
    if (each_has_line) {
      if (y % plan_.cell_height == 0) name = name_of(picture_.rows, cell);
    } else if (y / step % 4 == 0) {
      name = std::to_string(first_of(cell, plan_.rows, picture_.rows.length));
    }
    ink_.write(fitted(name, plan_.names - 1, terminal_.unicode, true) + " ");
  }

  [[nodiscard]] std::string column_names() const {
    const std::size_t width = panel_width();
    const std::size_t length = picture_.columns.length;
    std::string first = name_of(picture_.columns, 0);
    std::string last = length > 1 ? name_of(picture_.columns, length - 1) : std::string();
    if (columns_of(first) + columns_of(last) + 1 > width) {
      first = "0";
      last = length > 1 ? std::to_string(length - 1) : std::string();
    }
    if (columns_of(first) + columns_of(last) + 1 > width) return fitted("", width, terminal_.unicode, false);
    return first + fitted(last, width - columns_of(first), terminal_.unicode, true);
  }

  void write_cells(const Grid& grid, std::size_t y) {
    for (std::size_t x = 0; x < panel_width(); ++x) {
      const std::size_t column = x / plan_.cell_width;
      const double upper = picture_.scale.place(grid.at(y / plan_.cell_height, column));
      if (terminal_.depth == Depth::characters) {
        ink_.write(std::string(1, shade(upper)));
      } else if (!terminal_.halves()) {
        ink_.write(" ", std::nullopt, viridis(upper));
      } else {
        write_halves(grid, y, column, viridis(upper));
      }
    }
  }

  void write_halves(const Grid& grid, std::size_t y, std::size_t column, Colour upper) {
    if (y + 1 >= panel_height()) return ink_.write_upper(upper);
    const Colour lower = viridis(picture_.scale.place(grid.at((y + 1) / plan_.cell_height, column)));
    if (lower == upper) return ink_.write(" ", std::nullopt, upper);
    ink_.write("\xE2\x96\x80", upper, lower);
  }

  void draw_legend() {
    constexpr std::size_t width = 20;
    ink_.write(fmt::format("{:.3g} ", picture_.scale.low));
    for (std::size_t i = 0; i < width; ++i) {
      const double place = (static_cast<double>(i) + 0.5) / width;
      if (terminal_.depth == Depth::characters)
        ink_.write(std::string(1, shade(place)));
      else
        ink_.write(" ", std::nullopt, viridis(place));
    }
    ink_.write(fmt::format(" {:.3g}", picture_.scale.high));
    if (picture_.scale.is_log) ink_.write(" (logarithmic)");
    if (!picture_.scale.title.empty()) ink_.write("  " + picture_.scale.title);
    if (picture_.scale.has_nan) {
      ink_.write("  ");
      if (terminal_.depth == Depth::characters)
        ink_.write("?");
      else
        ink_.write(" ", std::nullopt, kNoNumber);
      ink_.write(" NaN");
    }
    ink_.end_line();
  }

  const Picture& picture_;
  const TerminalPlan& plan_;
  const Terminal& terminal_;
  Ink ink_;
};

/// The plan for so many panels side by side; nullopt where not even one cell fits.
std::optional<TerminalPlan> plan_across(std::size_t across, std::size_t rows, std::size_t columns, std::size_t panels,
                                        std::size_t names, const Terminal& terminal) {
  const std::size_t taken = across * names + (across - 1);
  if (terminal.columns < taken + across) return std::nullopt;
  const std::size_t width = (terminal.columns - taken) / across;
  const std::size_t down = groups_of(panels, across);
  const std::size_t window = terminal.lines > kAroundPicture ? terminal.lines - kAroundPicture : 0;
  const std::size_t lines = std::max(window / down > kAroundPanel ? window / down - kAroundPanel : 0, kLeastLines);
  // A column is half as wide as a line is high; without halves a cell of one column and one line is twice as high as wide.
  const std::size_t height = terminal.halves() ? 2 * lines : lines;
  TerminalPlan plan{.across = across, .rows = std::min(rows, height), .columns = std::min(columns, width), .names = names};
  if (rows > height && columns > width) {
    const std::size_t side = std::min(width, 2 * lines);
    plan.columns = side;
    plan.rows = terminal.halves() ? side : std::max<std::size_t>(side / 2, 1);
  }
  const std::size_t unit = terminal.halves() ? 1 : 2;  // columns as wide as a cell's smallest height
  std::size_t factor = std::min({width / plan.columns / unit, height / plan.rows, kLargest / unit});
  // Whole lines for each row, so that it can be named.
  if (terminal.halves() && factor > 1) factor -= factor % 2;
  plan.cell_width = std::max<std::size_t>(factor * unit, 1);
  plan.cell_height = std::max<std::size_t>(factor, 1);
  if (terminal.halves() && plan.rows == 1) plan.cell_height = std::max<std::size_t>(plan.cell_height, 2);
  return plan;
}

}  // namespace

TerminalPlan plan_terminal(std::size_t rows, std::size_t columns, std::size_t panels, std::size_t longest_name,
                           const Terminal& terminal) {
  const std::size_t number = std::to_string(rows - 1).size();
  const std::size_t names = std::max(std::min(longest_name, kLongestColumnName), number) + 1;
  TerminalPlan best{.rows = 1, .columns = 1, .names = names};
  std::size_t most = 0;
  for (std::size_t across = 1; across <= panels; ++across) {
    const auto plan = plan_across(across, rows, columns, panels, names, terminal);
    if (!plan) break;
    // More cells are better, then larger ones, then fewer lines.
    const std::size_t worth = plan->rows * plan->columns * 64 + plan->cell_width * plan->cell_height;
    if (worth < most) continue;
    most = worth;
    best = *plan;
  }
  return best;
}

std::string draw(const Picture& picture, const TerminalPlan& plan, const Terminal& terminal) {
  return Drawing(picture, plan, terminal).make();
}

}  // namespace attn::render

// Masks drawn as text: one character a key where they fit, shades of what is visible where they do not.
#include "analysis/mask_picture.hpp"

#include "base/counted.hpp"
#include "base/groups.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include <fmt/format.h>

namespace attn::analysis {

namespace {

/// Visible pairs of each cell of a grid laid over one matrix.
struct CellGrid {
  std::size_t lines = 0;
  std::size_t columns = 0;
  std::vector<std::uint64_t> visible;
  std::vector<std::uint64_t> pairs;
};

/// Cell k of n cells over `total` things begins here: cells differ by at most one in size.
std::size_t cell_begin(std::size_t k, std::size_t n, std::size_t total) { return k * total / n; }

CellGrid pool(const MaskRows& mask, std::size_t b, std::size_t h, std::size_t lines, std::size_t columns) {
  const MaskSize size = mask.size();
  CellGrid grid{.lines = lines,
                .columns = columns,
                .visible = std::vector<std::uint64_t>(lines * columns),
                .pairs = std::vector<std::uint64_t>(lines * columns)};
  const std::unique_ptr<bool[]> memory(new bool[size.keys + 1]);  // NOLINT(modernize-avoid-c-arrays)
  const std::span<bool> keys(memory.get(), size.keys);
  for (std::size_t line = 0; line < lines; ++line) {
    for (std::size_t i = cell_begin(line, lines, size.queries); i < cell_begin(line + 1, lines, size.queries); ++i) {
      mask.row(b, h, i, keys);
      for (std::size_t c = 0; c < columns; ++c) {
        const std::size_t begin = cell_begin(c, columns, size.keys);
        const std::size_t end = cell_begin(c + 1, columns, size.keys);
        const auto cell = keys.subspan(begin, end - begin);
        grid.visible[line * columns + c] += static_cast<std::uint64_t>(std::ranges::count(cell, true));
        grid.pairs[line * columns + c] += end - begin;
      }
    }
  }
  return grid;
}

/// How a matrix is laid out on the screen.
struct Layout {
  std::size_t cell_lines = 0;
  std::size_t cell_columns = 0;
  enum class Style { wide, half, shades } style = Style::shades;
};

Layout layout_of(const MaskSize& size, const PictureOptions& o) {
  if (size.keys * 2 <= o.width && size.queries <= o.lines) return {size.queries, size.keys, Layout::Style::wide};
  if (o.unicode && size.keys + 2 <= o.width && size.queries <= 2 * o.lines) return {size.queries, size.keys, Layout::Style::half};
  const std::size_t columns = std::max<std::size_t>(1, std::min(size.keys, o.width > 2 ? o.width - 2 : 1));
  // A character is about twice as high as it is wide.
  const std::size_t square = (size.queries * columns + 2 * size.keys - 1) / (2 * size.keys);
  return {std::clamp<std::size_t>(square, 1, std::min(o.lines, size.queries)), columns, Layout::Style::shades};
}

std::string wide(const CellGrid& grid, bool unicode) {
  std::string text;
  for (std::size_t line = 0; line < grid.lines; ++line) {
    for (std::size_t c = 0; c < grid.columns; ++c) {
      const bool seen = grid.visible[line * grid.columns + c] > 0;
      text += unicode ? (seen ? "██" : "· ") : (seen ? "x " : ". ");
    }
    if (text.ends_with(' ')) text.pop_back();
    text += "\n";
  }
  return text;
}

std::string half(const CellGrid& grid) {
  std::string text;
  for (std::size_t line = 0; line < grid.lines; line += 2) {
    text += "│";
    for (std::size_t c = 0; c < grid.columns; ++c) {
      const bool upper = grid.visible[line * grid.columns + c] > 0;
      const bool lower = line + 1 < grid.lines && grid.visible[(line + 1) * grid.columns + c] > 0;
      text += upper ? (lower ? "█" : "▀") : (lower ? "▄" : " ");
    }
    text += "│\n";
  }
  return text;
}

std::string shades(const CellGrid& grid, bool unicode) {
  constexpr std::array<const char*, 5> blocks{" ", "░", "▒", "▓", "█"};
  constexpr std::array<const char*, 5> ascii{" ", ".", ":", "o", "#"};
  const auto& ramp = unicode ? blocks : ascii;
  const char* edge = unicode ? "│" : "|";
  std::string text;
  for (std::size_t line = 0; line < grid.lines; ++line) {
    text += edge;
    for (std::size_t c = 0; c < grid.columns; ++c) {
      const std::uint64_t visible = grid.visible[line * grid.columns + c];
      const std::uint64_t pairs = grid.pairs[line * grid.columns + c];
      const std::size_t shade = visible == 0 ? 0 : visible == pairs ? 4 : 1 + static_cast<std::size_t>(3 * visible / pairs);
      text += ramp[shade];
    }
    text += edge;
    text += "\n";
  }
  return text;
}

}  // namespace

std::string draw_mask(const MaskRows& mask, const PictureOptions& options) {
  const MaskSize size = mask.size();
  if (size.queries == 0 || size.keys == 0)
    return fmt::format("nothing to draw: {}, {}\n", counted(size.queries, "query", "queries"), counted(size.keys, "key", "keys"));
  const Layout layout = layout_of(size, options);
  const std::size_t drawn = std::min(size.matrices(), options.matrices);
  std::string text;
  for (std::size_t m = 0; m < drawn; ++m) {
    const std::size_t b = m / size.heads;
    const std::size_t h = m % size.heads;
    if (size.matrices() > 1) text += fmt::format("{}batch {}, head {}\n", m == 0 ? "" : "\n", b, h);
    const CellGrid grid = pool(mask, b, h, layout.cell_lines, layout.cell_columns);
    text += layout.style == Layout::Style::wide   ? wide(grid, options.unicode)
            : layout.style == Layout::Style::half ? half(grid)
                                                  : shades(grid, options.unicode);
  }
  if (drawn < size.matrices())
    text += fmt::format("({} more like these)\n", counted(size.matrices() - drawn, "matrix", "matrices"));
  text += fmt::format("rows: {}, columns: {}", counted(size.queries, "query", "queries"), counted(size.keys, "key", "keys"));
  if (layout.style == Layout::Style::shades)
    text += fmt::format("; a character stands for about {} x {}", groups_of(size.queries, layout.cell_lines),
                        groups_of(size.keys, layout.cell_columns));
  return text + "\n";
}

}  // namespace attn::analysis

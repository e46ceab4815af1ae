// What a picture shows, before anything is drawn: matrices of numbers, names along their sides, a scale. It knows nothing of
// attention.
#pragma once

#include "render/scale.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace attn::render {

/// Numbers of one matrix, row-major; NaN where there is none.
struct Grid {
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::vector<double> values;

  [[nodiscard]] double at(std::size_t row, std::size_t column) const noexcept { return values[row * columns + column]; }
};

/// What lies along one side of a matrix: `length` things, of which each cell pools equally many, as nearly as whole numbers can.
struct Axis {
  std::string title;
  std::size_t length = 0;
  std::vector<std::string> names;  ///< of each thing, or empty: they are counted from 0
};

/// Cell c of `cells` along an axis holds the things [first_of(c), first_of(c + 1)).
[[nodiscard]] constexpr std::size_t first_of(std::size_t cell, std::size_t cells, std::size_t length) noexcept {
  // cell * length / cells without its overflow: cell * (length % cells) is below cells^2.
  return cell * (length / cells) + cell * (length % cells) / cells;
}

struct Panel {
  std::string title;
  Grid cells;
};

/// How a picture is laid out.
enum class Style {
  heat_map,  ///< panels with axes and names
  overview,  ///< many small panels: titles on the left and above, no axes
  lines,     ///< rows on the left, columns on the right, a line for each cell
};

struct Picture {
  std::string title;
  std::string remark;  ///< a second, smaller line; may be empty
  Style style = Style::heat_map;
  std::vector<Panel> panels;
  std::size_t across = 1;  ///< panels side by side
  Axis rows;
  Axis columns;
  Scale scale;
  std::size_t size = 800;  ///< the longer side of a panel in pixels
  /// Of an overview: what stands left of each line of panels and above each column of them.
  std::vector<std::string> line_titles;
  std::vector<std::string> column_titles;
  std::string line_axis;    ///< what the lines of panels are
  std::string column_axis;  ///< what the columns of panels are
};

}  // namespace attn::render

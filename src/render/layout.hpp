// Where everything stands in a picture: pixels from the upper left corner, before anything is drawn.
#pragma once

#include "render/canvas.hpp"
#include "render/picture.hpp"

#include <vector>

namespace attn::render {

/// How the things along one side of a panel are named.
struct Naming {
  enum class Kind {
    nothing,
    names,    ///< each by its name, or its number where it has none
    numbers,  ///< some of them by their numbers
  };
  Kind kind = Kind::nothing;
  bool upright = false;  ///< names of columns that stand closer than they are long
  double text_size = 11;
  double room = 0;                      ///< pixels that the texts may take, along their line
  std::vector<std::size_t> ticks = {};  ///< of numbers: which
};

struct Layout {
  double width = 0;
  double height = 0;
  std::vector<Box> panels;  ///< the cells (of lines: the space between the names) of each panel
  Naming rows;
  Naming columns;
  Point title;
  Point remark;
  double text_room = 0;    ///< of title and remark
  double panel_title = 0;  ///< pixels above a panel's cells that its title takes
  Box bar;                 ///< the colour bar
  double bar_text = 0;     ///< pixels right of it for its numbers
};

/// Pixels of one cell. A square, unless a side would then be shorter than a quarter of `size`: cells of up to kLargestCell pixels
/// are stretched for it.
struct CellSize {
  double width = 1;
  double height = 1;
};
inline constexpr std::size_t kLargestCell = 48;
[[nodiscard]] CellSize cell_size(std::size_t rows, std::size_t columns, std::size_t size) noexcept;

/// `measure` knows how long texts are. All panels of a picture have the same number of cells, at least one.
[[nodiscard]] Layout lay_out(const Picture& picture, Canvas& measure);

/// The name of one thing along an axis, or its number.
[[nodiscard]] std::string name_of(const Axis& axis, std::size_t index);

inline constexpr double kMargin = 16;
inline constexpr double kNameGap = 6;     ///< between names and cells
inline constexpr double kAxisTitle = 18;  ///< what an axis' title takes
inline constexpr double kTitleText = 15;
inline constexpr double kSmallText = 11;
inline constexpr double kLongestName = 150;
inline constexpr double kBarWidth = 14;
inline constexpr double kThinnestLine = 0.05;  ///< thinner ones are not drawn
inline constexpr double kThickestLine = 7;     ///< pixels of the line of the largest weight

}  // namespace attn::render

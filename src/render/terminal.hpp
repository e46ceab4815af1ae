// Pictures on a terminal: blocks of colour, two cells in a character where it can, or characters from light to dark.
#pragma once

#include "render/picture.hpp"

#include <cstddef>
#include <string>

namespace attn::render {

/// What a terminal can show.
enum class Depth {
  characters,  ///< no colour
  palette,     ///< 256 colours
  full,        ///< 24 bits
};

struct Terminal {
  std::size_t columns = 80;
  std::size_t lines = 24;
  Depth depth = Depth::characters;
  bool unicode = false;

  /// An upper half block shows two cells: one in its own colour, one in that of the ground.
  [[nodiscard]] bool halves() const noexcept { return unicode && depth != Depth::characters; }
};

/// Where the cells of the panels go. All panels have the same number of cells.
struct TerminalPlan {
  std::size_t across = 1;  ///< panels side by side
  std::size_t rows = 0;    ///< cells of a panel
  std::size_t columns = 0;
  std::size_t cell_width = 1;   ///< columns of a cell
  std::size_t cell_height = 1;  ///< lines of a cell, or half lines where the terminal has those
  std::size_t names = 0;        ///< columns left of a panel for names or numbers of its rows
};

/// The most cells that fit into the window, in columns and, as long as a panel keeps kLeastLines, in lines. `longest_name` is the
/// longest of the rows' names in columns, 0 where they have none.
[[nodiscard]] TerminalPlan plan_terminal(std::size_t rows, std::size_t columns, std::size_t panels, std::size_t longest_name,
                                         const Terminal& terminal);
inline constexpr std::size_t kLeastLines = 8;

/// Lines that end in '\n'. The picture has the cells that were planned.
[[nodiscard]] std::string draw(const Picture& picture, const TerminalPlan& plan, const Terminal& terminal);

}  // namespace attn::render

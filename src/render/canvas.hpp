// What pictures are drawn on: a surface of pixels that takes rectangles, cells, lines and text.
#pragma once

#include "render/colour.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace attn::render {

/// Pixels from the upper left corner.
struct Point {
  double x = 0;
  double y = 0;
};
struct Box {
  double x = 0;
  double y = 0;
  double width = 0;
  double height = 0;
};

/// Where a text stands in relation to its point.
enum class Side { begin, middle, end };

struct TextStyle {
  double size = 11;  ///< pixels of an em
  Colour colour = kInk;
  Side across = Side::begin;  ///< along the line
  Side along = Side::middle;  ///< up and down
  bool upright = false;       ///< turned by a quarter, to be read from below
  double room = 0;            ///< what is longer is cut and ends in an ellipsis; 0: as long as it is
  bool bold = false;
};

class Canvas {
 public:
  Canvas() = default;
  Canvas(const Canvas&) = delete;
  Canvas& operator=(const Canvas&) = delete;
  virtual ~Canvas() = default;

  virtual void fill(const Box& box, Colour colour) = 0;
  /// `colours` are rows * columns equal cells that fill the box, row-major, with hard edges.
  virtual void cells(const Box& box, std::size_t rows, std::size_t columns, std::span<const Colour> colours) = 0;
  /// `opacity` is 0 to 1.
  virtual void line(Point from, Point to, double width, Colour colour, double opacity) = 0;
  /// Valid UTF-8 in one line.
  virtual void text(Point at, std::string_view text, const TextStyle& style) = 0;
  [[nodiscard]] virtual double text_width(std::string_view text, double size) = 0;
};

}  // namespace attn::render

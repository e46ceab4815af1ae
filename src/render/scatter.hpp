// Named points in a plane with logarithmic axes, as PNG and SVG.
#pragma once

#include "render/cairo_canvas.hpp"

#include <string>
#include <vector>

namespace attn::render {

struct Mark {
  double x = 0;
  double y = 0;
  std::string name;
};

/// Marks of which a coordinate is no number, or infinite, are left out; those at 0 or below stand at the edge. Names stand beside
/// their marks, right of them where there is room, and never over one another: those further away have a line to their mark.
/// Where hundreds of marks leave no room for a name, it is left out.
struct Scatter {
  std::string title;
  std::string remark;
  std::string x_title;
  std::string y_title;
  std::vector<Mark> marks;
  double line = 0;             ///< where a line stands from top to bottom, as long as it is above 0
  std::string line_name = {};  ///< beside it, at the top
};

/// The bytes of a file that shows them. Throws what draw_file() throws.
[[nodiscard]] std::string draw(const Scatter& scatter, FileKind kind);

/// The same on any canvas, of kScatterWidth x kScatterHeight pixels.
void draw_on(const Scatter& scatter, Canvas& canvas);

inline constexpr double kScatterWidth = 760;
inline constexpr double kScatterHeight = 500;

}  // namespace attn::render

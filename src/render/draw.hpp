// Draws pictures into PNG and SVG files.
#pragma once

#include "render/cairo_canvas.hpp"
#include "render/layout.hpp"
#include "render/picture.hpp"

#include <string>

namespace attn::render {

/// The bytes of a file that shows the picture. Throws what draw_file() throws.
[[nodiscard]] std::string draw(const Picture& picture, FileKind kind);

/// The same on any canvas.
void draw_on(const Picture& picture, const Layout& layout, Canvas& canvas);

}  // namespace attn::render

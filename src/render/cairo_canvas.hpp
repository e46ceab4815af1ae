// PNG and SVG files, drawn by cairo; text is laid out by Pango, which finds a font for every script that some font has.
#pragma once

#include "render/canvas.hpp"

#include <functional>
#include <memory>
#include <string>

namespace attn::render {

enum class FileKind { png, svg };

/// The longest side of a picture: what cairo's image surfaces can have.
inline constexpr double kLongestSide = 32767;
/// The most pixels of a picture: 256 MiB of memory.
inline constexpr double kMostPixels = 0x1p26;

/// Measures text before the size of a picture is known. Draws nothing.
[[nodiscard]] std::unique_ptr<Canvas> measuring_canvas();

/// Some font has digits. Where none is installed pictures are drawn without text.
[[nodiscard]] bool has_font();

/// Draws a picture of width x height pixels and returns the bytes of the file. The same picture,
/// fonts and versions of the libraries give the same bytes (an SVG's names of parts count what the process has drawn). Throws
/// Error(usage) for more pixels than kMostPixels, Error(io) when cairo cannot be loaded, Error(memory) when it finds none.
[[nodiscard]] std::string draw_file(FileKind kind, double width, double height, const std::function<void(Canvas&)>& draw);

}  // namespace attn::render

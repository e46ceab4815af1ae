// PNG and SVG files, drawn by cairo; text is laid out by Pango.
#include "render/cairo_canvas.hpp"

#include "render/cairo_library.hpp"

#include <attn/error.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include <fmt/format.h>

namespace attn::render {

namespace {

/// Above this many cells an SVG file holds an image of them instead of rectangles.
constexpr std::size_t kMostRectangles = 16384;

void check(cairo_status_t status) {
  if (status == CAIRO_STATUS_SUCCESS) return;
  const char* reason = CairoLibrary::get().cairo_status_to_string(status);
  throw Error(status == CAIRO_STATUS_NO_MEMORY ? Status::memory : Status::defect, fmt::format("cairo: {}", reason));
}

/// cairo hands out its bytes here. It is C: nothing may be thrown through it.
cairo_status_t append_bytes(void* to, const unsigned char* bytes, unsigned int count) noexcept {
  try {
    static_cast<std::string*>(to)->append(reinterpret_cast<const char*>(bytes), count);
    return CAIRO_STATUS_SUCCESS;
  } catch (...) {
    return CAIRO_STATUS_NO_MEMORY;
  }
}

struct DestroySurface {
  void operator()(cairo_surface_t* surface) const { CairoLibrary::get().cairo_surface_destroy(surface); }
};
using Surface = std::unique_ptr<cairo_surface_t, DestroySurface>;

struct DestroyContext {
  void operator()(cairo_t* context) const { CairoLibrary::get().cairo_destroy(context); }
};
using Context = std::unique_ptr<cairo_t, DestroyContext>;

struct DestroyLayout {
  void operator()(PangoLayout* layout) const { CairoLibrary::get().g_object_unref(layout); }
};
using TextLayout = std::unique_ptr<PangoLayout, DestroyLayout>;

class CairoCanvas : public Canvas {
 public:
  CairoCanvas(cairo_surface_t* surface, bool is_vector)
      : c_(CairoLibrary::get()), context_(c_.cairo_create(surface)), is_vector_(is_vector) {
    check(c_.cairo_status(context_.get()));
    // The edges of cells and frames lie between pixels.
    c_.cairo_set_antialias(context_.get(), CAIRO_ANTIALIAS_NONE);
    has_font_ = c_.pango_layout_get_unknown_glyphs_count(lay_out("0", 11, false).get()) == 0;
  }

  /// Else text takes no room and is not drawn: without a font all of it would be empty boxes.
  [[nodiscard]] bool has_font() const noexcept { return has_font_; }

  void fill(const Box& box, Colour colour) override {
    set_colour(colour, 1);
    c_.cairo_rectangle(context_.get(), box.x, box.y, box.width, box.height);
    c_.cairo_fill(context_.get());
  }

  void cells(const Box& box, std::size_t rows, std::size_t columns, std::span<const Colour> colours) override {
    if (rows == 0 || columns == 0) return;
    if (is_vector_ && rows * columns <= kMostRectangles) return rectangles(box, rows, columns, colours);
    image(box, rows, columns, colours);
  }

  void line(Point from, Point to, double width, Colour colour, double opacity) override {
    c_.cairo_set_antialias(context_.get(), CAIRO_ANTIALIAS_GOOD);
    set_colour(colour, opacity);
    c_.cairo_set_line_width(context_.get(), width);
    c_.cairo_move_to(context_.get(), from.x, from.y);
    c_.cairo_line_to(context_.get(), to.x, to.y);
    c_.cairo_stroke(context_.get());
    c_.cairo_set_antialias(context_.get(), CAIRO_ANTIALIAS_NONE);
  }

  void text(Point at, std::string_view text, const TextStyle& style) override {
    if (text.empty() || !has_font_) return;
    const TextLayout layout = lay_out(text, style.size, style.bold);
    if (style.room > 0) {
      c_.pango_layout_set_width(layout.get(), static_cast<int>(style.room * PANGO_SCALE));
      c_.pango_layout_set_ellipsize(layout.get(), PANGO_ELLIPSIZE_END);
    }
    const Point size = size_of(layout.get(), style.room);
    const auto shift = [](Side side, double length) {
      return side == Side::begin ? 0.0 : side == Side::middle ? -length / 2 : -length;
    };
    c_.cairo_save(context_.get());
    c_.cairo_set_antialias(context_.get(), CAIRO_ANTIALIAS_GOOD);
    set_colour(style.colour, 1);
    c_.cairo_translate(context_.get(), at.x, at.y);
    if (style.upright) c_.cairo_rotate(context_.get(), -std::acos(-1.0) / 2);
    c_.cairo_translate(context_.get(), shift(style.across, size.x), shift(style.along, size.y));
    c_.cairo_move_to(context_.get(), 0, 0);
    c_.pango_cairo_show_layout(context_.get(), layout.get());
    c_.cairo_restore(context_.get());
  }

  double text_width(std::string_view text, double size) override {
    if (text.empty() || !has_font_) return 0;
    const TextLayout layout = lay_out(text, size, false);
    return size_of(layout.get(), 0).x;
  }

  void finish() const { check(c_.cairo_status(context_.get())); }

 private:
  void set_colour(Colour colour, double opacity) {
    c_.cairo_set_source_rgba(context_.get(), colour.red / 255.0, colour.green / 255.0, colour.blue / 255.0, opacity);
  }

  TextLayout lay_out(std::string_view text, double size, bool bold) {
    TextLayout layout(c_.pango_cairo_create_layout(context_.get()));
    PangoFontDescription* font = c_.pango_font_description_new();
    c_.pango_font_description_set_family(font, "sans-serif");
    c_.pango_font_description_set_absolute_size(font, size * PANGO_SCALE);
    if (bold) c_.pango_font_description_set_weight(font, PANGO_WEIGHT_BOLD);
    c_.pango_layout_set_font_description(layout.get(), font);
    c_.pango_font_description_free(font);
    c_.pango_layout_set_single_paragraph_mode(layout.get(), TRUE);
    c_.pango_layout_set_text(layout.get(), text.data(), static_cast<int>(std::min<std::size_t>(text.size(), 1U << 20U)));
    return layout;
  }

  /// Of text that was given less room than it needs, the room.
  Point size_of(PangoLayout* layout, double room) {
    int width = 0;
    int height = 0;
    c_.pango_layout_get_size(layout, &width, &height);
    const Point size{static_cast<double>(width) / PANGO_SCALE, static_cast<double>(height) / PANGO_SCALE};
    return {room > 0 ? std::min(size.x, room) : size.x, size.y};
  }

  /// Neighbours of one colour in a row are one rectangle. Each reaches under the next ones: where a viewer's pixels do not fall
  /// on the edges, the paper would show between them.
  void rectangles(const Box& box, std::size_t rows, std::size_t columns, std::span<const Colour> colours) {
    const double width = box.width / static_cast<double>(columns);
    const double height = box.height / static_cast<double>(rows);
    for (std::size_t r = 0; r < rows; ++r) {
      const std::span<const Colour> row = colours.subspan(r * columns, columns);
      for (std::size_t begin = 0; begin < columns;) {
        std::size_t end = begin + 1;
        while (end < columns && row[end] == row[begin]) ++end;
        const std::size_t below = std::min(r + 2, rows);
        const std::size_t beside = std::min(end + 1, columns);
        fill({box.x + width * static_cast<double>(begin), box.y + height * static_cast<double>(r),
              width * static_cast<double>(beside - begin), height * static_cast<double>(below - r)},
             row[begin]);
        begin = end;
      }
    }
  }

  /// Each cell becomes as many pixels as it covers: no viewer has to guess how to enlarge it.
  void image(const Box& box, std::size_t rows, std::size_t columns, std::span<const Colour> colours) {
    const auto width = static_cast<std::size_t>(std::lround(box.width));
    const auto height = static_cast<std::size_t>(std::lround(box.height));
    std::vector<std::uint32_t> pixels(width * height);
    for (std::size_t y = 0; y < height; ++y) {
      const std::span<const Colour> row = colours.subspan(y * rows / height * columns, columns);
      for (std::size_t x = 0; x < width; ++x) {
        const Colour& colour = row[x * columns / width];
        pixels[y * width + x] = static_cast<std::uint32_t>(colour.red) << 16U | static_cast<std::uint32_t>(colour.green) << 8U |
                                static_cast<std::uint32_t>(colour.blue);
      }
    }
    const Surface surface(c_.cairo_image_surface_create_for_data(reinterpret_cast<unsigned char*>(pixels.data()),
                                                                 CAIRO_FORMAT_RGB24, static_cast<int>(width),
                                                                 static_cast<int>(height), static_cast<int>(width * 4)));
    check(c_.cairo_surface_status(surface.get()));
    c_.cairo_set_source_surface(context_.get(), surface.get(), box.x, box.y);
    c_.cairo_pattern_set_filter(c_.cairo_get_source(context_.get()), CAIRO_FILTER_NEAREST);
    c_.cairo_rectangle(context_.get(), box.x, box.y, box.width, box.height);
    c_.cairo_fill(context_.get());
    // An SVG surface reads the pixels when it is finished; they must not be asked for by then.
    check(c_.cairo_status(context_.get()));
    c_.cairo_surface_finish(surface.get());
  }

  const CairoLibrary& c_;
  Context context_;
  bool is_vector_;
  bool has_font_ = false;
};

/// A canvas together with its surface.
class MeasuringCanvas : public CairoCanvas {
 public:
  explicit MeasuringCanvas(Surface surface) : CairoCanvas(surface.get(), false), surface_(std::move(surface)) {}

 private:
  Surface surface_;
};

}  // namespace

namespace {

std::unique_ptr<CairoCanvas> smallest_canvas() {
  Surface surface(CairoLibrary::get().cairo_image_surface_create(CAIRO_FORMAT_RGB24, 1, 1));
  return std::make_unique<MeasuringCanvas>(std::move(surface));
}

}  // namespace

std::unique_ptr<Canvas> measuring_canvas() { return smallest_canvas(); }

bool has_font() { return smallest_canvas()->has_font(); }

std::string draw_file(FileKind kind, double width, double height, const std::function<void(Canvas&)>& draw) {
  if (!(width <= kLongestSide && height <= kLongestSide && width * height <= kMostPixels))
    throw Error(Status::usage,
                fmt::format("a picture of {:.0f} x {:.0f} pixels is too large (at most {:.0f} on a side, {:.0f} in all)", width,
                            height, kLongestSide, kMostPixels),
                "ask for fewer heads or smaller panels");
  const CairoLibrary& c = CairoLibrary::get();
  std::string bytes;
  const bool is_svg = kind == FileKind::svg;
  const Surface surface(is_svg ? c.cairo_svg_surface_create_for_stream(append_bytes, &bytes, width, height)
                               : c.cairo_image_surface_create(CAIRO_FORMAT_RGB24, static_cast<int>(std::ceil(width)),
                                                              static_cast<int>(std::ceil(height))));
  check(c.cairo_surface_status(surface.get()));
  {
    CairoCanvas canvas(surface.get(), is_svg);
    canvas.fill({0, 0, width, height}, kWhite);
    draw(canvas);
    canvas.finish();
  }
  if (is_svg) {
    c.cairo_surface_finish(surface.get());
    check(c.cairo_surface_status(surface.get()));
  } else {
    check(c.cairo_surface_write_to_png_stream(surface.get(), append_bytes, &bytes));
  }
  return bytes;
}

}  // namespace attn::render

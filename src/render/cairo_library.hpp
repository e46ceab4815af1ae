// cairo and Pango, loaded when the first picture needs them: programs that draw nothing do not pay for their start, nor need
// them.
#pragma once

#include <cairo-svg.h>
#include <pango/pangocairo.h>

namespace attn::render {

/// The functions of the loaded libraries that attn calls, each with its own type.
class CairoLibrary {
 public:
  /// Loads the libraries at the first call. Throws Error(io) when they are not there.
  static const CairoLibrary& get();

// NOLINTNEXTLINE(cppcoreguidelines-macro-usage,bugprone-macro-parentheses): a member's name and type come from one name.
#define ATTN_MEMBER(name) decltype(&::name) name = nullptr
  ATTN_MEMBER(cairo_create);
  ATTN_MEMBER(cairo_destroy);
  ATTN_MEMBER(cairo_fill);
  ATTN_MEMBER(cairo_get_source);
  ATTN_MEMBER(cairo_image_surface_create);
  ATTN_MEMBER(cairo_image_surface_create_for_data);
  ATTN_MEMBER(cairo_line_to);
  ATTN_MEMBER(cairo_move_to);
  ATTN_MEMBER(cairo_pattern_set_filter);
  ATTN_MEMBER(cairo_rectangle);
  ATTN_MEMBER(cairo_restore);
  ATTN_MEMBER(cairo_rotate);
  ATTN_MEMBER(cairo_save);
  ATTN_MEMBER(cairo_set_antialias);
  ATTN_MEMBER(cairo_set_line_width);
  ATTN_MEMBER(cairo_set_source_rgba);
  ATTN_MEMBER(cairo_set_source_surface);
  ATTN_MEMBER(cairo_status);
  ATTN_MEMBER(cairo_status_to_string);
  ATTN_MEMBER(cairo_stroke);
  ATTN_MEMBER(cairo_surface_destroy);
  ATTN_MEMBER(cairo_surface_finish);
  ATTN_MEMBER(cairo_surface_status);
  ATTN_MEMBER(cairo_surface_write_to_png_stream);
  ATTN_MEMBER(cairo_svg_surface_create_for_stream);
  ATTN_MEMBER(cairo_translate);
  ATTN_MEMBER(pango_cairo_create_layout);
  ATTN_MEMBER(pango_cairo_show_layout);
  ATTN_MEMBER(pango_font_description_free);
  ATTN_MEMBER(pango_font_description_new);
  ATTN_MEMBER(pango_font_description_set_absolute_size);
  ATTN_MEMBER(pango_font_description_set_family);
  ATTN_MEMBER(pango_font_description_set_weight);
  ATTN_MEMBER(pango_layout_get_size);
  ATTN_MEMBER(pango_layout_get_unknown_glyphs_count);
  ATTN_MEMBER(pango_layout_set_ellipsize);
  ATTN_MEMBER(pango_layout_set_font_description);
  ATTN_MEMBER(pango_layout_set_single_paragraph_mode);
  ATTN_MEMBER(pango_layout_set_text);
  ATTN_MEMBER(pango_layout_set_width);
  ATTN_MEMBER(g_log_set_default_handler);
  ATTN_MEMBER(g_object_unref);
#undef ATTN_MEMBER

 private:
  CairoLibrary();
};

}  // namespace attn::render

// cairo and Pango, loaded when the first picture needs them.
#include "render/cairo_library.hpp"

#include <attn/error.hpp>

#include <dlfcn.h>
#include <fmt/format.h>

namespace attn::render {

namespace {

[[noreturn]] void no_library() {
  const char* reason = ::dlerror();
  throw Error(Status::io,
              fmt::format("cairo and Pango, which draw pictures, cannot be loaded: {}", reason == nullptr ? "" : reason),
              "on Debian: apt-get install libpangocairo-1.0-0; --to ansi draws with characters and needs neither");
}

template <class F>
void find(void* library, const char* name, F& function) {
  // Also finds what the libraries that this one needs have: cairo itself, GObject, GLib.
  void* found = ::dlsym(library, name);
  if (found == nullptr) no_library();
  function = reinterpret_cast<F>(found);
}

/// What a font that lacks something is told about is no message of attn's.
void keep_quiet(const gchar* /*domain*/, GLogLevelFlags /*level*/, const gchar* /*message*/, gpointer /*data*/) {}

}  // namespace

const CairoLibrary& CairoLibrary::get() {
  static const CairoLibrary library;
  return library;
}

CairoLibrary::CairoLibrary() {
  // Never closed: GLib's types live until the program ends.
  void* library = ::dlopen(ATTN_PANGOCAIRO, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) no_library();
// NOLINTNEXTLINE(cppcoreguidelines-macro-usage): the name is needed as text, too.
#define ATTN_FIND(name) find(library, #name, name)
  ATTN_FIND(cairo_create);
  ATTN_FIND(cairo_destroy);
  ATTN_FIND(cairo_fill);
  ATTN_FIND(cairo_get_source);
  ATTN_FIND(cairo_image_surface_create);
  ATTN_FIND(cairo_image_surface_create_for_data);
  ATTN_FIND(cairo_line_to);
  ATTN_FIND(cairo_move_to);
  ATTN_FIND(cairo_pattern_set_filter);
  ATTN_FIND(cairo_rectangle);
  ATTN_FIND(cairo_restore);
  ATTN_FIND(cairo_rotate);
  ATTN_FIND(cairo_save);
  ATTN_FIND(cairo_set_antialias);
  ATTN_FIND(cairo_set_line_width);
  ATTN_FIND(cairo_set_source_rgba);
  ATTN_FIND(cairo_set_source_surface);
  ATTN_FIND(cairo_status);
  ATTN_FIND(cairo_status_to_string);
  ATTN_FIND(cairo_stroke);
  ATTN_FIND(cairo_surface_destroy);
  ATTN_FIND(cairo_surface_finish);
  ATTN_FIND(cairo_surface_status);
  ATTN_FIND(cairo_surface_write_to_png_stream);
  ATTN_FIND(cairo_svg_surface_create_for_stream);
  ATTN_FIND(cairo_translate);
  ATTN_FIND(pango_cairo_create_layout);
  ATTN_FIND(pango_cairo_show_layout);
  ATTN_FIND(pango_font_description_free);
  ATTN_FIND(pango_font_description_new);
  ATTN_FIND(pango_font_description_set_absolute_size);
  ATTN_FIND(pango_font_description_set_family);
  ATTN_FIND(pango_font_description_set_weight);
  ATTN_FIND(pango_layout_get_size);
  ATTN_FIND(pango_layout_get_unknown_glyphs_count);
  ATTN_FIND(pango_layout_set_ellipsize);
  ATTN_FIND(pango_layout_set_font_description);
  ATTN_FIND(pango_layout_set_single_paragraph_mode);
  ATTN_FIND(pango_layout_set_text);
  ATTN_FIND(pango_layout_set_width);
  ATTN_FIND(g_log_set_default_handler);
  ATTN_FIND(g_object_unref);
#undef ATTN_FIND
  g_log_set_default_handler(keep_quiet, nullptr);
}

}  // namespace attn::render

#if defined(__SANITIZE_ADDRESS__)
#define ATTN_FINDS_LEAKS
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ATTN_FINDS_LEAKS
#endif
#endif
#ifdef ATTN_FINDS_LEAKS
// fontconfig keeps what it knows of the system's fonts until the process ends, where only its own memory points to it.
// NOLINTBEGIN(readability-identifier-naming): the leak checker looks for these names.
extern "C" {
const char* __lsan_default_suppressions();
const char* __lsan_default_options();
const char* __lsan_default_suppressions() { return "leak:libfontconfig\n"; }
const char* __lsan_default_options() { return "print_suppressions=0"; }
}
// NOLINTEND(readability-identifier-naming)
#endif

// Masks drawn as text: one character a key where they fit, shades of what is visible where they do not.
#pragma once

#include "analysis/mask_rows.hpp"

#include <cstddef>
#include <string>

namespace attn::analysis {

struct PictureOptions {
  std::size_t width = 80;    ///< columns that may be used
  std::size_t lines = 48;    ///< lines that a matrix may take
  bool unicode = false;      ///< block elements, else ASCII
  std::size_t matrices = 8;  ///< matrices drawn at most
};

/// Rows are queries, columns keys. A matrix that is too wide or too high is pooled exactly: each character shows the share of
/// visible pairs in its cell, blank only for none and full only for all.
[[nodiscard]] std::string draw_mask(const MaskRows& mask, const PictureOptions& options);

}  // namespace attn::analysis

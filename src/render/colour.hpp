// Colours, and the map from numbers to them: perceptually uniform, so that equal steps look equal, in print and to the
// colour-blind.
#pragma once

#include <cstdint>

namespace attn::render {

struct Colour {
  std::uint8_t red = 0;
  std::uint8_t green = 0;
  std::uint8_t blue = 0;

  friend bool operator==(const Colour&, const Colour&) = default;
};

inline constexpr Colour kWhite{255, 255, 255};
inline constexpr Colour kInk{34, 34, 34};
inline constexpr Colour kFaint{128, 128, 128};
/// Cells that hold no number; far from every colour of the map.
inline constexpr Colour kNoNumber{229, 80, 140};

/// Viridis (N. Smith and S. van der Walt 2015, released under CC0): 33 of its colours, linear in between, at most 2 of 255 off.
/// `place` is cut to 0 (dark) to 1 (light); NaN gives kNoNumber.
[[nodiscard]] Colour viridis(double place) noexcept;

/// How light a colour looks, 0 to 1 (relative luminance of sRGB, IEC 61966-2-1).
[[nodiscard]] double luminance(Colour colour) noexcept;

/// The nearest colour of the cube and the greys that terminals with 256 colours share: 16 to 255.
[[nodiscard]] int xterm_colour(Colour colour) noexcept;

}  // namespace attn::render

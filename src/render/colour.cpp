// Colours, and the map from numbers to them.
#include "render/colour.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

namespace attn::render {

namespace {

constexpr std::array<Colour, 33> kViridis{
    {{68, 1, 84},    {71, 13, 96},   {72, 24, 106},  {72, 35, 116},  {71, 45, 123},  {69, 54, 129},  {66, 64, 134},
     {63, 73, 137},  {59, 82, 139},  {55, 90, 141},  {51, 99, 141},  {47, 106, 142}, {44, 114, 142}, {41, 122, 142},
     {38, 129, 142}, {35, 137, 142}, {33, 144, 140}, {31, 152, 139}, {31, 159, 136}, {33, 166, 133}, {40, 174, 128},
     {49, 181, 123}, {62, 188, 116}, {76, 194, 108}, {93, 201, 99},  {110, 206, 88}, {130, 211, 76}, {150, 216, 63},
     {171, 220, 50}, {192, 223, 36}, {213, 226, 26}, {234, 229, 26}, {253, 231, 37}}};

std::uint8_t between(std::uint8_t low, std::uint8_t high, double part) noexcept {
  return static_cast<std::uint8_t>(std::lround(low + part * (static_cast<double>(high) - low)));
}

double linear(std::uint8_t channel) noexcept {
  const double c = channel / 255.0;
  return c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4);
}

int squared_distance(Colour a, Colour b) noexcept {
  const int red = a.red - b.red;
  const int green = a.green - b.green;
  const int blue = a.blue - b.blue;
  return red * red + green * green + blue * blue;
}

/// The six levels of each channel of the cube.
constexpr std::array<std::uint8_t, 6> kLevels{0, 95, 135, 175, 215, 255};

std::size_t nearest_level(std::uint8_t channel) noexcept {
  std::size_t best = 0;
  for (std::size_t i = 1; i < kLevels.size(); ++i)
    if (std::abs(channel - kLevels[i]) < std::abs(channel - kLevels[best])) best = i;
  return best;
}

}  // namespace

Colour viridis(double place) noexcept {
  if (std::isnan(place)) return kNoNumber;
  const double at = std::clamp(place, 0.0, 1.0) * static_cast<double>(kViridis.size() - 1);
  const auto index = std::min(static_cast<std::size_t>(at), kViridis.size() - 2);
  const double part = at - static_cast<double>(index);
  const Colour& low = kViridis[index];
  const Colour& high = kViridis[index + 1];
  return {between(low.red, high.red, part), between(low.green, high.green, part), between(low.blue, high.blue, part)};
}

double luminance(Colour colour) noexcept {
  return 0.2126 * linear(colour.red) + 0.7152 * linear(colour.green) + 0.0722 * linear(colour.blue);
}

int xterm_colour(Colour colour) noexcept {
  const std::size_t red = nearest_level(colour.red);
  const std::size_t green = nearest_level(colour.green);
  const std::size_t blue = nearest_level(colour.blue);
  const Colour cube{kLevels[red], kLevels[green], kLevels[blue]};
  const int mean = (colour.red + colour.green + colour.blue) / 3;
  const int step = std::clamp((mean - 3) / 10, 0, 23);
  const auto level = static_cast<std::uint8_t>(8 + 10 * step);
  if (squared_distance(colour, {level, level, level}) < squared_distance(colour, cube)) return 232 + step;
  return static_cast<int>(16 + 36 * red + 6 * green + blue);
}

}  // namespace attn::render

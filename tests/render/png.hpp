// Reads PNG files as cairo writes them (8 bits a channel, colour with or without opacity, no interlacing), by the rules of
// ISO/IEC 15948 and independently of cairo: chunks, checksums, zlib, the five filters.
#pragma once

#include "render/colour.hpp"

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <zlib.h>

namespace attn::testing {

struct Pixels {
  std::size_t width = 0;
  std::size_t height = 0;
  std::vector<render::Colour> colours;
  [[nodiscard]] render::Colour at(std::size_t x, std::size_t y) const { return colours.at(y * width + x); }
};

namespace png {

inline std::uint32_t big_endian(std::string_view bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8U | static_cast<std::uint8_t>(bytes.at(i));
  return value;
}

inline std::uint8_t paeth(int a, int b, int c) {
  const int p = a + b - c;
  const int pa = p > a ? p - a : a - p;
  const int pb = p > b ? p - b : b - p;
  const int pc = p > c ? p - c : c - p;
  return static_cast<std::uint8_t>(pa <= pb && pa <= pc ? a : pb <= pc ? b : c);
}

/// One line in place, from what stands left of each byte and above it.
inline void unfilter(int kind, std::uint8_t* line, const std::uint8_t* above, std::size_t length, std::size_t step) {
  for (std::size_t i = 0; i < length; ++i) {
    const int a = i >= step ? line[i - step] : 0;
    const int b = above == nullptr ? 0 : above[i];
    const int c = i >= step && above != nullptr ? above[i - step] : 0;
    const int predicted = kind == 0 ? 0 : kind == 1 ? a : kind == 2 ? b : kind == 3 ? (a + b) / 2 : paeth(a, b, c);
    line[i] = static_cast<std::uint8_t>(line[i] + predicted);
  }
}

}  // namespace png

inline Pixels read_png(std::string_view file) {
  if (!file.starts_with("\x89PNG\r\n\x1a\n")) throw std::runtime_error("no PNG file");
  Pixels pixels;
  std::string packed;
  std::size_t channels = 0;
  for (file.remove_prefix(8);;) {
    const std::uint32_t length = png::big_endian(file.substr(0, 4));
    const std::string_view typed = file.substr(4, 4 + length);
    const std::string_view data = typed.substr(4);
    const auto* bytes = reinterpret_cast<const Bytef*>(typed.data());
    if (::crc32(0, bytes, static_cast<uInt>(typed.size())) != png::big_endian(file.substr(8 + length, 4)))
      throw std::runtime_error("a checksum is wrong");
    if (typed.starts_with("IEND")) break;
    if (typed.starts_with("IDAT")) packed += data;
    if (typed.starts_with("IHDR")) {
      pixels.width = png::big_endian(data.substr(0, 4));
      pixels.height = png::big_endian(data.substr(4, 4));
      channels = data.at(9) == 2 ? 3 : 4;
      if (data.at(8) != 8 || (data.at(9) != 2 && data.at(9) != 6) || data.at(12) != 0)
        throw std::runtime_error("an unknown kind of PNG");
    }
    file.remove_prefix(12 + length);
  }
  const std::size_t line = pixels.width * channels;
  std::vector<std::uint8_t> raw((line + 1) * pixels.height);
  auto size = static_cast<uLongf>(raw.size());
  if (::uncompress(raw.data(), &size, reinterpret_cast<const Bytef*>(packed.data()), static_cast<uLong>(packed.size())) != Z_OK ||
      size != raw.size())
    throw std::runtime_error("the pixels cannot be unpacked");
  for (std::size_t y = 0; y < pixels.height; ++y) {
    std::uint8_t* own = raw.data() + y * (line + 1) + 1;
    png::unfilter(own[-1], own, y == 0 ? nullptr : own - (line + 1), line, channels);
    for (std::size_t x = 0; x < pixels.width; ++x)
      pixels.colours.push_back({own[x * channels], own[x * channels + 1], own[x * channels + 2]});
  }
  return pixels;
}

}  // namespace attn::testing

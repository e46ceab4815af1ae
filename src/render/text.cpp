// Names that come from files, made fit to be shown.
#include "render/text.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

namespace attn::render {

namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

struct Character {
  std::uint32_t code = 0;
  std::size_t bytes = 0;  ///< 0: no valid character begins here
};

/// The character at the start of `text` (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF).
Character first_character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < bytes) return {};
  std::uint32_t code = lead & (0x7FU >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) return {};
    code = code << 6U | (byte(i) & 0x3FU);
  }
  constexpr std::array<std::uint32_t, 5> least{0, 0, 0x80, 0x800, 0x10000};
  if (code < least[bytes] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return {};
  return {code, bytes};
}

template <std::size_t N>
bool is_in(const std::array<std::pair<std::uint32_t, std::uint32_t>, N>& ranges, std::uint32_t code) {
  return std::ranges::any_of(ranges, [&](const auto& range) { return code >= range.first && code <= range.second; });
}

/// Blocks whose characters are wide (Unicode Standard Annex 11, "W" and "F"), and those that take no room.
constexpr std::array<std::pair<std::uint32_t, std::uint32_t>, 11> kWide{{{0x1100, 0x115F},
                                                                         {0x2E80, 0x303E},
                                                                         {0x3041, 0xA4CF},
                                                                         {0xA960, 0xA97C},
                                                                         {0xAC00, 0xD7A3},
                                                                         {0xF900, 0xFAFF},
                                                                         {0xFE30, 0xFE6F},
                                                                         {0xFF01, 0xFF60},
                                                                         {0xFFE0, 0xFFE6},
                                                                         {0x1F300, 0x1FAFF},
                                                                         {0x20000, 0x3FFFD}}};
constexpr std::array<std::pair<std::uint32_t, std::uint32_t>, 7> kWithout{{{0x0300, 0x036F},
                                                                           {0x0483, 0x0489},
                                                                           {0x0591, 0x05BD},
                                                                           {0x1AB0, 0x1AFF},
                                                                           {0x200B, 0x200F},
                                                                           {0x20D0, 0x20FF},
                                                                           {0xFE00, 0xFE0F}}};

std::size_t columns_of_character(std::uint32_t code) { return is_in(kWithout, code) ? 0 : is_in(kWide, code) ? 2 : 1; }

}  // namespace

std::string showable(std::string_view text) {
  std::string shown;
  while (!text.empty()) {
    const Character c = first_character(text);
    const bool is_control = c.code < 0x20 || (c.code >= 0x7F && c.code < 0xA0) || c.code == 0x2028 || c.code == 0x2029 ||
                            (c.code >= 0x202A && c.code <= 0x202E);
    const std::size_t bytes = std::max<std::size_t>(c.bytes, 1);
    shown += c.bytes == 0 || is_control ? kReplacement : text.substr(0, bytes);
    text.remove_prefix(bytes);
  }
  return shown;
}

std::size_t columns_of(std::string_view text) {
  std::size_t columns = 0;
  while (!text.empty()) {
    const Character c = first_character(text);
    columns += columns_of_character(c.code);
    text.remove_prefix(std::max<std::size_t>(c.bytes, 1));
  }
  return columns;
}

std::string fitted(std::string_view text, std::size_t columns, bool unicode, bool right_aligned) {
  std::string shown;
  std::size_t used = 0;
  if (columns_of(text) <= columns) {
    shown = text;
    used = columns_of(text);
  } else if (columns > 0) {
    while (!text.empty()) {
      const Character c = first_character(text);
      if (used + columns_of_character(c.code) > columns - 1) break;
      used += columns_of_character(c.code);
      shown += text.substr(0, c.bytes);
      text.remove_prefix(c.bytes);
    }
    shown += unicode ? "\xE2\x80\xA6" : "~";
    ++used;
  }
  const std::string blanks(columns - used, ' ');
  return right_aligned ? blanks + shown : shown + blanks;
}

}  // namespace attn::render

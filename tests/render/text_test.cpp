// Names from files as they are shown: valid, in one line, as wide as they say.
#include "render/text.hpp"

#include <random>

#include <doctest/doctest.h>

namespace attn::render {

namespace {
const std::string kUnknown = "\xEF\xBF\xBD";
}

TEST_CASE("what is no UTF-8 and what a terminal would obey is replaced") {
  CHECK(showable("plain") == "plain");
  CHECK(showable("") == "");
  CHECK(showable("\xE7\x8B\x90\xE7\x8B\xB8 na\xC3\xAFve \xF0\x9F\xA6\x8A") ==
        "\xE7\x8B\x90\xE7\x8B\xB8 na\xC3\xAFve \xF0\x9F\xA6\x8A");
  CHECK(showable("\x1b[31mred") == kUnknown + "[31mred");
  CHECK(showable("two\nlines\ttab\x7f") == "two" + kUnknown + "lines" + kUnknown + "tab" + kUnknown);
  CHECK(showable("\xC2\x9B"
                 "1m") == kUnknown + "1m");  // a control sequence in one character
  CHECK(showable("\xE2\x80\xAE"
                 "abc") == kUnknown + "abc");                         // from right to left
  CHECK(showable("\xFF\xC3") == kUnknown + kUnknown);                 // no character, half of one
  CHECK(showable("\xC0\xAF") == kUnknown + kUnknown);                 // an overlong form
  CHECK(showable("\xED\xA0\x80") == kUnknown + kUnknown + kUnknown);  // a surrogate
  CHECK(showable("\xF4\x90\x80\x80").size() == 4 * kUnknown.size());  // beyond the last character
  CHECK(showable(std::string("a\0b", 3)) == "a" + kUnknown + "b");
}

TEST_CASE("any bytes become text that stays as it is") {
  constexpr unsigned seed = 3;
  INFO("seed ", seed);
  std::mt19937 random(seed);
  std::uniform_int_distribution<int> byte(0, 255);
  for (int n = 0; n < 2000; ++n) {
    std::string text;
    for (int i = 0; i < 12; ++i) text += static_cast<char>(byte(random));
    const std::string shown = showable(text);
    CHECK(showable(shown) == shown);
    for (std::size_t width = 0; width < 15; ++width) CHECK(columns_of(fitted(shown, width, true, n % 2 == 0)) == width);
  }
}

TEST_CASE("Chinese takes two columns, marks take none, and what is cut says so") {
  CHECK(columns_of("abc") == 3);
  CHECK(columns_of("\xE7\x8B\x90\xE7\x8B\xB8") == 4);
  CHECK(columns_of("e\xCC\x81") == 1);
  CHECK(fitted("abc", 5, true, false) == "abc  ");
  CHECK(fitted("abc", 5, true, true) == "  abc");
  CHECK(fitted("abcdef", 4, false, false) == "abc~");
  CHECK(fitted("abcdef", 4, true, false) == "abc\xE2\x80\xA6");
  // The second character would need a column that the ellipsis has.
  CHECK(fitted("\xE7\x8B\x90\xE7\x8B\xB8\xE7\x8B\x90", 4, false, false) == "\xE7\x8B\x90~ ");
  CHECK(fitted("abc", 0, true, false) == "");
}

}  // namespace attn::render

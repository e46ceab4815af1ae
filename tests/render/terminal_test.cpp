// Pictures as text: they fit the window, each cell has its colour, and without colour its character.
#include "render/terminal.hpp"

#include "render/colour.hpp"
#include "render/text.hpp"

#include <limits>
#include <map>
#include <sstream>

#include <doctest/doctest.h>
#include <fmt/format.h>

namespace attn::render {

namespace {

Picture pattern_of(std::size_t rows, std::size_t columns, std::size_t panels) {
  Picture picture;
  picture.title = "a title";
  picture.rows = {"query", rows, {}};
  picture.columns = {"key", columns, {}};
  for (std::size_t p = 0; p < panels; ++p) picture.panels.push_back({panels > 1 ? fmt::format("head {}", p) : "", {}});
  return picture;
}

void fill(Picture& picture, const TerminalPlan& plan) {
  for (Panel& panel : picture.panels) {
    panel.cells = {plan.rows, plan.columns, std::vector<double>(plan.rows * plan.columns)};
    for (std::size_t i = 0; i < panel.cells.values.size(); ++i) panel.cells.values[i] = static_cast<double>(i % 11) / 10;
  }
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

/// A character with the colours it is shown in, as numbers of codes ("5;53", "2;1;2;3"; empty is the terminal's own).
struct Shown {
  std::string text;
  std::string front;
  std::string back;
};

/// What a terminal makes of a line: an interpreter of the three codes in use.
std::vector<Shown> shown(const std::string& line) {
  std::vector<Shown> all;
  std::string front;
  std::string back;
  for (std::size_t at = 0; at < line.size();) {
    if (line[at] == '\033') {
      const std::size_t end = line.find('m', at);
      const std::string code = line.substr(at + 2, end - at - 2);
      if (code == "0")
        front = back = "";
      else if (code.starts_with("38;"))
        front = code.substr(3);
      else if (code.starts_with("48;"))
        back = code.substr(3);
      else
        FAIL("an unknown code: ", code);
      at = end + 1;
      continue;
    }
    const std::size_t bytes = static_cast<unsigned char>(line[at]) < 0x80 ? 1 : 3;
    all.push_back({line.substr(at, bytes), front, back});
    at += bytes;
  }
  CHECK(front.empty());
  CHECK(back.empty());
  return all;
}

std::string code_of(Depth depth, double value) {
  const Colour c = viridis(value);
  return depth == Depth::full ? fmt::format("2;{};{};{}", c.red, c.green, c.blue) : fmt::format("5;{}", xterm_colour(c));
}

}  // namespace

TEST_CASE("plans fit the window, whatever is drawn") {
  for (const Depth depth : {Depth::characters, Depth::full})
    for (const std::size_t columns : {20U, 80U, 211U})
      for (const std::size_t rows : {1U, 2U, 7U, 64U, 512U, 100000U})
        for (const std::size_t keys : {1U, 3U, 40U, 512U, 100000U})
          for (const std::size_t panels : {1U, 2U, 12U}) {
            const Terminal terminal{.columns = columns, .lines = 50, .depth = depth, .unicode = true};
            const TerminalPlan plan = plan_terminal(rows, keys, panels, 9, terminal);
            INFO(rows, " x ", keys, ", ", panels, " panels, ", columns, " columns");
            CHECK(plan.across * (plan.names + plan.columns * plan.cell_width) + plan.across - 1 <= columns);
            CHECK(plan.rows >= 1);
            CHECK(plan.rows <= rows);
            CHECK(plan.columns >= 1);
            CHECK(plan.columns <= keys);
            const std::size_t lines = (plan.rows * plan.cell_height + (terminal.halves() ? 1 : 0)) / (terminal.halves() ? 2 : 1);
            const std::size_t down = (panels + plan.across - 1) / plan.across;
            CHECK(lines <= std::max<std::size_t>(kLeastLines, 46 / down));
          }
}

TEST_CASE("without colour each cell is a character, darker for more") {
  const Terminal terminal{.columns = 40, .lines = 20};
  Picture picture = pattern_of(2, 3, 1);
  const TerminalPlan plan = plan_terminal(2, 3, 1, 0, terminal);
  REQUIRE(plan.rows == 2);
  REQUIRE(plan.columns == 3);
  REQUIRE(plan.cell_width == 4);
  REQUIRE(plan.cell_height == 2);
  picture.panels[0].cells = {2, 3, {0, 0.5, 1, std::numeric_limits<double>::quiet_NaN(), 1e-9, 0.999}};
  picture.scale = {.low = 0, .high = 1, .has_nan = true, .title = "weight"};
  CHECK(draw(picture, plan, terminal) ==
        "a title\n"
        "0     ++++@@@@\n"
        "      ++++@@@@\n"
        "1 ????....@@@@\n"
        "  ????....@@@@\n"
        "  0          2\n"
        "0 ..::---==++**###%%@@ 1  weight  ? NaN\n");
}

TEST_CASE("with colour each half of a character has the colour of its cell") {
  for (const Depth depth : {Depth::palette, Depth::full}) {
    const Terminal terminal{.columns = 100, .lines = 40, .depth = depth, .unicode = true};
    Picture picture = pattern_of(53, 67, 1);
    const TerminalPlan plan = plan_terminal(53, 67, 1, 0, terminal);
    REQUIRE(plan.cell_width == 1);
    REQUIRE(plan.cell_height == 1);
    REQUIRE(plan.rows == 53);
    REQUIRE(plan.columns == 67);
    fill(picture, plan);
    const std::vector<std::string> lines = lines_of(draw(picture, plan, terminal));
    REQUIRE(lines.size() == 1 + 27 + 1 + 1);
    for (std::size_t line = 0; line < 27; ++line) {
      const std::vector<Shown> characters = shown(lines[1 + line]);
      REQUIRE(characters.size() == plan.names + plan.columns);
      for (std::size_t c = 0; c < plan.columns; ++c) {
        const Shown& one = characters[plan.names + c];
        const std::string upper = code_of(depth, picture.panels[0].cells.at(2 * line, c));
        CHECK((one.text == " " ? one.back : one.front) == upper);
        CHECK(one.back == (2 * line + 1 < 53 ? code_of(depth, picture.panels[0].cells.at(2 * line + 1, c)) : ""));
      }
    }
  }
}

TEST_CASE("names stand beside rows that have a line, in any script, and never hold codes") {
  const Terminal terminal{.columns = 60, .lines = 30, .depth = Depth::full, .unicode = true};
  Picture picture = pattern_of(3, 3, 1);
  picture.rows.names = picture.columns.names = {"\xE7\x8B\x90", "", "a name that is longer than a line has room"};
  const TerminalPlan plan = plan_terminal(3, 3, 1, 42, terminal);
  fill(picture, plan);
  const std::vector<std::string> lines = lines_of(draw(picture, plan, terminal));
  CHECK(plan.names == 17);
  CHECK(lines[1].starts_with(std::string(14, ' ') + "\xE7\x8B\x90 "));
  bool is_named = false;
  for (const std::string& line : lines) is_named |= line.starts_with("a name that is \xE2\x80\xA6 ");
  CHECK(is_named);
}

TEST_CASE("panels stand side by side with their titles") {
  const Terminal terminal{.columns = 80, .lines = 24};
  Picture picture = pattern_of(100, 100, 4);
  const TerminalPlan plan = plan_terminal(100, 100, 4, 0, terminal);
  CHECK(plan.across > 1);
  fill(picture, plan);
  const std::vector<std::string> lines = lines_of(draw(picture, plan, terminal));
  std::map<std::string, int> seen;
  for (const std::string& line : lines) {
    CHECK(columns_of(line) <= 80);
    for (int p = 0; p < 4; ++p)
      seen[fmt::format("head {}", p)] += line.find(fmt::format("head {}", p)) != std::string::npos ? 1 : 0;
  }
  for (const auto& [title, times] : seen) {
    INFO(title);
    CHECK(times == 1);
  }
}

}  // namespace attn::render

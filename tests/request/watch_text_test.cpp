// The summary of statistics on a terminal: names cut to the window by the columns that they take.
#include "request/watch_text.hpp"

#include "render/text.hpp"

#include <limits>
#include <sstream>

#include <doctest/doctest.h>

namespace attn::request {

namespace {

class TextInMemory : public Outputs::TextSink {
 public:
  void write(std::string_view piece) override { text += piece; }
  std::string text;
};

/// The lines of keys, which are the last ones.
std::vector<std::string> key_lines(const WatchText& text, const std::vector<double>& received, const render::Terminal& window) {
  std::vector<analysis::ColumnFacts> columns;
  for (const double r : received) columns.push_back({.received = r, .maximum = 1, .argmax = 0});
  TextInMemory sink;
  text.summary(sink, {{.entropy = 1, .support = 2, .maximum = 0.5, .distance = 3}}, columns, window);
  std::istringstream stream(sink.text);
  std::vector<std::string> lines;
  bool is_behind = false;
  for (std::string line; std::getline(stream, line);) {
    if (is_behind) lines.push_back(line);
    is_behind = is_behind || line.starts_with("keys that receive most");
  }
  return lines;
}

}  // namespace

TEST_CASE("names in the summary fit the window, in the columns that a terminal shows them in") {
  const std::string chinese = "\u4E00\u4E2A\u975E\u5E38\u957F\u7684\u4E2D\u6587\u6807\u8BC6\u7B26\u7528\u6765\u6D4B\u8BD5";
  WatchText text{.dims = {.batch = 1, .heads = 1, .kv_heads = 1, .q_len = 3, .kv_len = 3, .head_dim = 1, .value_dim = 1},
                 .ids = {},
                 .key_ids = {std::string(60, 'a'), chinese, "b\n"}};
  for (const bool unicode : {true, false}) {
    for (const std::size_t columns : {24U, 31U, 32U, 40U, 80U, 200U}) {
      CAPTURE(columns);
      const std::vector<std::string> lines =
          key_lines(text, {3, 2, 1}, {.columns = columns, .lines = 24, .depth = render::Depth::characters, .unicode = unicode});
      REQUIRE(lines.size() == 3);
      for (const std::string& line : lines) {
        CHECK(render::columns_of(line) <= std::max<std::size_t>(columns, 29));
        // Numbers stand below each other.
        CHECK(render::columns_of(line) == render::columns_of(lines[0]));
      }
      const std::string ellipsis = unicode ? "\u2026" : "~";
      CHECK((lines[0].find(ellipsis) != std::string::npos) == (columns < 81));
      CHECK((lines[1].find(ellipsis) != std::string::npos) == (columns < 51));
      CHECK(lines[2].find("b\uFFFD ") != std::string::npos);
    }
  }
}

TEST_CASE("the keys that receive most come first, a NaN before them, and equal ones in their order") {
  WatchText text{.dims = {.batch = 1, .heads = 1, .kv_heads = 1, .q_len = 3, .kv_len = 7, .head_dim = 1, .value_dim = 1},
                 .ids = {},
                 .key_ids = {}};
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<std::string> lines = key_lines(text, {1, 2, 1, nan, 2, 0, 1}, {});
  REQUIRE(lines.size() == 5);
  const char* const first[]{"  3 ", "  1 ", "  4 ", "  0 ", "  2 "};
  for (std::size_t n = 0; n < 5; ++n) CHECK(lines[n].starts_with(first[n]));
  text.dims.kv_len = 0;
  CHECK(key_lines(text, {}, {}).empty());
}

}  // namespace attn::request

// Tests splitting of command lines against what /bin/sh makes of them.
#include "document/command_line.hpp"

#include "tools/process.hpp"

#include <attn/error.hpp>

#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using attn::document::CommandLine;
using attn::document::split_command;

namespace {

std::vector<std::string> words_of(const std::string& text) {
  const CommandLine line = split_command(text);
  REQUIRE(line.size() == 1);
  REQUIRE(line.front().size() == 1);
  return line.front().front().words;
}

/// The words as /bin/sh hands them to a function; false when it finds the line wrong.
bool words_of_shell(const std::string& line, const attn::testing::TemporaryDirectory& folder, std::vector<std::string>& words) {
  attn::testing::Surroundings surroundings;
  surroundings.directory = folder.path();
  surroundings.environment = {{"LC_ALL", "C"}};
  surroundings.standard_output = folder.path() / "words";
  surroundings.standard_error = folder.path() / "messages";
  std::filesystem::remove(surroundings.standard_output);
  const auto ending = run_shell("show() { for w in \"$@\"; do printf '%s\\001' \"$w\"; done; }\nshow " + line, surroundings);
  if (!ending.is("0")) return false;
  words.clear();
  std::string word;
  for (const char c : attn::testing::read_file(surroundings.standard_output)) {
    if (c == '\001') {
      words.push_back(word);
      word.clear();
    } else {
      word += c;
    }
  }
  return true;
}

}  // namespace

TEST_CASE("words are those of the shell") {
  const attn::testing::TemporaryDirectory folder;
  std::mt19937 random(20240517);
  MESSAGE("seed 20240517");
  const std::string alphabet = "aab1 \t''\"\"\\\\#,:=%!^[]{}";
  std::size_t accepted = 0;
  std::size_t refused = 0;
  for (int trial = 0; trial < 400; ++trial) {
    std::string line;
    const std::size_t length = random() % 14;
    for (std::size_t i = 0; i < length; ++i) line += alphabet[random() % alphabet.size()];
    std::vector<std::string> expected;
    const bool good = words_of_shell(line + "\n", folder, expected);
    CAPTURE(line);
    if (!good) {
      ++refused;
      CHECK_THROWS_AS((void)split_command("attn " + line + "\n"), attn::Error);
      continue;
    }
    // A bracket with its partner is a pattern; sh leaves one that matches nothing as it is, and the folder holds no such names.
    ++accepted;
    std::vector<std::string> words = words_of("attn " + line + "\n");
    words.erase(words.begin());
    CHECK(words == expected);
  }
  CHECK(accepted > 100);
  CHECK(refused > 50);
}

TEST_CASE("pipelines, lists and here-documents") {
  const CommandLine line = split_command("attn gen --shape 2,2 | attn run - > y.csv && attn info y.csv # said twice\n");
  REQUIRE(line.size() == 2);
  REQUIRE(line[0].size() == 2);
  CHECK(line[0][0].words == std::vector<std::string>{"attn", "gen", "--shape", "2,2"});
  CHECK(line[0][1].words == std::vector<std::string>{"attn", "run", "-"});
  CHECK(line[0][1].output_file == "y.csv");
  CHECK(line[1][0].words == std::vector<std::string>{"attn", "info", "y.csv"});

  const CommandLine here = split_command("attn run - <<END | attn info -\n1,2\n $x 'quote\nEND\n");
  REQUIRE(here.size() == 1);
  CHECK(here[0][0].input_text == "1,2\n $x 'quote\n");
  CHECK_FALSE(here[0][1].input_text);
  CHECK(split_command("attn run - <<'A B'\nA\nA B\n")[0][0].input_text == "A\n");
  CHECK(split_command("attn run - <<E\nE\n")[0][0].input_text == "");
  CHECK(split_command("attn run \\\n  x.csv < y.csv\n")[0][0].words == std::vector<std::string>{"attn", "run", "x.csv"});
  CHECK(split_command("attn run '' \"\"\n")[0][0].words == std::vector<std::string>{"attn", "run", "", ""});
}

TEST_CASE("what only a shell can do is refused") {
  for (const char* text : {"attn run $x", "attn run `x`", "attn run \"$x\"", "attn run *.csv", "attn run ?.csv", "attn run ~/x",
                           "attn a; attn b", "attn a & attn b", "attn a || attn b", "attn a 2> b", "attn a >> b", "attn a 2>&1",
                           "(attn a)", "attn a <<< b", "attn a\nattn b", "attn a <<-E\nE"}) {
    CAPTURE(text);
    CHECK_THROWS_WITH_AS((void)split_command(text), doctest::Contains("needs a shell"), attn::Error);
  }
  for (const char* text : {"", "\n", "attn a |", "| attn a", "attn a && ", "attn a >", "attn a <\n", "attn 'a", "attn \"a",
                           "attn a\\", "attn a <<E\n1\n", "attn a <<E", "attn a <<"}) {
    CAPTURE(text);
    CHECK_THROWS_AS((void)split_command(text), attn::Error);
  }
}

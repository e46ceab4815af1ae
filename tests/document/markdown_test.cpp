// Tests reading of documents.
#include "document/markdown.hpp"

#include <attn/error.hpp>

#include <doctest/doctest.h>

using attn::document::Document;
using attn::document::lines_of;
using attn::document::read_document;

namespace {

Document read(const std::string& text) { return read_document(lines_of(text), "d.md"); }

/// The line that a mistake is found in.
std::size_t wrong_line(const std::string& text) {
  try {
    (void)read(text);
  } catch (const attn::Error& error) {
    CHECK(error.status() == attn::Status::data);
    CHECK(error.where().file == "d.md");
    return error.where().line;
  }
  return 0;
}

}  // namespace

TEST_CASE("blocks, commands, outputs and data") {
  const Document document = read(
      "## not the title\n# The title \n\n```csv file=x.csv\n1,2\n```\ntext\n```console\n$ attn a <<E\n> 1\n>\n> E\nout\n> out\n$ "
      "attn b\n"
      "```\n<!-- in some/folder -->\n~~~~ console differs because it is wrong\n$ attn c\n```\n~~~\n~~~~\n<!-- in . -->\n"
      "```console shell\n$ ls | wc\n```\n```\n```console\n```\n");
  CHECK(document.title == "The title");
  REQUIRE(document.files.size() == 1);
  CHECK(document.files[0].name == "x.csv");
  CHECK(document.files[0].text == "1,2\n");
  REQUIRE(document.blocks.size() == 3);
  const auto& first = document.blocks[0];
  CHECK(first.line == 8);
  CHECK_FALSE(first.must_differ);
  REQUIRE(first.commands.size() == 2);
  CHECK(first.commands[0].command == "attn a <<E\n1\n\nE\n");
  CHECK(first.commands[0].output == "out\n> out\n");
  CHECK(first.commands[0].line == 9);
  CHECK(first.commands[0].output_at == 12);
  CHECK(first.commands[0].output_count == 2);
  CHECK(first.commands[1].output.empty());
  const auto& second = document.blocks[1];
  CHECK(second.folder == "some/folder");
  CHECK(second.must_differ);
  CHECK(second.reason == "because it is wrong");
  CHECK(second.commands.at(0).output == "```\n~~~\n");
  CHECK(document.blocks[2].needs_shell);
  CHECK(document.blocks[2].folder.empty());
}

TEST_CASE("other fences hide what looks like a console block") {
  const Document document = read("````markdown\n```console\n$ attn a\n```\n````\n    ```console\n``` inline ``` code\n");
  CHECK(document.blocks.empty());
}

TEST_CASE("carriage returns are no part of a line") {
  const Document document = read("```console\r\n$ attn a\r\n1\r\n```\r\n");
  REQUIRE(document.blocks.size() == 1);
  CHECK(document.blocks[0].commands.at(0).output == "1\n");
}

TEST_CASE("mistakes are named by their line") {
  CHECK(wrong_line("a\n```console\n$ attn a\n") == 2);
  CHECK(wrong_line("```csv file=x.csv\n1\n``\n") == 1);
  CHECK(wrong_line("```console\nout\n```\n") == 2);
  CHECK(wrong_line("```console difers\n```\n") == 1);
  CHECK(wrong_line("\n```csv file=../x.csv\n```\n") == 2);
  CHECK(wrong_line("\n```csv file=/etc/x.csv\n```\n") == 2);
  CHECK(wrong_line("\n```csv file=\n```\n") == 2);
  CHECK(wrong_line("\n\n<!-- in ../.. -->\n") == 3);
  CHECK(wrong_line("```python\nnever closed\n") == 0);
}

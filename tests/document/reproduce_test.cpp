// Tests running and judging of documents with a program of the test's own in the place of attn.
#include "document/reproduce_report.hpp"
#include "tools/process.hpp"

#include <attn/error.hpp>

#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

namespace fs = std::filesystem;
using namespace attn::document;

namespace {

/// A folder with a document and a program that does what its first argument says.
struct Scene {
  attn::testing::TemporaryDirectory folder;
  std::chrono::seconds limit{60};

  Scene() {
    write_text(folder.path() / "program", R"(#!/bin/sh
case $1 in
say) shift; printf '%s\n' "$@" ;;
cat) cat "${2:--}" ;;
write) printf '1\n' > "$2" ;;
fail) echo "attn: error: it is wrong" >&2; exit "$2" ;;
die) kill -9 $$ ;;
sleep) sleep 30 ;;
pwd) pwd ;;
esac
)");
    fs::permissions(folder.path() / "program", fs::perms::owner_all);
    fs::create_directory(folder.path() / "docs");
    fs::create_directory(folder.path() / "docs" / "below");
    write_text(folder.path() / "docs" / "there.csv", "5\n");
    write_text(folder.path() / "docs" / "below" / "deep.csv", "7\n");
  }

  DocumentResult run(const std::string& text) {
    const fs::path file = folder.path() / "docs" / "d.md";
    write_text(file, text);
    DocumentResult result = open_document(file.string());
    run_document(result, {.program = folder.path() / "program",
                          .temporary = folder.path(),
                          .root = {},
                          .environment = {"PATH=/usr/bin:/bin"},
                          .limit = limit});
    return result;
  }

  /// The verdict on one block.
  Verdict verdict(const std::string& block) {
    const DocumentResult result = run("```console\n" + block + "```\n");
    REQUIRE(result.blocks.size() == 1);
    return result.blocks[0].verdict;
  }
};

std::size_t entries(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator{}));
}

}  // namespace

TEST_CASE("each verdict") {
  Scene scene;
  CHECK(scene.verdict("$ attn say 1.26\n1.3\n") == Verdict::holds);
  CHECK(scene.verdict("$ attn say 1.36\n1.3\n") == Verdict::differs);
  CHECK(scene.verdict("$ attn say 1 2\n1\n2\n$ attn say 3\n4\n") == Verdict::differs);
  CHECK(scene.verdict("$ attn say 1 | attn cat\n1\n") == Verdict::holds);
  CHECK(scene.verdict("$ attn cat <<E\n> $1\n> E\n$1\n") == Verdict::holds);
  CHECK(scene.verdict("$ attn cat < there.csv\n5\n") == Verdict::holds);
  CHECK(scene.verdict("$ attn say 1 > out && attn cat out\n1\n") == Verdict::holds);
  CHECK(scene.verdict("$ attn fail 1\nattn: error: it is wrong\n") == Verdict::holds);
  CHECK(scene.verdict("$ attn fail 3\nattn: error: it is wrong\n") == Verdict::holds);
  CHECK(scene.verdict("$ attn fail 1\n") == Verdict::differs);
  CHECK(scene.verdict("$ attn fail 3\n") == Verdict::does_not_run);
  CHECK(scene.verdict("$ attn fail 3\n1\n") == Verdict::does_not_run);
  CHECK(scene.verdict("$ attn fail 2 && attn say 1\n1\n") == Verdict::does_not_run);
  CHECK(scene.verdict("$ attn fail 2 | attn say 1\n1\n") == Verdict::does_not_run);
  CHECK(scene.verdict("$ attn die\n") == Verdict::does_not_run);
  CHECK(scene.verdict("$ attn say $x\n") == Verdict::does_not_run);
  CHECK(scene.verdict("$ attn say 1 | head -n 1\n1\n") == Verdict::does_not_run);
  CHECK(scene.verdict("$ attn reproduce d.md\n") == Verdict::does_not_run);
  CHECK(scene.verdict("$ attn cat < nothing.csv\n") == Verdict::does_not_run);
  CHECK(entries(scene.folder.path()) == 2);
}

TEST_CASE("a program that does not end is ended") {
  Scene scene;
  scene.limit = std::chrono::seconds(1);
  const DocumentResult result = scene.run("```console\n$ attn sleep\n```\n");
  CHECK(result.blocks.at(0).verdict == Verdict::does_not_run);
  CHECK(result.blocks[0].commands.at(0).problem == "it ran longer than 1 s");
}

TEST_CASE("claims that differ are expected to") {
  Scene scene;
  const DocumentResult result = scene.run(
      "# T\n```console differs it is 1\n$ attn say 1\n2\n```\n```console differs\n$ attn say 1\n1\n```\n```console shell\n$ "
      "ls\n```\n");
  REQUIRE(result.blocks.size() == 2);
  CHECK(result.blocks[0].verdict == Verdict::differs_as_expected);
  CHECK(result.blocks[0].expected());
  CHECK(result.blocks[1].verdict == Verdict::holds);
  CHECK_FALSE(result.blocks[1].expected());
  CHECK(result.left_out == 1);
  CHECK_FALSE(all_expected(std::span(&result, 1)));
  const auto json = nlohmann::json::parse(reproduced_json(std::span(&result, 1)));
  CHECK(json["as_expected"] == false);
  CHECK(json["documents"][0]["blocks"][0]["reason"] == "it is 1");
  CHECK(json["documents"][0]["verdicts"]["differs as expected"] == 1);
  CHECK(reproduced_text(std::span(&result, 1)).find("it is marked as a claim that differs, and holds") != std::string::npos);
  CHECK(reproduced_junit(std::span(&result, 1)).find("failures=\"1\" errors=\"0\"") != std::string::npos);
}

TEST_CASE("commands share a scratch folder, and the document's own stays as it is") {
  Scene scene;
  const DocumentResult result = scene.run(
      "```csv file=data/x.csv\n1,2\n```\n```csv file=there.csv\n6\n```\n```console\n$ attn cat data/x.csv\n1,2\n$ attn cat "
      "there.csv\n6\n"
      "$ attn write made\n```\n```console\n$ attn cat made\n1\n```\n<!-- in below -->\n```console\n$ attn cat "
      "deep.csv\n7\n```\n");
  for (const BlockResult& block : result.blocks) CHECK(block.verdict == Verdict::holds);
  CHECK(result.blocks.size() == 3);
  CHECK(read_text(scene.folder.path() / "docs" / "there.csv") == "5\n");
  CHECK(entries(scene.folder.path() / "docs") == 3);
}

TEST_CASE("a document with nothing to run is refused, and one that is not there") {
  Scene scene;
  CHECK_THROWS_AS((void)scene.run("# Nothing\n```console\n```\n"), attn::Error);
  CHECK_THROWS_AS((void)open_document((scene.folder.path() / "none.md").string()), attn::Error);
  CHECK_THROWS_AS((void)open_document(scene.folder.path().string()), attn::Error);
}

TEST_CASE("JUnit XML says what is wrong in characters that it may hold") {
  Scene scene;
  const DocumentResult result = scene.run("```console\n$ attn say '<&\">'\n\x01\n```\n```console\n$ attn die\n```\n");
  const std::string xml = reproduced_junit(std::span(&result, 1));
  CHECK(xml.find("tests=\"2\" failures=\"1\" errors=\"1\"") != std::string::npos);
  CHECK(xml.find("&lt;&amp;&quot;&gt;") != std::string::npos);
  CHECK(xml.find('\x01') == std::string::npos);
  // Bytes that are no UTF-8: alone, cut short, too long a form, a surrogate, U+FFFE, beyond the last character.
  for (const char* bytes : {"\xff", "\xe2\x82", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xef\xbf\xbe", "\xf4\x90\x80\x80"}) {
    const DocumentResult broken = scene.run(std::string("```console\n$ attn say 1\n(") + bytes + ")\n```\n");
    const std::string text = reproduced_junit(std::span(&broken, 1));
    CHECK(text.find(bytes) == std::string::npos);
    CHECK(text.find("printed '(?") != std::string::npos);
  }
  for (const char* character : {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"}) {
    const DocumentResult whole = scene.run(std::string("```console\n$ attn say 1\n(") + character + ")\n```\n");
    CHECK(reproduced_junit(std::span(&whole, 1)).find(std::string("printed '(") + character + ")'") != std::string::npos);
  }
}

TEST_CASE("documents write in their scratch folder only") {
  Scene scene;
  CHECK(scene.verdict("$ attn say 1 > there.csv && attn cat there.csv\n1\n") == Verdict::holds);
  for (const char* place : {"../x", "below/x", "below/../x", "/nonexistent-x", "..", "below/..", "nowhere/x", "below"}) {
    CAPTURE(place);
    CHECK(scene.verdict(std::string("$ attn say 1 > ") + place + "\n") == Verdict::does_not_run);
  }
  for (const char* name : {"below/deep.csv", "below/new.csv", "below/new/x.csv", "below"}) {
    CAPTURE(name);
    CHECK_THROWS_AS((void)scene.run(std::string("```csv file=") + name + "\n1\n```\n```console\n$ attn say 1\n1\n```\n"),
                    attn::Error);
  }
  CHECK(read_text(scene.folder.path() / "docs" / "there.csv") == "5\n");
  CHECK(read_text(scene.folder.path() / "docs" / "below" / "deep.csv") == "7\n");
  CHECK(entries(scene.folder.path() / "docs" / "below") == 1);
  CHECK(entries(scene.folder.path()) == 2);
  CHECK_FALSE(lies_below("..", "."));
  CHECK(lies_below("x", "."));
  CHECK(lies_below(scene.folder.path() / "docs" / "below" / ".." / "x", scene.folder.path() / "docs"));
  CHECK_FALSE(lies_below(scene.folder.path() / "docs-x" / "x", scene.folder.path() / "docs"));
}

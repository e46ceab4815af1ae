// Files that are no CSV are named for what they are.
#include "csv_testing.hpp"

#include <doctest/doctest.h>

using namespace attn;
using namespace attn::testing;
using namespace std::string_view_literals;

namespace {

void check_named(std::string_view bytes, std::string_view what, std::string_view hint) {
  CAPTURE(what);
  const Failure failure = parse(bytes).failure;
  CAPTURE(failure);
  CHECK(failure.status == Status::data);
  CHECK(contains(failure.message, what));
  CHECK(contains(failure.hint, hint));
  Listener notes;
  if (what != "a JSON file")
    CHECK(failure_of([&] { (void)parse_names(bytes, FileName{"x.csv", ""}, {}, notes); }).status == Status::data);
}

}  // namespace

TEST_CASE("compressed, binary and web files are named, with what to do") {
  check_named("\x1F\x8B\x08\0\0\0"sv, "a gzip file", "gzip -dc x.csv | attn ... -");
  check_named("\x28\xB5\x2F\xFD\x04"sv, "a Zstandard file", "zstd -dc x.csv");
  check_named("PK\x03\x04\x14\0"sv, "a ZIP archive", "--from npz");
  check_named(
      "\xFD"
      "7zXZ\0\0"sv,
      "an xz file", "xz -dc x.csv");
  check_named("BZh91AY"sv, "a bzip2 file", "bzip2 -dc");
  check_named("\x93NUMPY\x01\0"sv, "an NPY file", "--from npy");
  check_named("\x40\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}              "sv,
              "a safetensors file", "--from safetensors");
  check_named("  <!DOCTYPE html><p>"sv, "a web page", "download");
  check_named("<HTML>\n"sv, "a web page", "download");
  check_named("<?xml version='1.0'?>"sv, "an XML file", "");
  check_named("{\"a\": [1,2]}"sv, "a JSON file", "jq");
  check_named("\x80\x04\x95"sv, "a Python pickle", "NPY");
  check_named("\x89HDF\r\n"sv, "an HDF5 file", "");
  check_named("PAR1\x15"sv, "a Parquet file", "");
  check_named("%PDF-1.7"sv, "a PDF", "");
}

TEST_CASE("UTF-16 and UTF-32 are refused with the iconv command") {
  check_named("\xFF\xFE\x31\0,\0\x32\0\n\0"sv, "UTF-16 text", "iconv -f UTF-16 -t UTF-8 x.csv | attn ... -");
  check_named("\xFE\xFF\0\x31\0,\0\x32"sv, "UTF-16 text", "iconv -f UTF-16 ");
  check_named("1\0,\0002\0\n\0"sv, "UTF-16LE text", "iconv -f UTF-16LE");
  check_named("\0001\0,\0002\0\n"sv, "UTF-16BE text", "iconv -f UTF-16BE");
  check_named("\xFF\xFE\0\0\x31\0\0\0"sv, "UTF-32 text", "iconv -f UTF-32");
  Case standard_input;
  standard_input.path = "-";
  CHECK(parse("\xFF\xFE\x31\0"sv, standard_input).failure.hint == "... | iconv -f UTF-16 -t UTF-8 | attn ... -");
}

TEST_CASE("names of rows are lines or one column") {
  Listener notes;
  const auto names = [&](std::string_view text, std::string selector = {}) {
    return parse_names(text, FileName{"x.csv", std::move(selector)}, {}, notes);
  };
  using Names = std::vector<std::string>;
  CHECK(names("a\nb c\n##ing\n") == Names{"a", "b c", "##ing"});
  CHECK(names("a\r\n\r\n b,\"c\r\n\r\n") == Names{"a", "", " b,\"c"});
  CHECK(names("a\rb") == Names{"a", "b"});
  CHECK(names("\xEF\xBB\xBFw\n") == Names{"w"});
  CHECK(names("{\n}") == Names{"{", "}"});
  CHECK(names("word,x\nfoo,1\n\"b,\"\"r\"\"\",2\n", "word") == Names{"foo", "b,\"r\""});
  CHECK(names("word\nfoo\nbar\n", "word") == Names{"foo", "bar"});
  CHECK(names("foo,1\nbar,2\n", "1") == Names{"foo", "bar"});
  CHECK(names("word,x,\nfoo,1,\nbar,2,\n", "word") == Names{"foo", "bar"});
  CHECK(names("a,b,\nfoo,1,\nbar,2,c\n", "1") == Names{"foo", "bar"});
  CHECK(failure_of([&] { (void)names(""); }).message == "no data: the file has no line with a name");
  CHECK(failure_of([&] { (void)names("\n\r\n"); }).status == Status::data);
  CHECK(failure_of([&] { (void)names("a,b\n1,2\n", "a,b"); }).status == Status::usage);
  CHECK(failure_of([&] { (void)names("a,b\nx,2\ny\n", "a"); }) ==
        Failure{Status::data, 3, 0, "line 3 has 1 cell but the header in line 1 has 2 (every row must have as many)",
                "--ragged 0, or another number, fills short rows with that number"});
}

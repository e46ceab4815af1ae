// Reading CSV: dialects, headers, selection, spellings of numbers, and what is said about text that cannot be read.
#include "csv_testing.hpp"

#include <cmath>
#include <limits>

#include <doctest/doctest.h>

using namespace attn;
using namespace attn::testing;
using Values = std::vector<double>;
using NameList = std::vector<std::string>;

namespace {

Case with(ReadOptions options) { return {{}, options, {}, "x.csv"}; }
Case selecting(std::string selector) { return {std::move(selector), {}, {}, "x.csv"}; }

Case delimited(char delimiter) {
  ReadOptions options;
  options.delimiter = delimiter;
  return with(options);
}

Case header(Header header) {
  ReadOptions options;
  options.header = header;
  return with(options);
}

Case double_precision() {
  ReadOptions options;
  options.text_type = DType::f64;
  return with(options);
}

void check_values(std::string_view text, const Shape& shape, const Values& values, const Case& how = {}) {
  CAPTURE(text);
  const Parsed parsed = parse(text, how);
  CHECK(parsed.failure == Failure{});
  CHECK(parsed.shape == shape);
  CHECK(parsed.values == values);
}

void check_failure(std::string_view text, std::size_t line, std::size_t column, std::string_view message,
                   std::string_view hint = {}, const Case& how = {}) {
  CAPTURE(text);
  const Parsed parsed = parse(text, how);
  CHECK(parsed.failure.status == Status::data);
  CHECK(parsed.failure.line == line);
  CHECK(parsed.failure.column == column);
  CAPTURE(parsed.failure);
  CHECK(contains(parsed.failure.message, message));
  CHECK(contains(parsed.failure.hint, hint));
  CHECK_FALSE(contains(parsed.failure.message, "\n"));
}

}  // namespace

TEST_CASE("separators are found by themselves") {
  check_values("1,2\n3,4\n", {2, 2}, {1, 2, 3, 4});
  check_values("1\t2\n3\t4\n", {2, 2}, {1, 2, 3, 4});
  check_values("1;2\n3;4\n", {2, 2}, {1, 2, 3, 4});
  check_values("1|2\n3|4\n", {2, 2}, {1, 2, 3, 4});
  check_values("1 2\n3 4\n", {2, 2}, {1, 2, 3, 4});
  check_values("   1    2 \n 3\t 4\n", {2, 2}, {1, 2, 3, 4});
  check_values("1, 2\n3 ,4 \n", {2, 2}, {1, 2, 3, 4});
  check_values("a b,c d\n1,2\n", {1, 2}, {1, 2});
  check_values("x y;z\n1;2\n", {1, 2}, {1, 2});
  check_values("5\n6\n", {2, 1}, {5, 6});
  check_values("1^2\n3^4\n", {2, 2}, {1, 2, 3, 4}, delimited('^'));
  check_values(
      "1\x1F"
      "2\n",
      {1, 2}, {1, 2}, delimited('\x1F'));
  CHECK(parse("1,2", delimited('7')).failure.status == Status::usage);
  CHECK(parse("1,2", delimited('"')).failure.status == Status::usage);
  CHECK(parse("1,2", delimited('\n')).failure.status == Status::usage);
  CHECK(parse("1;2\n3;4\n").notes == NameList{"x.csv: the separator is \";\""});
}

TEST_CASE("separators within quotes do not count") {
  check_values("\"a;b;c;d\",x\n1,2\n", {1, 2}, {1, 2});
  check_values("\"1\",\"2\"\n\"3\",\"4\"\n", {2, 2}, {1, 2, 3, 4});
  check_values("\" 1 \",2\n", {1, 2}, {1, 2});
}

TEST_CASE("line ends, blank lines, comments and a trailing separator do not matter") {
  const Values values = {1, 2, 3, 4};
  for (const std::string_view text : {"1,2\r\n3,4\r\n", "1,2\r3,4\r", "1,2\n3,4", "1,2\r\n3,4", "1,2\r3,4\n", "1,2,\n3,4,\n",
                                      "1,2,\n3,4", "\n1,2\n\n \n3,4\n\n\n", "# c\n1,2\n#\"x\n3,4\n # y", "\r\n1,2\r\n\r\n3,4",
                                      "\xEF\xBB\xBF"
                                      "1,2\n3,4\n"})
    check_values(text, {2, 2}, values);
  check_values("1\t2\t\n3\t4\t\n", {2, 2}, values);
  check_values("a,b,\n1,2,\n3,4,\n", {2, 2}, values);
  check_values("a,b\n1,2,\n3,4,\n", {2, 2}, values);
  CHECK(parse("a,b\n1,2,\n3,4,\n").columns == NameList{"a", "b"});
  CHECK(parse("1,2\n\n3,4\n").notes == NameList{"x.csv: the blank line 2 was skipped"});
  CHECK(parse("\n1,2\n\n\n3,4\n").notes == NameList{"x.csv: 3 blank lines were skipped, the first is line 1"});
  CHECK(parse("a,b\n1,2\n\n3,4\n\n").notes ==
        NameList{"x.csv: line 1 is a header row", "x.csv: 2 blank lines were skipped, the first is line 3"});
}

TEST_CASE("a separator at the end of some lines only is a cell") {
  check_failure("1,2,\n3,4,5\n", 1, 3, "empty cell");
  check_failure("a,b,\n1,2,\n3,4,5\n", 2, 3, "empty cell");
  check_failure("1,2\n3,4,\n", 2, 0, "line 2 has 3 cells but line 1 has 2");
  ReadOptions options;
  options.missing = -1.0;
  check_values("1,2,\n3,4,5\n", {2, 3}, {1, 2, -1, 3, 4, 5}, with(options));
  check_values("a,b,c\n1,2,\n3,4,\n", {2, 3}, {1, 2, -1, 3, 4, -1}, with(options));
}

TEST_CASE("a header row is found by itself") {
  const auto headed = [](std::string_view text) { return parse(text).columns; };
  CHECK(headed("a,b\n1,2\n") == NameList{"a", "b"});
  CHECK(headed("\"a\",\"b, c\"\n1,2\n") == NameList{"a", "b, c"});
  CHECK(headed("\xEF\xBB\xBFw,b\n1,2\n") == NameList{"w", "b"});
  CHECK(headed("# note\n\nw,b\n1,2\n") == NameList{"w", "b"});
  CHECK(headed(",0,1\nrow,1,2\n").empty());
  CHECK(headed("1,2\n3,4\n").empty());
  CHECK(headed("nan,inf\n1,2\n").empty());
  CHECK(parse("x,1,2\n0,3,4\n").shape == Shape{1, 3});
  CHECK(parse("id,v\nfoo,1\nbar,2\n", selecting("v")).values == Values{1, 2});
  CHECK(parse("id,v\nfoo,1\nbar,2\n", selecting("2")).columns == NameList{"v"});
  CHECK(parse("v\n1\n").notes == NameList{"x.csv: line 1 is a header row"});
  CHECK(parse("1,2\n3,4\n", header(Header::yes)).columns == NameList{"1", "2"});
  CHECK(parse("1,2\n3,4\n", header(Header::yes)).values == Values{3, 4});
  check_failure("a,b\n1,2\n", 1, 1, "\"a\" is not a number", "select the columns", header(Header::no));
}

TEST_CASE("a header alone is a table without rows, an empty file is none") {
  CHECK(parse("a,b,c\n").shape == Shape{0, 3});
  CHECK(parse("a,b,c").columns == NameList{"a", "b", "c"});
  CHECK(parse("1,2\n", header(Header::yes)).shape == Shape{0, 2});
  check_failure("1,x,3\n", 1, 2, "\"x\" is not a number", "--header yes");
  for (const std::string_view text : {"", "\n", "\n\r\n \t\n", "# only\n", "\xEF\xBB\xBF"}) check_failure(text, 0, 0, "no data");
}

TEST_CASE("columns are selected by name, number, range and list") {
  const std::string_view text = "p0,p1,p2,digit\n1,2,3,4\n5,6,7,8\n";
  const auto values = [&](std::string selector) { return parse(text, selecting(std::move(selector))).values; };
  CHECK(values("digit") == Values{4, 8});
  CHECK(values("p1..p2") == Values{2, 3, 6, 7});
  CHECK(values("1..2,4") == Values{1, 2, 4, 5, 6, 8});
  CHECK(values("3..") == Values{3, 4, 7, 8});
  CHECK(values("..2") == Values{1, 2, 5, 6});
  CHECK(values("p2..") == Values{3, 4, 7, 8});
  CHECK(values("digit,p0") == Values{4, 1, 8, 5});
  CHECK(values("2,2") == Values{2, 2, 6, 6});
  CHECK(parse(text, selecting("digit,1")).columns == NameList{"digit", "p0"});
  CHECK(parse("2,1\n3,4\n", {"1", header(Header::yes).options, {}, "x.csv"}).values == Values{4});
  CHECK(parse("a..b,c\n3,4\n", selecting("a..b")).values == Values{3});
  CHECK(parse("\"a,b\",c\n3,4\n", selecting("a,b")).values == Values{3});
  CHECK(parse("x,y\nu,v\nw,v\n", selecting("zz")).failure.message ==
        "no column can be called \"zz\", because the file has no header row");

  check_failure(text, 0, 0, "there is no column \"digitt\"", "did you mean \"digit\"? the columns are \"p0\", \"p1\"",
                selecting("digitt"));
  check_failure(text, 0, 0, "there is no column 5 (the file has 4)", "", selecting("5"));
  check_failure(text, 0, 0, "there is no column 99999999999999999999", "", selecting("99999999999999999999"));
  check_failure("1,2\n", 0, 0, "the file has no header row", "--header yes", selecting("p0"));
  check_failure("a,b,a\n1,2,3\n", 0, 0, "the columns 1 and 3 are both called \"a\"", "numbers", selecting("a"));
  for (const char* selector : {"0", "3..1", "1,,2", "..", ","})
    CHECK(parse(text, selecting(selector)).failure.status == Status::usage);
}

TEST_CASE("text in columns that are not selected is no problem") {
  CHECK(parse("id,a,b\nx,1,2\ny,3,4\n", selecting("a..b")).values == Values{1, 2, 3, 4});
  CHECK(parse("x,1,2\ny,3,4\n", selecting("2..3")).values == Values{1, 2, 3, 4});
  check_failure("id,a\nx,1\ny,3\n", 2, 1, "\"x\" is not a number in column \"id\"", "select the columns that hold numbers");
}

TEST_CASE("numbers in every usual spelling") {
  check_values("+1.5,-2,.5,5.,1e3,-1E-3,007\n", {1, 7}, {1.5, -2, 0.5, 5, 1000, -0.001, 7}, double_precision());
  check_values("0x1p-3,0X1.8P1,-0x.8,+0xff,0x1.921fb54442d18p1\n", {1, 5}, {0.125, 3, -0.5, 255, 3.141592653589793},
               double_precision());
  const Parsed special = parse("nan,NaN,-nan,inf,-Infinity,+INF\n");
  REQUIRE(special.values.size() == 6);
  for (std::size_t i = 0; i < 3; ++i) CHECK(std::isnan(special.values[i]));
  const double infinity = std::numeric_limits<double>::infinity();
  CHECK(Values(special.values.begin() + 3, special.values.end()) == Values{infinity, -infinity, infinity});
  check_values("1e-400,-1e-400,0x1p-2000,1e-46\n", {1, 4}, {0, 0, 0, 0});
  check_values("1.4e-45,1e-45,0x1p-149\n", {1, 3}, Values(3, 0x1p-149));
  check_values("340282346638528859811704183484516925440\n", {1, 1}, {3.4028234663852886e38});
}

TEST_CASE("values are rounded once, to the type asked for") {
  // Between 1 and 1 + 2^-23, above the middle by less than float64 can hold: rounding twice would give 1.
  check_values("1.00000005960464477539062500000001\n", {1, 1}, {1.0 + 0x1p-23});
  check_values("0x1.00000100000000000001\n", {1, 1}, {1.0 + 0x1p-23});
  check_values("0x1.000001\n", {1, 1}, {1.0});
  check_values("0.1\n", {1, 1}, {static_cast<double>(0.1F)});
  check_values("0.1\n", {1, 1}, {0.1}, double_precision());
}

TEST_CASE("what is no number is refused with its line and cell") {
  check_failure("1,2\n3,abc\n", 2, 2, "\"abc\" is not a number", "x.csv:1..3,7");
  check_failure("a,b\n1,2\n3,1_000\n", 3, 2, "\"1_000\" is not a number in column \"b\"", "underscores");
  check_failure("1,2\n3,1e400\n", 2, 2, "\"1e400\" is out of the range of float32");
  check_failure("1,2\n3,1e39\n", 2, 2, "\"1e39\" is out of the range of float32", "--dtype f64");
  check_failure("1,2\n3,-0x1p128\n", 2, 2, "out of the range", "--dtype f64");
  check_failure("1,2\n3,1e400\n", 2, 2, "out of the range of float64", "", double_precision());
  check_values("1e39\n", {1, 1}, {1e39}, double_precision());
  for (const std::string_view bad :
       {"--1", "+-1", "1e", "1e+", "e5", ".", "-", "0x", "0xg", "0x1p", "0x1p1.5", "1.2.3", "infinit", "1 2", "1f", "1d5",
        "\xC2\xA0"
        "1",
        "1,", "１"})
    check_failure("1;2\n3;" + std::string(bad) + "\n", 2, 2, "is not a number");
  check_failure(
      "1,2\n3,a\x01"
      "b\xFF\n",
      2, 2, R"("a\x01b\xFF" is not a number)");
  check_failure("1,2\n3," + std::string(1000, 'y') + "\n", 2, 2, "\"" + std::string(40, 'y') + "...\"");
  check_failure(std::string_view("1,2\n3,\0\n", 8), 2, 2, R"("\x00" is not a number)");
}

TEST_CASE("empty cells and marks for missing values are errors unless they get a value") {
  ReadOptions options;
  options.missing = -5.5;
  for (const std::string mark : {"", "NA", "na", "N/A", "null", "NULL", "None", "#N/A", "<NA>"}) {
    check_failure("1,2\n3," + mark + "\n4,5\n", 2, 2, mark.empty() ? "empty cell" : "\"" + mark + "\" stands for a missing value",
                  "--na");
    check_values("1,2\n3," + mark + "\n4,5\n", {3, 2}, {1, 2, 3, -5.5, 4, 5}, with(options));
  }
  check_values("1,,3\n,,\n", {2, 3}, {1, -5.5, 3, -5.5, -5.5, -5.5}, with(options));
  CHECK(parse("a,b\nNA,1\n", with(options)).columns == NameList{"a", "b"});
  CHECK(parse("NA,1\n2,3\n", with(options)).shape == Shape{2, 2});
}

TEST_CASE("rows of different lengths are refused or padded") {
  check_failure("1,2,3\n4,5,6\n7,8\n", 3, 0, "line 3 has 2 cells but line 1 has 3", "--ragged");
  check_failure("# c\n\na,b\n1,2\n3,4,5\n", 5, 0, "line 5 has 3 cells but the header in line 3 has 2");
  check_failure("a,b\n1,2,3\n", 2, 0, "line 2 has 3 cells but the header in line 1 has 2");
  ReadOptions options;
  options.ragged_pad = 9;
  check_values("1\n2,3\n4,5,6\n", {3, 3}, {1, 9, 9, 2, 3, 9, 4, 5, 6}, with(options));
}

TEST_CASE("padding") {
  ReadOptions options;
  options.ragged_pad = 9;
  check_values("1,2,3,\n4,\n5,6\n", {3, 3}, {1, 2, 3, 4, 9, 9, 5, 6, 9}, with(options));
  check_failure("1,2,3\n4,,6\n", 2, 2, "empty cell", "", with(options));
  check_failure("1,2,3\n4,,\n", 2, 2, "empty cell", "", with(options));
  check_values("a,b\n1\n2,3\n", {2, 2}, {1, 9, 2, 3}, with(options));
  CHECK(parse("a,b\n1\n2,3,4\n", with(options)).columns == NameList{"a", "b", ""});
  check_values("1\n2,3\n", {2, 1}, {9, 3}, {"2", options, {}, "x.csv"});
  const std::string long_row = std::string(2'000'000, ',') + "1\n";
  std::string rows;
  for (int i = 0; i < 1000; ++i) rows += "1\n";
  ReadOptions missing = options;
  missing.missing = 0;
  CHECK(parse(rows + long_row, with(missing)).failure.status == Status::memory);
}

TEST_CASE("a decimal comma is read only when asked for, and never guessed") {
  ReadOptions options;
  options.decimal = ',';
  check_values("1,5;2\n-,5;1,25e1\n", {2, 2}, {1.5, 2, -0.5, 12.5}, with(options));
  check_values("0x1,8p1 2,5\n", {1, 2}, {3, 2.5}, with(options));
  check_failure("1,5;2,5\n3,5;4\n", 1, 1, "\"1,5\" is not a number", "--decimal ,");
  check_failure("a;b\n1,5;2,5\n", 2, 1, "\"1,5\" is not a number in column \"a\"", "--decimal ,");
  check_failure("1.5;2\n", 1, 1, "\"1.5\" is not a number", "--decimal .", with(options));
  check_failure("\"1,234\",2\n", 1, 1, "\"1,234\" is not a number", "--decimal ,");
  options.delimiter = ',';
  CHECK(parse("1,5\n", with(options)).failure.status == Status::usage);
}

TEST_CASE("mixed separators are an error that names both") {
  check_failure("1,2,3\n4,5,6\n1;2;3\n", 3, 1, "\"1;2;3\" is not a number",
                "the separator \",\" was expected; this line has \";\"");
  check_failure("1,2,3\n4,5;6,7\n", 2, 2, "\"5;6\" is not a number", "the separator \",\" was expected; this line has \";\"");
}

TEST_CASE("a vector cell becomes several columns") {
  check_values("\"[0.5, 1]\",7\n\"[2,3]\",8\n", {2, 3}, {0.5, 1, 7, 2, 3, 8});
  check_values("[0.5, 1]\t7\n[2 3]\t[8]\n", {2, 3}, {0.5, 1, 7, 2, 3, 8});
  check_values("id;v\nx;[1 2 3]\ny;[4,5,6]\n", {2, 3}, {1, 2, 3, 4, 5, 6}, {"v", delimited(';').options, {}, "x.csv"});
  CHECK(parse("n,v\n1,\"[1,2]\"\n").columns == NameList{"n", "v[0]", "v[1]"});
  check_values("n,v\n1,\"[1,2]\"\n", {1, 5}, {1, 2, 1, 1, 2}, selecting("v,n,v"));
  check_failure("\"[1,2]\"\n\"[3]\"\n", 2, 1, "the vector \"[3]\" has 1 numbers (2 were expected");
  check_failure("\"[1,2]\"\n3\n", 2, 1, "\"3\" is not a vector like [0.1, 0.2] of 2 numbers");
  check_failure("\"[1,2]\"\n\"[3,x]\"\n", 2, 1, "\"[3,x]\" is not a number");
  check_failure("\"[1,2]\"\n\"[3,1e99]\"\n", 2, 1, "\"1e99\" is out of the range of float32");
  check_failure("\"[1,2]\"\n\"[3,]\"\n", 2, 1, "empty cell (a number was expected) in the vector \"[3,]\"");
  check_failure("1\n[]\n", 2, 1, "the vector \"[]\" has 0 numbers");
  check_failure("[0.1, 0.2],3\n", 1, 1, "\"[0.1\" is not a number", "must stand in quotes", delimited(','));
}

TEST_CASE("quotes that are not closed") {
  check_failure("1,2\n3,\"4\n5,6\n", 2, 2, "the quoted cell that begins here is not closed");
  check_failure("\"a,b\n1,2\n", 1, 1, "not closed");
  check_failure("1,\"2\n2\",3\n4,5,x\n", 1, 2, R"("2\x0A2" is not a number)", "", header(Header::no));
  check_values("a,b\n\"x\ny\",1\n\"z\"\"z\",2\n", {2, 1}, {1, 2}, selecting("b"));
  check_failure("a,b\n\"x\ny\",1\nz,w\n", 4, 2, "\"w\" is not a number in column \"b\"", "", selecting("b"));
}

// Writing CSV: shapes, types, names, quotes, order of the pieces, and text that reads back to the same bits.
#include "csv_testing.hpp"

#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <random>

#include <doctest/doctest.h>

using namespace attn;
using namespace attn::testing;

namespace {

template <class T>
std::string written(const Shape& shape, const std::vector<T>& values, const WriteOptions& options = {}, char delimiter = ',',
                    std::size_t threads = 0) {
  StringSink sink;
  const Array array = Array::of<T>(shape, values);
  CsvTuning tuning;
  tuning.threads = threads;
  write_csv(sink, array.dtype(), shape, array.data(), options, delimiter, tuning);
  return sink.text;
}

template <class T, class Bits>
void check_round_trip(const std::vector<Bits>& bits, std::size_t columns, std::uint64_t seed) {
  CAPTURE(seed);
  std::vector<T> values;
  for (const Bits b : bits) values.push_back(std::bit_cast<T>(b));
  const Shape shape = {values.size() / columns, columns};
  values.resize(shape[0] * columns);
  const std::string text = written<T>(shape, values);
  ReadOptions options;
  options.text_type = dtype_of<T>;
  Listener notes;
  for (const CsvLane lane : {CsvLane::plain, CsvLane::quoted}) {
    CsvTuning tuning;
    tuning.lane = lane;
    const Loaded loaded = parse_csv(text, FileName{"x.csv", ""}, options, notes, tuning);
    REQUIRE(loaded.array.shape() == shape);
    const auto back = loaded.array.values<T>();
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const bool same =
          std::isnan(values[i]) ? std::isnan(back[i]) : std::bit_cast<Bits>(values[i]) == std::bit_cast<Bits>(back[i]);
      wrong += same ? 0U : 1U;
    }
    CHECK(wrong == 0);
  }
}

}  // namespace

TEST_CASE("numbers are the shortest text that reads back") {
  CHECK(shortest(0.1F) == "0.1");
  CHECK(shortest(0.1) == "0.1");
  CHECK(shortest(static_cast<double>(0.1F)) == "0.10000000149011612");
  CHECK(shortest(-0.0F) == "-0");
  CHECK(shortest(16777216.0F) == "16777216");
  CHECK(shortest(1e-45F) == "1e-45");
  CHECK(shortest(1e22) == "1e+22");
  CHECK(shortest(std::numeric_limits<double>::max()) == "1.7976931348623157e+308");
  CHECK(shortest(std::numeric_limits<float>::infinity()) == "inf");
  CHECK(shortest(-std::numeric_limits<double>::infinity()) == "-inf");
  CHECK(shortest(std::numeric_limits<float>::quiet_NaN()) == "nan");
  CHECK(shortest(std::copysign(std::numeric_limits<double>::quiet_NaN(), -1.0)) == "nan");
}

TEST_CASE("float32 text is what the standard library writes, bit for bit") {
  const std::uint64_t seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const auto check = [](std::uint32_t bits) {
    const float value = std::bit_cast<float>(bits);
    if (std::isnan(value)) return;
    char buffer[64];
    const std::string expected(buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr);
    REQUIRE(shortest(value) == expected);
  };
  for (std::uint32_t exponent = 0; exponent < 256; ++exponent)
    for (const std::uint32_t fraction : {0U, 1U, 2U, 3U, 0x3FFFFFU, 0x400000U, 0x7FFFFDU, 0x7FFFFEU, 0x7FFFFFU})
      check(exponent << 23U | fraction);
  for (std::uint32_t integer = 0; integer < 300'000; ++integer)
    check(std::bit_cast<std::uint32_t>(static_cast<float>(integer) * 97.0F));
  for (int i = 0; i < 300'000; ++i) {
    check(static_cast<std::uint32_t>(random()));
    check(std::bit_cast<std::uint32_t>(static_cast<float>(random() % 20'000'000) / 1e4F));  // few digits
  }
}

TEST_CASE("shapes that are tables once dimensions of size 1 are dropped") {
  using Size = std::pair<std::size_t, std::size_t>;
  CHECK(csv_shape({}) == Size{1, 1});
  CHECK(csv_shape({5}) == Size{1, 5});
  CHECK(csv_shape({2, 3}) == Size{2, 3});
  CHECK(csv_shape({3, 1}) == Size{3, 1});
  CHECK(csv_shape({1, 1, 5, 1}) == Size{5, 1});
  CHECK(csv_shape({3, 1, 5}) == Size{3, 5});
  CHECK(csv_shape({1, 4, 1, 5}) == Size{4, 5});
  CHECK(csv_shape({2, 1, 1, 1}) == Size{2, 1});
  CHECK(csv_shape({1, 0, 7}) == Size{0, 7});
  const Failure failure = failure_of([] { (void)csv_shape({2, 3, 4}); });
  CHECK(failure.status == Status::usage);
  CHECK(contains(failure.message, "[2, 3, 4]"));
  CHECK(contains(failure.hint, ".npy"));
}

TEST_CASE("every element type") {
  CHECK(written<float>({2, 2}, {1, -2.5F, 1e-7F, 3}) == "1,-2.5\n1e-07,3\n");
  CHECK(written<double>({1, 2}, {0.1, 1e300}) == "0.1,1e+300\n");
  CHECK(written<std::int8_t>({1, 2}, {-128, 127}) == "-128,127\n");
  CHECK(written<std::uint8_t>({1, 2}, {0, 255}) == "0,255\n");
  CHECK(written<std::int16_t>({1, 1}, {-32768}) == "-32768\n");
  CHECK(written<std::uint16_t>({1, 1}, {65535}) == "65535\n");
  CHECK(written<std::int32_t>({1, 1}, {-2147483647 - 1}) == "-2147483648\n");
  CHECK(written<std::uint32_t>({1, 1}, {4294967295U}) == "4294967295\n");
  CHECK(written<std::int64_t>({1, 1}, {std::numeric_limits<std::int64_t>::min()}) == "-9223372036854775808\n");
  CHECK(written<std::uint64_t>({1, 1}, {std::numeric_limits<std::uint64_t>::max()}) == "18446744073709551615\n");
  CHECK(written<bool>({1, 3}, {true, false, true}) == "1,0,1\n");
  StringSink sink;
  const std::vector<std::uint16_t> halves = {0x3C00, 0x2E66, 0x7C00, 0xFC00, 0x7E00, 0x8000, 0x0001};
  write_csv(sink, DType::f16, {7}, reinterpret_cast<const std::byte*>(halves.data()), {}, ',');
  CHECK(sink.text == "1,0.099975586,inf,-inf,nan,-0,5.9604645e-08\n");
  StringSink brain;
  const std::vector<std::uint16_t> floats = {0x3F80, 0x3DCD, 0xFF80};
  write_csv(brain, DType::bf16, {1, 3}, reinterpret_cast<const std::byte*>(floats.data()), {}, '\t');
  CHECK(brain.text == "1\t0.100097656\t-inf\n");
}

TEST_CASE("names of rows and columns, quoted where they must be") {
  WriteOptions options;
  options.row_names = {"a", "b,c", "d \"e\"", " f", "", "#g", "h\ni"};
  options.row_title = "name";
  options.column_names = {"x", "y;z"};
  const std::vector<float> values(14, 1);
  CHECK(written<float>({7, 2}, values, options) ==
        "name,x,y;z\na,1,1\n\"b,c\",1,1\n\"d \"\"e\"\"\",1,1\n\" f\",1,1\n,1,1\n\"#g\",1,1\n\"h\ni\",1,1\n");
  options.delimiter = ';';
  CHECK(written<float>({7, 2}, values, options).starts_with("name;x;\"y;z\"\na;1;1\nb,c;1;1\n"));
  options.delimiter = ' ';
  CHECK(contains(written<float>({7, 2}, values, options), "\n\"\" 1 1\n"));
  Listener notes;
  CHECK(parse_names(written<float>({7, 2}, values, options), FileName{"x.csv", "name"}, {}, notes) == options.row_names);
  options.delimiter = '\t';
  CHECK(parse_names(written<float>({7, 2}, values, options), FileName{"x.csv", "1"}, {}, notes) == options.row_names);
  CHECK(failure_of([&] { (void)written<float>({2, 7}, values, options); }).message == "there are 7 names for 2 rows");
  options.row_names.clear();
  CHECK(failure_of([&] { (void)written<float>({2, 7}, values, options); }).message == "there are 2 names for 7 columns");
  options.delimiter = '.';
  CHECK(failure_of([&] { (void)written<float>({7, 2}, values, options); }).status == Status::usage);
}

TEST_CASE("no rows are an empty file, or a header alone") {
  CHECK(written<float>({0, 3}, {}).empty());
  CHECK(written<float>({3, 0}, {}).empty());
  CHECK(written<float>({0}, {}).empty());
  WriteOptions options;
  options.column_names = {"a", "b"};
  CHECK(written<float>({0, 2}, {}, options) == "a,b\n");
  CHECK(parse("a,b\n").shape == Shape{0, 2});
}

TEST_CASE("the text does not depend on the number of threads, whatever the size of the pieces and rows") {
  for (const std::size_t columns : {1U, 7U, 32767U, 32768U, 32769U, 100'003U}) {
    CAPTURE(columns);
    const std::size_t rows = 200'003 / columns + 1;
    std::vector<std::int32_t> values(rows * columns);
    WriteOptions options;
    std::string expected;
    for (std::size_t r = 0; r < rows; ++r) {
      options.row_names.push_back("row \"" + std::to_string(r) + "\"");
      expected += "\"row \"\"" + std::to_string(r) + "\"\"\"";
      for (std::size_t c = 0; c < columns; ++c) {
        values[r * columns + c] = static_cast<std::int32_t>(r * columns + c) - 1000;
        expected += ',' + std::to_string(values[r * columns + c]);
      }
      expected += '\n';
    }
    for (const std::size_t threads : {1U, 2U, 3U, 16U})
      CHECK(written<std::int32_t>({rows, columns}, values, options, ',', threads) == expected);
  }
}

TEST_CASE("a sink that fails ends the writing with its error") {
  class FullSink : public Outputs::TextSink {
   public:
    void write(std::string_view) override {
      if (++calls == 3) throw Error(Status::io, "no space left");
    }
    int calls = 0;
  };
  const std::vector<float> values(1'000'000, 1.5F);
  for (const std::size_t threads : {1U, 2U}) {
    FullSink sink;
    CsvTuning tuning;
    tuning.threads = threads;
    CHECK(failure_of([&] {
            write_csv(sink, DType::f32, {1000, 1000}, reinterpret_cast<const std::byte*>(values.data()), {}, ',', tuning);
          }).message == "no space left");
  }
}

TEST_CASE("rows of mixed cells") {
  StringSink sink;
  CsvRows rows(sink, {"batch", "key, name", "weight"});
  rows.index(0).text("a,b").real(0.1F);
  rows.end_row();
  rows.integer(-3).text("").real(0.1);
  rows.end_row();
  rows.finish();
  CHECK(sink.text == "batch,\"key, name\",weight\n0,\"a,b\",0.1\n-3,,0.1\n");
  StringSink large;
  CsvRows many(large, {}, '\t');
  for (std::size_t i = 0; i < 100'000; ++i) {
    many.index(i).real(0.5);
    many.end_row();
  }
  many.finish();
  CHECK(large.pieces > 5);
  CHECK(large.text.starts_with("0\t0.5\n1\t0.5\n"));
  CHECK(large.text.ends_with("99999\t0.5\n"));
}

TEST_CASE("random bits survive text: float32 and float64, with subnormal and special values") {
  const std::uint64_t seed = std::random_device{}();
  std::mt19937_64 random(seed);
  std::vector<std::uint32_t> singles = {0,           0x80000000U, 1,           0x007FFFFFU, 0x00800000U,
                                        0x7F7FFFFFU, 0x7F800000U, 0xFF800000U, 0x7FC00000U};
  std::vector<std::uint64_t> doubles = {
      0, 0x8000000000000000U, 1, 0x000FFFFFFFFFFFFFU, 0x0010000000000000U, 0x7FEFFFFFFFFFFFFFU, 0x7FF0000000000000U};
  for (int i = 0; i < 200'000; ++i) {
    singles.push_back(static_cast<std::uint32_t>(random()));
    singles.push_back(static_cast<std::uint32_t>(random()) & 0x807FFFFFU);  // subnormal
    singles.push_back(std::bit_cast<std::uint32_t>(static_cast<float>(random() % 2'000'000) / 1000.0F - 1000.0F));
    doubles.push_back(random());
    doubles.push_back(random() & 0x800FFFFFFFFFFFFFU);
    doubles.push_back(std::bit_cast<std::uint64_t>(static_cast<double>(random() % 2'000'000'000) / 1e6));
  }
  check_round_trip<float>(singles, 101, seed);
  check_round_trip<double>(doubles, 97, seed);
}

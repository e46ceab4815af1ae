// The plain lane against libcsv, against the C library's number reader, in any number of pieces and threads, and on hostile text.
#include "csv_testing.hpp"
#include "io/text.hpp"
#include "io/text_fast.hpp"
#include "io/text_number.hpp"

#include <bit>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

#include <doctest/doctest.h>
#include <sys/resource.h>

using namespace attn;
using namespace attn::testing;

namespace {

// AddressSanitizer keeps freed memory and much of its own, so that the peak says nothing.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool memory_is_watched = true;
#elif defined(__has_feature)
constexpr bool memory_is_watched = __has_feature(address_sanitizer);
#else
constexpr bool memory_is_watched = false;
#endif

/// Everything that a reading gives, with NaN as itself.
bool same(const Parsed& a, const Parsed& b) {
  std::vector<std::uint64_t> x;
  std::vector<std::uint64_t> y;
  for (const double value : a.values) x.push_back(std::bit_cast<std::uint64_t>(value));
  for (const double value : b.values) y.push_back(std::bit_cast<std::uint64_t>(value));
  return a.failure == b.failure && a.shape == b.shape && x == y && a.columns == b.columns && a.notes == b.notes;
}

Parsed in_lane(std::string_view text, Case how, CsvLane lane, std::size_t threads = 1, std::size_t block_bytes = 1 << 20) {
  how.tuning = {lane, threads, block_bytes};
  return parse(text, how);
}

void check_lanes(std::string_view text, const Case& how) {
  CAPTURE(text);
  CAPTURE(how.selector);
  const Parsed quoted = in_lane(text, how, CsvLane::quoted);
  for (const auto& [threads, block_bytes] : {std::pair<std::size_t, std::size_t>{1, 1 << 20}, {1, 1}, {2, 17}}) {
    const Parsed plain = in_lane(text, how, CsvLane::plain, threads, block_bytes);
    CAPTURE(block_bytes);
    CAPTURE(quoted.failure);
    CAPTURE(plain.failure);
    CHECK(same(plain, quoted));
  }
}

/// Random text that is nearly a CSV file.
class Generator {
 public:
  explicit Generator(std::uint64_t seed) : random_(seed) {}

  std::size_t below(std::size_t n) { return static_cast<std::size_t>(random_() % n); }
  template <class T, std::size_t N>
  const T& one_of(const T (&choices)[N]) {
    return choices[below(N)];
  }

  std::string file(char delimiter) {
    const std::size_t columns = 1 + below(5);
    const std::size_t rows = below(8);
    const bool strange = below(2) == 0;
    const bool trailing = below(5) == 0;
    std::string end = one_of({"\n", "\n", "\r\n", "\r"});
    std::string text = below(8) == 0 ? "\xEF\xBB\xBF" : "";
    if (below(3) == 0) text += row(columns, delimiter, "h", trailing) + end;
    for (std::size_t r = 0; r < rows; ++r) {
      if (strange && below(6) == 0) text += one_of({"", " ", "# a, b", "  #", "\t", ",", ";"}) + end;
      const std::size_t length = strange && below(8) == 0 ? 1 + below(columns + 2) : columns;
      text += row(length, delimiter, strange && below(4) == 0 ? "?" : "", trailing);
      if (strange && below(10) == 0) end = one_of({"\n", "\r\n", "\r", "\n\r", "\n\n"});
      if (r + 1 != rows || below(3) != 0) text += end;
    }
    return text;
  }

 private:
  std::string row(std::size_t columns, char delimiter, std::string_view kind, bool trailing) {
    std::string result;
    const std::size_t bad = kind == "?" ? below(columns) : columns;
    if (delimiter == ' ' && below(5) == 0) result += one_of({" ", "   ", "\t"});
    for (std::size_t c = 0; c < columns; ++c) {
      if (c != 0) result += delimiter == ' ' ? std::string(one_of({" ", " ", "  ", " \t"})) : std::string(1, delimiter);
      if (delimiter != ' ' && below(12) == 0) result += one_of({" ", "  ", "\t"});
      result += kind == "h" ? "h" + std::to_string(c) : c == bad ? odd_cell() : number();
      if (delimiter != ' ' && below(12) == 0) result += one_of({" ", "  "});
    }
    if (trailing && below(12) != 0) result += delimiter;
    return result;
  }

  std::string odd_cell() {
    return one_of({"",    "NA",   "abc",  "1e400",  "1e39",  "0x1p-3", "+5",     "nan", "-inf", "INFINITY", "1,5",
                   "1;5", "1|2",  "1_0",  "--1",    "[1 2]", "[1]",    "[]",     "[",   "#",    "a#",       "1.5.2",
                   "1e",  "\x01", "\xFF", "nan(1)", "nan(",  "0x",     "1e-400", ".",   "-",    "1 2"});
  }

  std::string number() {
    char buffer[64];
    const double scale[] = {1, 1000, 1e-5, 1e10, 1e-40, 1e30};
    const double value = (static_cast<double>(random_()) / 0x1p64 - 0.5) * one_of(scale);
    std::snprintf(buffer, sizeof buffer, one_of({"%.3f", "%.9g", "%.17g", "%.0f", "%e", "%.25f", "%.1f"}), value);
    return buffer;
  }

  std::mt19937_64 random_;
};

}  // namespace

TEST_CASE("both lanes read the same values and find the same errors in random files without quotes") {
  const std::uint64_t seed = std::random_device{}();
  CAPTURE(seed);
  Generator generator(seed);
  std::size_t good = 0;
  std::size_t bad = 0;
  for (int i = 0; i < 3000; ++i) {
    const char delimiter = generator.one_of({',', '\t', ';', '|', ' '});
    const std::string text = generator.file(delimiter);
    Case how;
    how.selector = generator.one_of({"", "", "", "1", "2..", "h1", "2,1", "1,1..2", "..2"});
    if (generator.below(2) == 0) how.options.delimiter = delimiter;
    if (generator.below(3) == 0) how.options.missing = 7;
    if (generator.below(3) == 0) how.options.ragged_pad = -7;
    if (generator.below(6) == 0) how.options.header = generator.one_of({Header::yes, Header::no});
    if (generator.below(4) == 0) how.options.text_type = DType::f64;
    if (generator.below(8) == 0 && delimiter != ',') how.options.decimal = ',';
    check_lanes(text, how);
    (in_lane(text, how, CsvLane::quoted).failure == Failure{} ? good : bad) += 1;
  }
  // The corpus must have enough of both to mean something.
  CHECK(good > 700);
  CHECK(bad > 700);
}

TEST_CASE("quotes around every cell change nothing but the lane") {
  const std::uint64_t seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 200; ++i) {
    const std::size_t columns = 1 + random() % 7;
    std::string plain;
    std::string quoted;
    for (std::size_t r = 0; r < 20; ++r)
      for (std::size_t c = 0; c < columns; ++c) {
        const std::string cell = shortest(std::bit_cast<float>(static_cast<std::uint32_t>(random()) & 0xBFFFFFFFU));
        const char* const end = c + 1 == columns ? "\n" : ",";
        plain += cell + end;
        quoted += '"' + cell + '"' + end;
      }
    CHECK(same(parse(plain), parse(quoted)));
  }
}

TEST_CASE("a quote late in the file, or in one thread's part of it, changes to the general lane") {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += std::to_string(i) + ",2\n";
  Case how;
  how.tuning = {CsvLane::automatic, 3, 100};
  CHECK(same(parse(text + "\"3\",\"4\"\n", how), parse(text + "3,4\n", how)));
  CHECK(parse(text + "\"3\",x\n", how).failure.line == 5001);
  CHECK(parse(text + "y,x\n\"3\",4\n", how).failure.line == 5001);
  how.options.header = Header::no;
  CHECK(parse("1,\"z\"\n" + text, {"1", how.options, how.tuning, "x.csv"}).shape == Shape{5001, 1});
  how.tuning.lane = CsvLane::plain;
  CHECK(parse(text + "\"3\",4\n", how).failure.status == Status::defect);
}

TEST_CASE("the first error in the file is found, whatever thread meets one first") {
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += i % 1000 == 777 ? "1,bad,3\n" : "1,2,3\n";
  for (const std::size_t threads : {1U, 2U, 3U, 8U})
    for (const std::size_t block_bytes : {100U, 4096U, 1000'000U}) {
      const Failure failure = in_lane(text, {}, CsvLane::plain, threads, block_bytes).failure;
      CHECK(failure.line == 778);
      CHECK(failure.column == 2);
    }
}

TEST_CASE("numbers agree with the C library to the last bit") {
  const std::uint64_t seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const auto check = [](const std::string& text) {
    float narrow = 0;
    double wide = 0;
    const bool fits = std::isfinite(std::strtof(text.c_str(), nullptr));
    const bool fits_wide = std::isfinite(std::strtod(text.c_str(), nullptr));
    const NumberText found = read_number(text, '.', narrow);
    const NumberText found_wide = read_number(text, '.', wide);
    CAPTURE(text);
    REQUIRE(found == (fits ? NumberText::number : NumberText::out_of_range));
    REQUIRE(found_wide == (fits_wide ? NumberText::number : NumberText::out_of_range));
    if (fits) REQUIRE(std::bit_cast<std::uint32_t>(narrow) == std::bit_cast<std::uint32_t>(std::strtof(text.c_str(), nullptr)));
    if (fits_wide)
      REQUIRE(std::bit_cast<std::uint64_t>(wide) == std::bit_cast<std::uint64_t>(std::strtod(text.c_str(), nullptr)));
    if (text.find('x') != std::string::npos) return;
    const std::string padded = text + std::string(static_cast<std::size_t>(common_number_reach), '\n');
    float quick = 0;
    if (const char* const end = read_common_number(padded.data(), '.', quick)) {
      REQUIRE(end == padded.data() + text.size());
      REQUIRE(std::bit_cast<std::uint32_t>(quick) == std::bit_cast<std::uint32_t>(narrow));
    }
    double quick_wide = 0;
    if (const char* const end = read_common_number(padded.data(), '.', quick_wide)) {
      REQUIRE(end == padded.data() + text.size());
      REQUIRE(std::bit_cast<std::uint64_t>(quick_wide) == std::bit_cast<std::uint64_t>(wide));
    }
  };
  const auto digits = [&](std::size_t most) {
    std::string result;
    for (std::size_t n = random() % (most + 1); n > 0; --n) result += static_cast<char>('0' + random() % 10);
    return result;
  };
  for (int i = 0; i < 200'000; ++i) {
    std::string text = random() % 2 == 0 ? "-" : "";
    text += digits(9);
    if (random() % 4 != 0) text += "." + digits(random() % 8 == 0 ? 40 : 17);
    if (text.find_first_of("0123456789") == std::string::npos) continue;
    if (random() % 3 == 0)
      text += std::string(random() % 2 == 0 ? "e" : "E-") + std::to_string(random() % (random() % 4 == 0 ? 330 : 25));
    check(text);
  }
  // Texts of the middle between two floats, and just beside it.
  for (int i = 0; i < 50'000; ++i) {
    const auto bits = static_cast<std::uint32_t>(random() % 0x7F7FFFFF);
    const double middle =
        (static_cast<double>(std::bit_cast<float>(bits)) + static_cast<double>(std::bit_cast<float>(bits + 1))) / 2;
    char buffer[400];
    std::snprintf(buffer, sizeof buffer, random() % 2 == 0 ? "%.17g" : "%.60g", middle);
    check(buffer);
    std::snprintf(buffer, sizeof buffer, "%a", middle);
    check(buffer);
    std::snprintf(buffer, sizeof buffer, "%.*a1", static_cast<int>(random() % 14), middle);
    if (std::string(buffer).find("p") + 2 < std::string(buffer).size())
      check(std::string(buffer).substr(0, std::string(buffer).size() - 1));
  }
  for (const char* text : {"0",
                           "-0",
                           "0.0",
                           "-0.0e5",
                           "00012.500",
                           "1e22",
                           "1e23",
                           "9007199254740993",
                           "16777217",
                           "33554435",
                           "1.",
                           ".5",
                           "3.4028235677973366e38",
                           "3.4028235677973362e38",
                           "1.1754942807573643e-38",
                           "7.0064923216240853e-46",
                           "7.0064923216240854e-46",
                           "1e-99999",
                           "0e99999",
                           "0x.0000000000000000001p76",
                           "0x10000000000000000001p-70"})
    check(text);
}

TEST_CASE("read_digits counts and reads runs of digits among any bytes") {
  std::mt19937_64 random(7);
  for (int i = 0; i < 100'000; ++i) {
    char text[8];
    for (char& c : text) c = random() % 4 == 0 ? static_cast<char>(random()) : static_cast<char>('0' + random() % 10);
    unsigned count = 0;
    std::uint64_t value = 0;
    while (count < 8 && text[count] >= '0' && text[count] <= '9')
      value = value * 10 + static_cast<std::uint64_t>(text[count++] - '0');
    const DigitRun run = read_digits(text);
    REQUIRE(run.count == count);
    REQUIRE(run.value == value);
  }
}

TEST_CASE("lines end in any mixture of terminators") {
  const std::string_view text = "a\nbb\r\n\rccc\n\nd\r";
  std::vector<std::string> lines;
  LineWalker walker(text.data(), text.data() + text.size());
  for (const char* p = text.data(); p != text.data() + text.size();) {
    const char* const end = walker.line_end(p);
    lines.emplace_back(p, end);
    p = walker.next_line(end);
  }
  CHECK(lines == std::vector<std::string>{"a", "bb", "", "ccc", "", "d"});
}

TEST_CASE("hostile text ends soon, in bounded memory") {
  constexpr std::size_t size = 4'000'000;
  std::vector<std::string> texts;
  texts.emplace_back(20'000'000, ',');
  texts.emplace_back(20'000'000, '"');
  texts.emplace_back(size, '\n');
  texts.emplace_back(size, '\r');
  texts.emplace_back(size, ' ');
  texts.emplace_back(size, '1');
  texts.emplace_back(size, '[');
  texts.emplace_back(size, '#');
  texts.emplace_back(size, '\0');
  texts.push_back('[' + std::string(size, '1') + ']');
  texts.push_back('[' + std::string(size, ' ') + ']');
  texts.push_back("1,\"" + std::string(size, 'x'));
  texts.push_back("nan(" + std::string(size, 'a'));
  texts.push_back("0x" + std::string(size, '0') + "1");
  texts.push_back("0." + std::string(size, '0') + "1e20000000");
  texts.push_back(std::string(1'000'000, ',') + "\n" + std::string(size, '\n') + "1");
  std::string pairs;
  std::string quotes;
  std::string many;
  for (std::size_t i = 0; i < size / 4; ++i) {
    pairs += "1,";
    quotes += "\"\",";
    many += "1\n";
  }
  texts.push_back(pairs);
  texts.push_back(quotes);
  texts.push_back(pairs + "\n" + many);
  texts.push_back("a," + quotes + "\n" + quotes);
  for (const std::string& text : texts) {
    CAPTURE(text.substr(0, 20));
    const auto begin = std::chrono::steady_clock::now();
    Listener notes;
    for (const Header header : {Header::automatic, Header::yes}) {
      ReadOptions options;
      options.header = header;
      (void)failure_of([&] { (void)parse_csv(text, FileName{"x.csv", ""}, options, notes); });
    }
    (void)failure_of([&] { (void)parse_names(text, FileName{"x.csv", "1"}, {}, notes); });
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(30));
  }
  if constexpr (!memory_is_watched) {
    rusage usage{};
    REQUIRE(getrusage(RUSAGE_SELF, &usage) == 0);
    std::size_t texts_size = 0;
    for (const std::string& text : texts) texts_size += text.capacity();
    CHECK(static_cast<std::size_t>(usage.ru_maxrss) * 1024 < texts_size + 400'000'000);
  }
}

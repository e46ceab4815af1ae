// How the cells of a CSV file are told apart: its separator and decimal sign, given or found by itself.
#include "io/csv_dialect.hpp"

#include "io/text.hpp"
#include "io/text_number.hpp"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <vector>

#include <fmt/format.h>

namespace attn {

namespace {

constexpr std::size_t sample_bytes = 64 * 1024;
constexpr std::size_t sample_records = 50;

/// The first records of a file that are neither blank nor comments. A line end within quotes does not end a record. A record that
/// the sample cuts off is left out unless it is the only one.
std::vector<std::string_view> sample(std::string_view text) {
  const bool whole = text.size() <= sample_bytes;
  text = text.substr(0, sample_bytes);
  std::vector<std::string_view> records;
  std::size_t begin = 0;
  while (begin < text.size() && records.size() < sample_records) {
    bool quoted = false;
    std::size_t end = begin;
    while (end < text.size() && (quoted || (text[end] != '\n' && text[end] != '\r'))) {
      if (text[end] == '"') quoted = !quoted;
      ++end;
    }
    const bool cut_off = end == text.size() && !whole;
    const std::string_view record = trimmed(text.substr(begin, end - begin));
    if (!record.empty() && !record.starts_with('#') && (!cut_off || records.empty()))
      records.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return records;
}

struct Split {
  std::size_t cells = 0;
  std::size_t numbers = 0;
  std::size_t texts = 0;
};

std::string_view unquoted(std::string_view cell) noexcept {
  cell = trimmed(cell);
  if (cell.size() >= 2 && cell.front() == '"' && cell.back() == '"') return cell.substr(1, cell.size() - 2);
  return cell;
}

/// Cuts one record at the separators outside quotes; an empty last cell does not count.
Split split(std::string_view record, const CsvDialect& dialect) {
  Split result;
  const auto separates = [&](char c) { return c == dialect.delimiter || (dialect.separated_by_blanks() && c == '\t'); };
  if (dialect.separated_by_blanks()) record = trimmed(record);
  std::size_t begin = 0;
  while (begin <= record.size()) {
    bool quoted = false;
    std::size_t end = begin;
    while (end < record.size() && (quoted || !separates(record[end]))) {
      if (record[end] == '"') quoted = !quoted;
      ++end;
    }
    const std::string_view cell = unquoted(record.substr(begin, end - begin));
    if (end == record.size() && cell.empty()) break;
    if (!(dialect.separated_by_blanks() && cell.empty())) {
      const CellKind kind = kind_of_cell(cell, dialect);
      ++result.cells;
      if (kind == CellKind::number) ++result.numbers;
      if (kind == CellKind::text) ++result.texts;
    }
    begin = end + 1;
  }
  return result;
}

/// How well a separator suits the sample: the share of numbers among the cells that hold something, then whether all records have
/// as many cells.
struct Score {
  double numbers = 0;
  bool even = false;
  bool separates = false;

  [[nodiscard]] bool better_than(const Score& other) const noexcept {
    if (separates != other.separates) return separates;
    if (numbers != other.numbers) return numbers > other.numbers;
    return even && !other.even;
  }
};

Score score(const std::vector<std::string_view>& records, const CsvDialect& dialect) {
  Score result;
  std::size_t filled = 0;
  std::size_t numbers = 0;
  std::size_t first_cells = 0;
  result.even = true;
  for (const std::string_view record : records) {
    const Split found = split(record, dialect);
    filled += found.numbers + found.texts;
    if (first_cells == 0) first_cells = found.cells;
    if (found.cells != first_cells) result.even = false;
    if (found.cells < 2) continue;  // a number that nothing separates speaks for no separator
    numbers += found.numbers;
    result.separates = true;
  }
  result.numbers = filled == 0 ? 0.0 : static_cast<double>(numbers) / static_cast<double>(filled);
  return result;
}

}  // namespace

CellKind kind_of_cell(std::string_view cell, const CsvDialect& dialect) noexcept {
  cell = trimmed(cell);
  double value = 0;
  if (cell.size() >= 2 && cell.front() == '[' && cell.back() == ']') return CellKind::number;
  switch (read_number(cell, dialect.decimal, value)) {
    case NumberText::number:
    case NumberText::out_of_range:
      return CellKind::number;
    case NumberText::missing:
      return CellKind::missing;
    case NumberText::other:
      break;
  }
  const char other_decimal = dialect.decimal == '.' ? ',' : '.';
  return read_number(cell, other_decimal, value) == NumberText::other ? CellKind::text : CellKind::number;
}

void check_delimiter(char delimiter) {
  const auto byte = static_cast<unsigned char>(delimiter);
  constexpr std::string_view taken = "\"\n\r+-.#()[]_";
  if (delimiter == '\0' || std::isalnum(byte) != 0 || taken.find(delimiter) != std::string_view::npos || byte >= 0x80)
    throw Error(Status::usage, fmt::format("{} cannot separate the cells of a CSV file", excerpt({&delimiter, 1})),
                "usual separators are , ; | tab and blank");
}

CsvDialect find_dialect(std::string_view text, const ReadOptions& options) {
  if (options.decimal != '.' && options.decimal != ',') throw Error(Status::usage, "the decimal sign of a CSV file is . or ,");
  CsvDialect result{',', options.decimal};
  if (options.delimiter) {
    check_delimiter(*options.delimiter);
    if (*options.delimiter == options.decimal)
      throw Error(Status::usage, "the separator and the decimal sign of a CSV file must differ");
    result.delimiter = *options.delimiter;
    return result;
  }
  // The first of equals wins, so comma stands first and blank, which may be a part of text, last.
  std::string_view candidates = ",\t;| ";
  if (options.from == Format::tsv) candidates = "\t,;| ";
  const std::vector<std::string_view> records = sample(text);
  Score best;
  bool first = true;
  for (const char candidate : candidates) {
    if (candidate == options.decimal) continue;
    const CsvDialect dialect{candidate, options.decimal};
    const Score found = score(records, dialect);
    if (!first && !found.better_than(best)) continue;
    best = found;
    result = dialect;
    first = false;
  }
  return result;
}

}  // namespace attn

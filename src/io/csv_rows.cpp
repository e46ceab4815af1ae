// Writes CSV cell by cell.
#include "io/csv.hpp"
#include "io/csv_dialect.hpp"
#include "io/shortest.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace attn {

namespace {

constexpr std::size_t flush_size = std::size_t{1} << 16U;

/// A cell that is read back as it is without quotes.
bool is_plain(std::string_view cell, char delimiter) {
  if (cell.empty()) return true;
  // Readers cut blanks off both ends, and a line that begins with # is a comment.
  const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
  if (is_blank(cell.front()) || is_blank(cell.back()) || cell.front() == '#') return false;
  return std::ranges::all_of(
      cell, [&](char c) { return c != delimiter && c != '"' && c != '\n' && c != '\r' && (delimiter != ' ' || !is_blank(c)); });
}

template <class T>
void append_integer(std::string& to, T value) {
  char buffer[shortest_size];
  to.append(buffer, std::to_chars(buffer, buffer + shortest_size, value).ptr);
}

template <class T>
void append_real(std::string& to, T value) {
  char buffer[shortest_size];
  to.append(buffer, write_shortest(buffer, value));
}

}  // namespace

void append_csv_cell(std::string& to, std::string_view cell, char delimiter) {
  // Between blanks an empty cell would be none.
  if (is_plain(cell, delimiter) && (!cell.empty() || delimiter != ' ')) {
    to += cell;
    return;
  }
  to += '"';
  for (const char c : cell) {
    if (c == '"') to += '"';
    to += c;
  }
  to += '"';
}

std::string csv_cell(std::string_view cell) {
  std::string quoted;
  append_csv_cell(quoted, cell, ',');
  return quoted;
}

CsvRows::CsvRows(Outputs::TextSink& sink, const std::vector<std::string>& header, char delimiter)
    : sink_(sink), delimiter_(delimiter) {
  check_delimiter(delimiter);
  for (const std::string& name : header) text(name);
  if (!header.empty()) end_row();
}

void CsvRows::separate() {
  if (std::exchange(row_begun_, true)) buffer_ += delimiter_;
}

CsvRows& CsvRows::text(std::string_view cell) {
  separate();
  append_csv_cell(buffer_, cell, delimiter_);
  return *this;
}

CsvRows& CsvRows::integer(std::int64_t value) {
  separate();
  append_integer(buffer_, value);
  return *this;
}

CsvRows& CsvRows::index(std::size_t value) {
  separate();
  append_integer(buffer_, value);
  return *this;
}

CsvRows& CsvRows::real(float value) {
  separate();
  append_real(buffer_, value);
  return *this;
}

CsvRows& CsvRows::real(double value) {
  separate();
  append_real(buffer_, value);
  return *this;
}

void CsvRows::end_row() {
  buffer_ += '\n';
  row_begun_ = false;
  if (buffer_.size() >= flush_size) finish();
}

void CsvRows::finish() {
  if (!buffer_.empty()) sink_.write(buffer_);
  buffer_.clear();
}

}  // namespace attn

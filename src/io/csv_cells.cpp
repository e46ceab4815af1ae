// From the text of a cell to the values of a row, and what is said when that cannot be: shared by both lanes.
#include "io/csv_cells.hpp"

#include "base/counted.hpp"
#include "io/text.hpp"
#include "io/text_number.hpp"

#include <limits>
#include <string>
#include <type_traits>

#include <fmt/format.h>

namespace attn {

namespace {

bool is_vector(std::string_view cell) noexcept { return cell.size() >= 2 && cell.front() == '[' && cell.back() == ']'; }

/// Calls `f` with each element of a vector cell. Commas, semicolons and blanks separate; a comma or semicolon without a value
/// beside it gives an empty element.
template <class F>
void for_each_element(std::string_view cell, char decimal, F&& f) {
  const auto separates = [decimal](char c) { return c == ';' || (c == ',' && decimal != ','); };
  const auto is_blank = [](char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; };
  std::string_view rest = cell.substr(1, cell.size() - 2);
  const auto skip_blanks = [&] {
    while (!rest.empty() && is_blank(rest.front())) rest.remove_prefix(1);
  };
  skip_blanks();
  bool expected = false;  // behind a separator
  while (!rest.empty() || expected) {
    std::size_t size = 0;
    while (size < rest.size() && !separates(rest[size]) && !is_blank(rest[size])) ++size;
    f(rest.substr(0, size));
    rest.remove_prefix(size);
    skip_blanks();
    expected = !rest.empty() && separates(rest.front());
    if (expected) rest.remove_prefix(1);
    skip_blanks();
  }
}

/// What is wrong with a cell, in words, and what to do about it.
class Complaint {
 public:
  Complaint(const CsvLayout& layout, const FileName& name, std::size_t line, std::size_t column)
      : layout_(layout), name_(name), line_(line), column_(column) {}

  [[noreturn]] void fail(const std::string& what, std::string hint) const {
    throw Error(Status::data, place_in(name_, line_, column_ + 1), what + in_column(), std::move(hint));
  }

  [[nodiscard]] std::string in_column() const {
    if (column_ >= layout_.names.size() || layout_.names[column_].empty()) return {};
    return fmt::format(" in column {}", excerpt(layout_.names[column_]));
  }

  [[noreturn]] void not_a_number(std::string_view cell, Header header) const {
    fail(fmt::format("{} is not a number", excerpt(cell)), hint_for(cell, header));
  }

 private:
  [[nodiscard]] std::string hint_for(std::string_view cell, Header header) const {
    double value = 0;
    const char decimal = layout_.dialect.decimal;
    const char other = decimal == '.' ? ',' : '.';
    const std::string_view inner = is_vector(cell) ? cell.substr(1, cell.size() - 2) : cell;
    if (read_number(inner, other, value) != NumberText::other)
      return fmt::format("if the decimal sign of this file is {0}, give --decimal {0}", other);
    if (cell.starts_with('[') != cell.ends_with(']')) return "a vector cell that holds the separator must stand in quotes";
    if (const char found = other_delimiter(cell); found != '\0')
      return fmt::format("the separator {} was expected; this line has {} (--delimiter sets it)",
                         shown(layout_.dialect.delimiter), shown(found));
    if (cell.find('_') != std::string_view::npos && cell.find_first_not_of("0123456789_.+-eE") == std::string_view::npos)
      return "digits cannot be grouped by underscores";
    if (line_ == layout_.reference_line && !layout_.has_header && header == Header::automatic)
      return "if the first row holds the names of the columns, give --header yes";
    return fmt::format("select the columns that hold numbers, by name or counted from 1, as in {}:1..3,7", name_.path);
  }

  /// A separator in `cell` that would make numbers of it.
  [[nodiscard]] char other_delimiter(std::string_view cell) const {
    for (const char candidate : std::string_view(",;\t| ")) {
      const std::size_t place = cell.find(candidate);
      double value = 0;
      if (candidate == layout_.dialect.delimiter || place == std::string_view::npos) continue;
      if (read_number(cell.substr(0, place), layout_.dialect.decimal, value) == NumberText::number) return candidate;
    }
    return '\0';
  }

  static std::string shown(char delimiter) {
    return delimiter == '\t' ? "tab" : delimiter == ' ' ? "blank" : excerpt({&delimiter, 1});
  }

  const CsvLayout& layout_;
  const FileName& name_;
  std::size_t line_;
  std::size_t column_;
};

}  // namespace

std::size_t vector_width(std::string_view cell, char decimal) noexcept {
  cell = trimmed(cell);
  if (!is_vector(cell)) return 1;
  std::size_t width = 0;
  for_each_element(cell, decimal, [&](std::string_view) { ++width; });
  return width;
}

template <class T>
void CsvCells<T>::read(std::string_view cell, std::size_t line, std::size_t column, T* row) const {
  const CsvColumn where = layout_.column(column);
  if (where.offset == CsvColumn::unwanted || column >= layout_.columns) return;
  cell = trimmed(cell);
  T* const to = row + where.offset;
  if (is_vector(cell)) {
    read_vector(cell, line, column, where.width, to);
  } else if (where.width != 1) {
    Complaint(layout_, name_, line, column)
        .fail(fmt::format("{} is not a vector like [0.1, 0.2] of {} numbers, as the first row has", excerpt(cell), where.width),
              {});
  } else {
    read_one(cell, cell, line, column, *to);
  }
}

template <class T>
void CsvCells<T>::read_vector(std::string_view cell, std::size_t line, std::size_t column, std::size_t width, T* to) const {
  const std::size_t found = vector_width(cell, layout_.dialect.decimal);
  if (found != width)
    Complaint(layout_, name_, line, column)
        .fail(fmt::format("the vector {} has {} numbers ({} were expected, as in the first row)", excerpt(cell), found, width),
              {});
  for_each_element(cell, layout_.dialect.decimal,
                   [&](std::string_view element) { read_one(element, cell, line, column, *to++); });
}

template <class T>
void CsvCells<T>::read_one(std::string_view cell, std::string_view whole, std::size_t line, std::size_t column, T& to) const {
  const NumberText found = read_number(cell, layout_.dialect.decimal, to);
  if (found == NumberText::number) return;
  if (found == NumberText::missing && missing_) {
    to = *missing_;
    return;
  }
  const Complaint complaint(layout_, name_, line, column);
  const std::string within = whole.size() == cell.size() ? std::string() : fmt::format(" in the vector {}", excerpt(whole));
  switch (found) {
    case NumberText::out_of_range: {
      double wide = 0;
      const bool fits_double = read_number(cell, layout_.dialect.decimal, wide) == NumberText::number;
      complaint.fail(fmt::format("{} is out of the range of {} (at most {:.8g} was expected){}", excerpt(cell),
                                 dtype_name(dtype_of<T>), static_cast<double>(std::numeric_limits<T>::max()), within),
                     fits_double && std::is_same_v<T, float> ? "--dtype f64 reads it" : "");
    }
    case NumberText::missing:
      complaint.fail(cell.empty() ? "empty cell (a number was expected)" + within
                                  : fmt::format("{} stands for a missing value (a number was expected){}", excerpt(cell), within),
                     "--na nan, or another number, reads such cells as that number");
    case NumberText::number:
    case NumberText::other:
      complaint.not_a_number(whole, header_);
  }
}

template <class T>
void CsvCells<T>::end_row(std::size_t line, std::size_t cells, bool last_empty, T* row) const {
  if (layout_.trailing && cells == layout_.columns + 1) {
    if (!last_empty) throw CsvRestart{CsvRestart::Reason::not_trailing};
    --cells;
  }
  if (cells != layout_.columns) {
    if (!padding_ || cells > layout_.columns)
      throw Error(
          Status::data, place_in(name_, line, 0),
          fmt::format("line {} has {} but {} {} has {} (every row must have as many)", line, counted(cells, "cell", "cells"),
                      layout_.has_header ? "the header in line" : "line", layout_.reference_line, layout_.columns),
          "--ragged 0, or another number, fills short rows with that number");
    for (std::size_t column = cells; column < layout_.columns; ++column)
      if (const CsvColumn where = layout_.column(column); where.offset != CsvColumn::unwanted)
        std::fill_n(row + where.offset, where.width, *padding_);
  }
  for (const CsvLayout::Copy& copy : layout_.copies) std::copy_n(row + copy.from, copy.width, row + copy.to);
}

template class CsvCells<float>;
template class CsvCells<double>;

}  // namespace attn

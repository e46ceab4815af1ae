// How the cells of a CSV file are told apart: its separator and decimal sign, given or found by itself.
#pragma once

#include <attn/io.hpp>

#include <string_view>

namespace attn {

struct CsvDialect {
  char delimiter = ',';  ///< ' ' stands for runs of blanks and tabs
  char decimal = '.';

  /// Runs of blanks and tabs separate, and those at the ends of a line mean nothing.
  [[nodiscard]] bool separated_by_blanks() const noexcept { return delimiter == ' '; }
  /// True for characters that may stand around a cell and do not belong to it.
  [[nodiscard]] bool is_blank(char c) const noexcept { return c == ' ' || (c == '\t' && delimiter != '\t'); }
};

/// What a cell is when the columns of a file are not known yet.
enum class CellKind : unsigned char { missing, number, text };

/// A number, also with the wrong decimal sign or as a vector in brackets, is a number here: what is wrong with it is said later.
[[nodiscard]] CellKind kind_of_cell(std::string_view cell, const CsvDialect& dialect) noexcept;

/// The separator of the options, or the one that cuts most cells of the first lines into numbers; comma when none does better.
/// Throws Error(usage) when a given separator or decimal sign cannot be one.
[[nodiscard]] CsvDialect find_dialect(std::string_view text, const ReadOptions& options);

/// Throws Error(usage) when `delimiter` could be a part of a number, a quote or the end of a line.
void check_delimiter(char delimiter);

}  // namespace attn

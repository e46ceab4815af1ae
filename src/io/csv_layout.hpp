// What the head of a CSV file says about the rest: where the data begin, the header, how many cells a row has, which are wanted.
#pragma once

#include "io/csv_records.hpp"

#include <attn/io.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace attn {

/// Where the values of one column go.
struct CsvColumn {
  static constexpr std::size_t unwanted = static_cast<std::size_t>(-1);

  std::size_t offset = unwanted;  ///< of its first value in a row of the array
  std::size_t width = 1;          ///< values of one cell; more than one for vector cells "[0.1, 0.2]"
};

/// The shape of a CSV file, found once and used by both lanes, which differ only in how they find the cells.
struct CsvLayout {
  CsvDialect dialect;
  CsvPosition data;  ///< where the rows of data begin
  BlankLines blank;  ///< those before the data
  bool has_header = false;
  bool data_quoted = false;  ///< the first row of data has quotes

  std::size_t columns = 0;         ///< cells of a row
  bool trailing = false;           ///< rows may have one more, empty cell behind their last separator
  std::size_t reference_line = 0;  ///< the row whose length the others must have

  std::vector<std::string> names;     ///< of all columns, when there is a header
  std::vector<std::size_t> selected;  ///< from 0, in order; empty means all
  std::vector<CsvColumn> wanted;      ///< by column up to the last wanted one; empty means all, with one value each
  struct Copy {
    std::size_t from, to, width;
  };
  std::vector<Copy> copies;   ///< within a row of the array, for columns that were selected more than once
  std::size_t row_width = 0;  ///< values of a row of the array

  [[nodiscard]] CsvColumn column(std::size_t index) const noexcept {
    if (wanted.empty()) return {index, 1};
    return index < wanted.size() ? wanted[index] : CsvColumn{};
  }
};

/// Reads the first rows of `text`; with ragged_pad all of them, for their lengths. A separator at the end of the first row is
/// taken to end the row (and `trailing` is set) when `allow_trailing`, else an empty cell follows it. Throws Error(data) when
/// there is no row, when a selected column does not exist, or when a quote is not closed.
[[nodiscard]] CsvLayout read_layout(std::string_view text, const FileName& name, const ReadOptions& options, bool allow_trailing);

/// The names of the selected columns; those of vector cells are "name[0]", "name[1]". Empty without a header.
[[nodiscard]] std::vector<std::string> selected_names(const CsvLayout& layout);

}  // namespace attn

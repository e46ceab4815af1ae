// The two ways to find the cells of a CSV file whose layout is known.
#pragma once

#include "io/csv.hpp"
#include "io/csv_cells.hpp"
#include "io/csv_layout.hpp"

#include <attn/io.hpp>

#include <cstddef>
#include <string_view>

namespace attn {

/// The rows of data, [rows, layout.row_width], and the blank lines between them.
struct CsvData {
  Array array;
  BlankLines blank;
};

/// Both throw Error(data) for the first bad cell or row and CsvRestart when the layout or the lane does not fit the text.
template <class T>
[[nodiscard]] CsvData read_plain(std::string_view text, const CsvLayout& layout, const CsvCells<T>& cells,
                                 const CsvTuning& tuning);
template <class T>
[[nodiscard]] CsvData read_quoted(std::string_view text, const CsvLayout& layout, const CsvCells<T>& cells, const FileName& name);

extern template CsvData read_plain<float>(std::string_view, const CsvLayout&, const CsvCells<float>&, const CsvTuning&);
extern template CsvData read_plain<double>(std::string_view, const CsvLayout&, const CsvCells<double>&, const CsvTuning&);
extern template CsvData read_quoted<float>(std::string_view, const CsvLayout&, const CsvCells<float>&, const FileName&);
extern template CsvData read_quoted<double>(std::string_view, const CsvLayout&, const CsvCells<double>&, const FileName&);

/// Throws Error(memory) when padded rows would hold far more values than `bytes` of text can justify.
void check_padded_size(std::size_t rows, std::size_t row_width, std::size_t bytes);

}  // namespace attn

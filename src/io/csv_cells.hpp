// From the text of a cell to the values of a row, and what is said when that cannot be: shared by both lanes.
#pragma once

#include "io/csv_layout.hpp"

#include <attn/io.hpp>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string_view>

namespace attn {

/// Values of a cell: the elements of a vector "[0.1, 0.2]" or "[0.1 0.2]", else 1.
[[nodiscard]] std::size_t vector_width(std::string_view cell, char decimal) noexcept;

/// Turns cells into values of type T. Knows no file positions besides those it is told.
template <class T>
class CsvCells {
 public:
  CsvCells(const CsvLayout& layout, const FileName& name, const ReadOptions& options)
      : layout_(layout),
        name_(name),
        header_(options.header),
        missing_(narrowed(options.missing)),
        padding_(narrowed(options.ragged_pad)) {}

  /// Reads a cell (line from 1, column from 0) into `row`, the values of a row of the array. Does nothing for a column that is
  /// not wanted. Throws Error(data).
  void read(std::string_view cell, std::size_t line, std::size_t column, T* row) const;

  /// True when short rows are filled.
  [[nodiscard]] bool pads() const noexcept { return padding_.has_value(); }
  /// Called for an empty cell that may stand behind the last separator of a short row: true when it is padding and no cell.
  [[nodiscard]] bool may_be_padding(std::string_view cell) const noexcept { return padding_ && !missing_ && cell.empty(); }

  /// Checks the length of a row, pads and completes it. Throws Error(data) when rows differ and CsvRestart when the row shows
  /// that the last separator does not end rows.
  void end_row(std::size_t line, std::size_t cells, bool last_empty, T* row) const;

 private:
  static std::optional<T> narrowed(std::optional<double> value) {
    return value ? std::optional<T>(static_cast<T>(*value)) : std::nullopt;
  }
  void read_vector(std::string_view cell, std::size_t line, std::size_t column, std::size_t width, T* to) const;
  void read_one(std::string_view cell, std::string_view whole, std::size_t line, std::size_t column, T& to) const;

  const CsvLayout& layout_;
  const FileName& name_;
  Header header_;
  std::optional<T> missing_;
  std::optional<T> padding_;
};

/// Thrown by a lane that must not go on.
struct CsvRestart {
  enum class Reason {
    quotes,        ///< the plain lane met a quote
    not_trailing,  ///< a cell stands where CsvLayout::trailing expects none
  };
  Reason reason;
};

extern template class CsvCells<float>;
extern template class CsvCells<double>;

}  // namespace attn

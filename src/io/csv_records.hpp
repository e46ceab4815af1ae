// Walks over the records of a CSV file by the rules of RFC 4180, with libcsv: the general way, where csv_plain is the fast one.
#pragma once

#include "io/csv_dialect.hpp"

#include <attn/io.hpp>

#include <cstddef>
#include <string_view>

namespace attn {

/// A place between two lines of a file.
struct CsvPosition {
  std::size_t offset = 0;
  std::size_t line = 1;
};

/// Lines that hold nothing.
struct BlankLines {
  std::size_t count = 0;
  std::size_t first = 0;  ///< its line number

  void add(std::size_t line) noexcept {
    if (count++ == 0) first = line;
  }
  void add(const BlankLines& later) noexcept {
    if (count == 0) first = later.first;
    count += later.count;
  }
};

/// Takes the records of a walk. Exceptions end the walk and reach its caller.
class CsvHandler {
 public:
  CsvHandler() = default;
  CsvHandler(const CsvHandler&) = delete;
  CsvHandler& operator=(const CsvHandler&) = delete;
  virtual ~CsvHandler() = default;

  /// The cell `column` (from 0) of the current record; it begins in `line`. `text` is without its quotes and dies with the call.
  virtual void cell(std::string_view text, std::size_t line, std::size_t column) = 0;
  /// The record that began in `line` had `cells` cells; `last_empty`: nothing stands behind its last separator.
  virtual void end_record(std::size_t line, std::size_t cells, bool last_empty) = 0;
};

/// What a walk went over.
struct CsvWalk {
  CsvPosition end;
  std::size_t records = 0;
  BlankLines blank;
};

/// Hands the records from `begin` on to `handler`, at most `most_records` of them. Blank lines and lines that begin with # are
/// left out. Throws Error(data) when a quoted cell is not closed before the text ends.
CsvWalk walk_records(std::string_view text, CsvPosition begin, const CsvDialect& dialect, const FileName& name,
                     std::size_t most_records, CsvHandler& handler);

}  // namespace attn

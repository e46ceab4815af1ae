// CSV and TSV text: from text to arrays and names, and from arrays to text.
#pragma once

#include <attn/io.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace attn {

/// How the cells of a file are found. `plain` walks quote-free text with pointers and may use several threads; `quoted` is libcsv
/// and reads everything. On text without quotes both give the same values and the same errors.
enum class CsvLane { automatic, plain, quoted };

/// What changes the time a CSV takes and never its result.
struct CsvTuning {
  CsvLane lane = CsvLane::automatic;
  std::size_t threads = 0;            ///< 0: the cores this process may use
  std::size_t block_bytes = 1 << 20;  ///< text that a thread takes at a time, rounded up to whole lines
};

/// Reads the whole text of a CSV file, which is in memory, as an array [rows, columns] of options.text_type.
///
/// Lines end in LF, CR LF or CR. Blank lines and lines whose first character is # are skipped, a UTF-8 byte order mark is
/// dropped. The separator and the header row are found by themselves unless the options say them; options.from == tsv lets tab
/// win a draw. The first row is a header when it has text in a column where the second row has a number, when the selector calls
/// one of its cells by its name, or when it is the only row and has no number. Only the selected columns need to hold numbers.
/// Each value is rounded once, from decimal text to the type; see read_number for what is a number. A vector cell such as "[0.1,
/// 0.2]" becomes several columns, as many in every row. A header without rows gives an array [0, columns].
///
/// Throws Error(data) with the line and, as the column, the number of the cell in its row, both from 1: the first error in the
/// file, whatever the number of threads. Throws Error(usage) for a selector or separator without meaning, Error(memory) when
/// padding would take far more memory than the file. `text` is not kept. CsvLane::plain throws Error(defect) on text with quotes.
[[nodiscard]] Loaded parse_csv(std::string_view text, const FileName& name, const ReadOptions& options, Reporter& reporter,
                               const CsvTuning& tuning = {});

/// Reads the names of rows: the cells of the one column that the selector means, as they are, or without a selector the lines of
/// the text as they are (those that end the file and are empty do not count). Throws Error(data).
[[nodiscard]] std::vector<std::string> parse_names(std::string_view text, const FileName& name, const ReadOptions& options,
                                                   Reporter& reporter);

/// Rows and columns of an array as CSV: dimensions of size 1 are dropped from the left until two are left; one dimension is a
/// row, no dimension is one value. Throws Error(usage) for other shapes.
[[nodiscard]] std::pair<std::size_t, std::size_t> csv_shape(const Shape& shape);

/// Writes an array as csv_shape says, each value as the shortest text that reads back to it; bool as 0 and 1, float16 and
/// bfloat16 as the float32 they widen to. Names are quoted where RFC 4180 asks for it. Formats with several threads and hands the
/// text to the sink in order.
void write_csv(Outputs::TextSink& sink, DType type, const Shape& shape, const std::byte* data, const WriteOptions& options,
               char default_delimiter, const CsvTuning& tuning = {});

/// Writes rows of mixed cells: what commands print besides matrices, as `batch,head,query,key,weight`.
class CsvRows {
 public:
  /// Writes `header` as the first row unless it is empty. `sink` must outlive this object.
  explicit CsvRows(Outputs::TextSink& sink, const std::vector<std::string>& header = {}, char delimiter = ',');

  /// Appends a cell to the row, quoted where needed.
  CsvRows& text(std::string_view cell);
  CsvRows& integer(std::int64_t value);
  CsvRows& index(std::size_t value);
  /// The shortest text that reads back to the same value of the same type.
  CsvRows& real(float value);
  CsvRows& real(double value);
  void end_row();
  /// Hands what is left to the sink. Must be called behind the last row.
  void finish();

 private:
  void separate();

  Outputs::TextSink& sink_;
  std::string buffer_;
  char delimiter_;
  bool row_begun_ = false;
};

/// Appends `cell` to `to`, in quotes when it would not be read back as it is without them.
void append_csv_cell(std::string& to, std::string_view cell, char delimiter);
/// The same between commas.
[[nodiscard]] std::string csv_cell(std::string_view cell);

}  // namespace attn

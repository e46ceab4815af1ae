// Walks over the records of a CSV file by the rules of RFC 4180, with libcsv: the general way, where csv_plain is the fast one.
#include "io/csv_records.hpp"

#include "io/text.hpp"

#include <algorithm>
#include <exception>
#include <string>

#include <csv.h>

namespace attn {

namespace {

/// One libcsv parser, fed line by line so that line numbers are known, and its callbacks.
class Walker {
 public:
  Walker(const CsvDialect& dialect, const FileName& name, CsvHandler& handler)
      : dialect_(dialect), name_(name), handler_(handler) {
    if (csv_init(&parser_, CSV_EMPTY_IS_NULL) != 0) throw Error(Status::memory, "no memory to read CSV");
    csv_set_delim(&parser_, static_cast<unsigned char>(dialect.delimiter));
    // libcsv grows its buffer by this step; its default of 128 bytes makes long cells slow.
    csv_set_blk_size(&parser_, std::size_t{1} << 16U);
  }
  Walker(const Walker&) = delete;
  Walker& operator=(const Walker&) = delete;
  ~Walker() { csv_free(&parser_); }

  /// True while a record that began in an earlier line goes on.
  [[nodiscard]] bool inside_record() const noexcept { return inside_; }
  [[nodiscard]] std::size_t records() const noexcept { return records_; }

  void feed(std::string_view line_with_end, std::size_t line) {
    if (!inside_) {
      inside_ = true;
      quoted_ = false;
      record_line_ = line;
      cell_line_ = line;
      cells_ = 0;
    }
    line_ = line;
    if (dialect_.separated_by_blanks()) line_with_end = with_blanks_for_tabs(line_with_end);
    parse(line_with_end);
  }

  /// The text has ended: so has the last record, unless a quote is open.
  void finish() {
    parse("\n");
    if (inside_)
      throw Error(Status::data, place_in(name_, cell_line_, cells_ + 1),
                  "the quoted cell that begins here is not closed (a \" was expected before the file ends)");
  }

 private:
  void parse(std::string_view piece) {
    const std::size_t taken = csv_parse(&parser_, piece.data(), piece.size(), on_cell, on_record, this);
    rethrow();
    if (taken != piece.size())
      throw Error(Status::memory, place_in(name_, cell_line_, cells_ + 1), "no memory for a cell of this size");
  }

  void rethrow() {
    if (failure_) std::rethrow_exception(failure_);
  }

  /// libcsv knows one separator; tabs outside quotes become blanks. A quote only opens at the beginning of a cell.
  std::string_view with_blanks_for_tabs(std::string_view line) {
    if (line.find('\t') == std::string_view::npos && line.find('"') == std::string_view::npos) return line;
    scratch_.assign(line);
    for (char& c : scratch_) {
      if (c == '"') quoted_ = !quoted_;
      if (c == '\t' && !quoted_) c = ' ';
    }
    return scratch_;
  }

  // libcsv is C: no exception may pass through it.
  template <class F>
  void guard(F&& call) noexcept {
    if (failure_) return;
    try {
      call();
    } catch (...) {
      failure_ = std::current_exception();
    }
  }

  static void on_cell(void* text, std::size_t size, void* self) {
    auto& walker = *static_cast<Walker*>(self);
    // An unquoted empty cell comes without text; between blanks it is none.
    walker.last_empty_ = size == 0;
    if (text != nullptr || !walker.dialect_.separated_by_blanks()) {
      const std::string_view cell = text == nullptr ? std::string_view() : std::string_view(static_cast<const char*>(text), size);
      walker.guard([&] { walker.handler_.cell(cell, walker.cell_line_, walker.cells_); });
      ++walker.cells_;
    }
    walker.cell_line_ = walker.line_;
  }

  static void on_record(int, void* self) {
    auto& walker = *static_cast<Walker*>(self);
    const bool last_empty = walker.last_empty_ && !walker.dialect_.separated_by_blanks();
    walker.guard([&] { walker.handler_.end_record(walker.record_line_, walker.cells_, last_empty); });
    walker.inside_ = false;
    ++walker.records_;
  }

  const CsvDialect& dialect_;
  const FileName& name_;
  CsvHandler& handler_;
  csv_parser parser_{};
  std::exception_ptr failure_;
  std::string scratch_;
  bool inside_ = false;
  bool quoted_ = false;
  bool last_empty_ = false;
  std::size_t line_ = 0;
  std::size_t record_line_ = 0;
  std::size_t cell_line_ = 0;
  std::size_t cells_ = 0;
  std::size_t records_ = 0;
};

/// The first character of a line that is no blank, or the end of the line.
const char* first_of_line(const char* begin, const char* end, const CsvDialect& dialect) {
  return std::find_if_not(begin, end, [&](char c) { return dialect.is_blank(c); });
}

}  // namespace

CsvWalk walk_records(std::string_view text, CsvPosition begin, const CsvDialect& dialect, const FileName& name,
                     std::size_t most_records, CsvHandler& handler) {
  CsvWalk result;
  Walker walker(dialect, name, handler);
  const char* const end = text.data() + text.size();
  const char* line_begin = text.data() + begin.offset;
  std::size_t line = begin.line;
  LineWalker lines(line_begin, end);
  while (line_begin != end && walker.records() < most_records) {
    const char* const line_end = lines.line_end(line_begin);
    const char* const next = lines.next_line(line_end);
    const char* const first = walker.inside_record() ? line_begin : first_of_line(line_begin, line_end, dialect);
    if (walker.inside_record() || (first != line_end && *first != '#'))
      walker.feed({line_begin, static_cast<std::size_t>(next - line_begin)}, line);
    else if (first == line_end)
      result.blank.add(line);
    line_begin = next;
    ++line;
  }
  if (line_begin == end && walker.inside_record()) walker.finish();
  result.records = walker.records();
  result.end = {static_cast<std::size_t>(line_begin - text.data()), line};
  return result;
}

}  // namespace attn

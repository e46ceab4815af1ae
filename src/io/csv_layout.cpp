// What the head of a CSV file says about the rest: where the data begin, the header, how many cells a row has, which are wanted.
#include "io/csv_layout.hpp"

#include "io/columns.hpp"
#include "io/csv_cells.hpp"
#include "io/descriptor.hpp"
#include "io/text.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include <fmt/format.h>

namespace attn {

namespace {

constexpr std::size_t all_records = std::numeric_limits<std::size_t>::max();
// A header shows in its first cells; beyond them a row of millions is not examined.
constexpr std::size_t examined_cells = 100'000;
// Names take more memory than the text they come from; no table has so many.
constexpr std::size_t most_names = std::size_t{1} << 22U;

/// One of the first two rows.
struct FirstRow {
  CsvPosition begin;
  CsvWalk walk;
  std::size_t line = 0;
  std::size_t cells = 0;
  bool last_empty = false;

  [[nodiscard]] bool found() const noexcept { return walk.records == 1; }
  [[nodiscard]] std::string_view text(std::string_view file) const {
    return file.substr(begin.offset, walk.end.offset - begin.offset);
  }
};

class RowHandler : public CsvHandler {
 public:
  void end_record(std::size_t line, std::size_t cells, bool last_empty) override {
    row.line = line;
    row.cells = cells;
    row.last_empty = last_empty;
  }
  FirstRow row;
};

/// The first row: what its cells are, and whether the selector calls one of them by its name.
class CandidateRow : public RowHandler {
 public:
  CandidateRow(const CsvDialect& dialect, std::string_view selector) : dialect_(dialect), selector_(selector) {}
  void cell(std::string_view text, std::size_t, std::size_t column) override {
    if (column >= examined_cells) return;
    kinds.push_back(kind_of_cell(text, dialect_));
    named = named || (!selector_.empty() && selector_names(selector_, text));
  }
  std::vector<CellKind> kinds;
  bool named = false;

 private:
  const CsvDialect& dialect_;
  std::string_view selector_;
};

/// The second row: whether it has a number where the first has text.
class ComparedRow : public RowHandler {
 public:
  ComparedRow(const CsvDialect& dialect, const std::vector<CellKind>& above) : dialect_(dialect), above_(above) {}
  void cell(std::string_view text, std::size_t, std::size_t column) override {
    if (column >= above_.size() || above_[column] != CellKind::text) return;
    number_below_text = number_below_text || kind_of_cell(text, dialect_) != CellKind::text;
  }
  bool number_below_text = false;

 private:
  const CsvDialect& dialect_;
  const std::vector<CellKind>& above_;
};

class NameRow : public RowHandler {
 public:
  explicit NameRow(const FileName& name) : name_(name) {}
  void cell(std::string_view text, std::size_t line, std::size_t) override {
    if (names.size() == most_names)
      throw Error(Status::data, place_in(name_, line, names.size() + 1),
                  fmt::format("the header row has more than {} names", most_names), "--header no reads the row as data");
    names.emplace_back(text);
  }
  std::vector<std::string> names;

 private:
  const FileName& name_;
};

class WidthRow : public RowHandler {
 public:
  explicit WidthRow(char decimal) : decimal_(decimal) {}
  void cell(std::string_view text, std::size_t, std::size_t column) override {
    const std::size_t width = vector_width(text, decimal_);
    if (width <= 1) return;
    widths.resize(column + 1, 1);
    widths[column] = width;
  }
  std::vector<std::size_t> widths;  ///< up to the last that is not 1

 private:
  char decimal_;
};

class LongestRow : public CsvHandler {
 public:
  void cell(std::string_view, std::size_t, std::size_t) override {}
  void end_record(std::size_t, std::size_t cells, bool last_empty) override {
    longest = std::max(longest, cells - (last_empty ? 1U : 0U));
  }
  std::size_t longest = 1;
};

class LayoutReader {
 public:
  LayoutReader(std::string_view text, const FileName& name, const ReadOptions& options)
      : text_(text), name_(name), options_(options) {
    layout_.dialect = find_dialect(text, options);
  }

  CsvLayout read(bool allow_trailing) {
    CandidateRow candidate(layout_.dialect, name_.selector);
    const FirstRow first = walk_one({}, candidate);
    if (!first.found()) throw Error(Status::data, place_in(name_), "no data: the file has no row");
    ComparedRow compared(layout_.dialect, candidate.kinds);
    const FirstRow second = walk_one(first.walk.end, compared);

    layout_.has_header = options_.header == Header::yes ||
                         (options_.header == Header::automatic &&
                          (candidate.named || compared.number_below_text || (!second.found() && only_text(candidate.kinds))));
    if (layout_.has_header) {
      NameRow names(name_);
      walk_one({}, names);
      layout_.names = std::move(names.names);
      layout_.data = first.walk.end;
      layout_.blank = first.walk.blank;
    }
    set_columns(first, second, allow_trailing);
    select(layout_.has_header ? second : first);
    return std::move(layout_);
  }

 private:
  FirstRow walk_one(CsvPosition begin, RowHandler& handler) {
    handler.row.begin = begin;
    handler.row.walk = walk_records(text_, begin, layout_.dialect, name_, 1, handler);
    return handler.row;
  }

  static bool only_text(const std::vector<CellKind>& kinds) {
    return std::find(kinds.begin(), kinds.end(), CellKind::number) == kinds.end() &&
           std::find(kinds.begin(), kinds.end(), CellKind::text) != kinds.end();
  }

  void set_columns(const FirstRow& first, const FirstRow& second, bool allow_trailing) {
    layout_.reference_line = first.line;
    layout_.columns = first.cells;
    if (options_.ragged_pad) {
      LongestRow rows;
      walk_records(text_, {}, layout_.dialect, name_, all_records, rows);
      layout_.columns = rows.longest;
      layout_.trailing = true;
    } else if (allow_trailing && first.last_empty && first.cells > 1) {
      layout_.columns = first.cells - 1;
      layout_.trailing = true;
    } else if (allow_trailing && layout_.has_header && second.found() && second.last_empty) {
      layout_.trailing = second.cells == first.cells + 1;  // all rows but the header end in a separator
    }
    if (layout_.has_header) layout_.names.resize(layout_.columns);
  }

  /// `row` is the first row of data, if there is one.
  void select(const FirstRow& row) {
    WidthRow widths(layout_.dialect.decimal);
    if (row.found()) {
      layout_.data_quoted = row.text(text_).find('"') != std::string_view::npos;
      if (row.text(text_).find('[') != std::string_view::npos) walk_one(row.begin, widths);
    }
    if (!name_.selector.empty())
      layout_.selected = select_columns(name_.selector, layout_.names, layout_.columns, input_label(name_.path));
    layout_.row_width = layout_.columns;
    if (!layout_.selected.empty() || !widths.widths.empty()) place_columns(widths.widths);
  }

  void place_columns(const std::vector<std::size_t>& widths) {
    const std::size_t count = layout_.selected.empty() ? layout_.columns : layout_.selected.size();
    const std::size_t last =
        layout_.selected.empty() ? layout_.columns - 1 : *std::max_element(layout_.selected.begin(), layout_.selected.end());
    layout_.wanted.resize(last + 1);
    std::size_t offset = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t index = layout_.selected.empty() ? i : layout_.selected[i];
      CsvColumn& column = layout_.wanted[index];
      column.width = index < widths.size() ? widths[index] : 1;
      if (column.offset == CsvColumn::unwanted)
        column.offset = offset;
      else
        layout_.copies.push_back({column.offset, offset, column.width});
      offset += column.width;
    }
    layout_.row_width = offset;
  }

  std::string_view text_;
  const FileName& name_;
  const ReadOptions& options_;
  CsvLayout layout_;
};

}  // namespace

CsvLayout read_layout(std::string_view text, const FileName& name, const ReadOptions& options, bool allow_trailing) {
  return LayoutReader(text, name, options).read(allow_trailing);
}

std::vector<std::string> selected_names(const CsvLayout& layout) {
  if (!layout.has_header || layout.wanted.empty()) return layout.names;
  std::vector<std::string> result;
  result.reserve(layout.row_width);
  const std::size_t count = layout.selected.empty() ? layout.columns : layout.selected.size();
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t index = layout.selected.empty() ? i : layout.selected[i];
    const std::size_t width = layout.wanted[index].width;
    if (width == 1) result.push_back(layout.names[index]);
    for (std::size_t k = 0; width > 1 && k < width; ++k) result.push_back(fmt::format("{}[{}]", layout.names[index], k));
  }
  return result;
}

}  // namespace attn

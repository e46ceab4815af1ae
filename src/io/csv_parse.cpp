// Reads CSV text: looks at its head, chooses a lane, and says what was found.
#include "io/columns.hpp"
#include "io/csv.hpp"
#include "io/csv_lanes.hpp"
#include "io/descriptor.hpp"
#include "io/text.hpp"

#include <utility>

#include <fmt/format.h>

namespace attn {

namespace {

std::string delimiter_name(char delimiter) {
  return delimiter == '\t' ? "tab" : delimiter == ' ' ? "blank" : excerpt({&delimiter, 1});
}

void report(const CsvLayout& layout, const BlankLines& later, const FileName& name, const ReadOptions& options,
            Reporter& reporter) {
  if (layout.has_header && options.header == Header::automatic)
    reporter.note(fmt::format("{}: line {} is a header row", input_label(name.path), layout.reference_line));
  if (!options.delimiter && layout.dialect.delimiter != ',' && layout.columns > 1)
    reporter.note(fmt::format("{}: the separator is {}", input_label(name.path), delimiter_name(layout.dialect.delimiter)));
  BlankLines blank = layout.blank;
  blank.add(later);
  if (blank.count == 1) reporter.note(fmt::format("{}: the blank line {} was skipped", input_label(name.path), blank.first));
  if (blank.count > 1)
    reporter.note(
        fmt::format("{}: {} blank lines were skipped, the first is line {}", input_label(name.path), blank.count, blank.first));
}

/// Reads the data in the lane asked for; the automatic one begins plain where it can and changes when it meets a quote.
template <class T>
CsvData read_data(std::string_view text, const CsvLayout& layout, const FileName& name, const ReadOptions& options,
                  const CsvTuning& tuning) {
  const CsvCells<T> cells(layout, name, options);
  const bool plain = tuning.lane == CsvLane::plain || (tuning.lane == CsvLane::automatic && !layout.data_quoted);
  if (!plain) return read_quoted<T>(text, layout, cells, name);
  try {
    return read_plain<T>(text, layout, cells, tuning);
  } catch (const CsvRestart& restart) {
    if (restart.reason != CsvRestart::Reason::quotes) throw;
    if (tuning.lane == CsvLane::plain) throw Error(Status::defect, "the plain lane does not read quotes");
    return read_quoted<T>(text, layout, cells, name);
  }
}

Loaded parse(std::string_view text, const FileName& name, const ReadOptions& options, Reporter& reporter, const CsvTuning& tuning,
             bool allow_trailing) {
  const CsvLayout layout = read_layout(text, name, options, allow_trailing);
  CsvData data = options.text_type == DType::f64 ? read_data<double>(text, layout, name, options, tuning)
                                                 : read_data<float>(text, layout, name, options, tuning);
  report(layout, data.blank, name, options, reporter);
  Loaded loaded;
  loaded.array = std::move(data.array);
  loaded.name = name;
  loaded.format = options.from == Format::tsv ? Format::tsv : Format::csv;
  loaded.columns = selected_names(layout);
  return loaded;
}

}  // namespace

Loaded parse_csv(std::string_view text, const FileName& name, const ReadOptions& options, Reporter& reporter,
                 const CsvTuning& tuning) {
  if (options.text_type != DType::f32 && options.text_type != DType::f64)
    throw Error(Status::defect, "text is read as float32 or float64");
  text = plain_text(text, name);
  refuse_json(text, name);
  try {
    return parse(text, name, options, reporter, tuning, true);
  } catch (const CsvRestart&) {
    return parse(text, name, options, reporter, tuning, false);
  }
}

namespace {

class NameColumn : public CsvHandler {
 public:
  NameColumn(const CsvLayout& layout, const FileName& name, const ReadOptions& options)
      : wanted_(layout.selected.front()), cells_(layout, name, options), unused_(layout.row_width) {}
  void cell(std::string_view text, std::size_t, std::size_t column) override {
    if (column == wanted_) names.emplace_back(text);
  }
  void end_record(std::size_t line, std::size_t cells, bool last_empty) override {
    cells_.end_row(line, cells, last_empty, unused_.data());
    names.resize(++rows_);  // a padded row has an empty name
  }
  std::vector<std::string> names;

 private:
  std::size_t wanted_;
  CsvCells<float> cells_;
  std::vector<float> unused_;
  std::size_t rows_ = 0;
};

std::vector<std::string> lines_of(std::string_view text, const FileName& name) {
  text = text.substr(0, text.find_last_not_of("\r\n") + 1);
  if (text.empty()) throw Error(Status::data, place_in(name), "no data: the file has no line with a name");
  std::vector<std::string> names;
  const char* const end = text.data() + text.size();
  LineWalker lines(text.data(), end);
  for (const char* begin = text.data(); begin != end;) {
    const char* const line_end = lines.line_end(begin);
    names.emplace_back(begin, line_end);
    begin = lines.next_line(line_end);
  }
  return names;
}

std::vector<std::string> names_in_column(std::string_view text, const FileName& name, const ReadOptions& options,
                                         Reporter& reporter, bool allow_trailing) {
  const CsvLayout layout = read_layout(text, name, options, allow_trailing);
  if (layout.selected.size() != 1)
    throw Error(Status::usage,
                fmt::format("names are read from one column, but {} selects {}", excerpt(name.selector), layout.selected.size()));
  NameColumn column(layout, name, options);
  const CsvWalk walk = walk_records(text, layout.data, layout.dialect, name, static_cast<std::size_t>(-1), column);
  report(layout, walk.blank, name, options, reporter);
  return std::move(column.names);
}

}  // namespace

std::vector<std::string> parse_names(std::string_view text, const FileName& name, const ReadOptions& options,
                                     Reporter& reporter) {
  text = plain_text(text, name);
  if (name.selector.empty()) return lines_of(text, name);
  try {
    return names_in_column(text, name, options, reporter, true);
  } catch (const CsvRestart&) {
    return names_in_column(text, name, options, reporter, false);
  }
}

}  // namespace attn

// attn convert: changes format, type, rows, columns, shape and numbers of an array.
#include "analysis/convert.hpp"

#include "cli/commands.hpp"
#include "request/element_type.hpp"

#include <cstring>
#include <span>

#include <fmt/format.h>

namespace attn::request {

template <>
struct Names<analysis::RowNorm> {
  static constexpr std::array<std::pair<std::string_view, analysis::RowNorm>, 3> list{
      {{"l1", analysis::RowNorm::l1}, {"l2", analysis::RowNorm::l2}, {"max", analysis::RowNorm::max}}};
};

}  // namespace attn::request

namespace attn::cli {

namespace {

struct ConvertSettings {
  std::string input;
  std::string output = "-";
  std::string shape;
  request::ElementType dtype = request::ElementType::automatic;
  analysis::Conversion steps;
  request::ReadingSettings reading;
  request::WritingSettings writing;
  request::CommonSettings common;
};

using Rows = Table<ConvertSettings>;

void add_files(Rows& rows) {
  rows.push_back(request::row<ConvertSettings>(
      {.name = "IN", .metavar = "F", .group = "Arguments", .help = "the array; - is standard input", .positional = true},
      [](auto& s) -> auto& { return s.input; }));
  rows.push_back(request::row<ConvertSettings>(
      {.name = "OUT", .metavar = "F", .group = "Arguments", .help = "where it goes; - is standard output", .positional = true},
      [](auto& s) -> auto& { return s.output; }));
}

void add_choices(Rows& rows) {
  const std::string group = "Choosing";
  rows.push_back(request::row<ConvertSettings>(
      {.name = "columns",
       .metavar = "LIST",
       .group = group,
       .help = "columns by name or number from 1: digit, 1..3,7, p0..p63",
       .details =
           "The same as behind the name of a CSV file; of other files it takes numbers along the last axis. Both ends of a "
           "range belong to it. Standard input is taken for CSV here unless --from says otherwise."},
      [](auto& s) -> auto& { return s.steps.columns; }));
  rows.push_back(request::row<ConvertSettings>(
      {.name = "rows",
       .metavar = "LIST",
       .group = group,
       .help = "rows by number from 0: 0..99,200,500..",
       .details =
           "Along the second-last axis, in the order written. Both ends of a range belong to it; an open end reaches to the "
           "first or last row."},
      [](auto& s) -> auto& { return s.steps.rows; }));
}

void add_changes(Rows& rows) {
  const std::string group = "Changing";
  rows.push_back(request::row<ConvertSettings>({.name = "one-hot",
                                                .group = group,
                                                .help = "class ids become rows of 0 with a 1 at the class",
                                                .details = "A column [n, 1] or a list [n] becomes [n, classes]."},
                                               [](auto& s) -> auto& { return s.steps.one_hot; }));
  rows.push_back(request::row<ConvertSettings>(
      {.name = "classes", .metavar = "N", .group = group, .help = "classes of --one-hot (default: the largest id + 1)"},
      [](auto& s) -> auto& { return s.steps.classes; }));
  rows.push_back(request::row<ConvertSettings>({.name = "reshape",
                                                .metavar = "SHAPE",
                                                .group = group,
                                                .help = "another shape of as many elements; one size may be -1: 2,3,-1"},
                                               [](auto& s) -> auto& { return s.shape; }));
  rows.push_back(request::row<ConvertSettings>({.name = "split-heads",
                                                .metavar = "H",
                                                .group = group,
                                                .help = "[length, heads*dim] becomes [heads, length, dim]",
                                                .details = "With a batch axis before, that stays. 0 leaves heads alone."},
                                               [](auto& s) -> auto& { return s.steps.split_heads; }));
  rows.push_back(request::row<ConvertSettings>(
      {.name = "merge-heads", .group = group, .help = "[heads, length, dim] becomes [length, heads*dim]"},
      [](auto& s) -> auto& { return s.steps.merge_heads; }));
  rows.push_back(request::row<ConvertSettings>({.name = "transpose", .group = group, .help = "swap the last two axes"},
                                               [](auto& s) -> auto& { return s.steps.transpose; }));
  rows.push_back(
      request::row<ConvertSettings>({.name = "normalize-rows",
                                     .metavar = "NORM",
                                     .group = group,
                                     .help = "divide each row by its norm",
                                     .details = "l1 is the sum of magnitudes, l2 the Euclidean length, max the largest "
                                                "magnitude. Rows of zeros stay and are announced."},
                                    [](auto& s) -> auto& { return s.steps.normalize_rows; }));
  rows.push_back(request::row<ConvertSettings>(
      {.name = "dtype",
       .metavar = "TYPE",
       .group = group,
       .help = "element type of the output",
       .details =
           "auto keeps the file's type; text is float32 unless f64 is asked for. What an integer type or bool cannot hold, and "
           "integers that a float type cannot hold exactly, are errors unless --lossy is given."},
      [](auto& s) -> auto& { return s.dtype; }));
}

const Rows& convert_table() {
  static const Rows table = [] {
    Rows rows;
    add_files(rows);
    add_choices(rows);
    add_changes(rows);
    request::append_reading(rows);
    request::append_writing(rows);
    request::append_common(rows);
    return rows;
  }();
  return table;
}

std::vector<std::int64_t> parse_shape(const std::string& text) {
  std::vector<std::int64_t> sizes;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    request::read_value("--reshape", text.substr(begin, end - begin), sizes.emplace_back());
    begin = end + 1;
  }
  return sizes;
}

/// Text becomes float64 where float32 could not hold what the output can.
DType text_type(std::optional<DType> wanted) {
  const bool single = !wanted || *wanted == DType::f32 || *wanted == DType::f16 || *wanted == DType::bf16;
  return single ? DType::f32 : DType::f64;
}

/// The columns of a text file are chosen while it is read, so that the others may hold anything.
FileName input_name(ConvertSettings& settings) {
  FileName name = FileName::parse(settings.input);
  const Format format = settings.reading.from.value_or(format_of_path(name.path).value_or(Format::csv));
  if (settings.steps.columns.empty() || (format != Format::csv && format != Format::tsv)) return name;
  if (!name.selector.empty())
    throw Error(Status::usage,
                fmt::format("columns are chosen twice: by ':{}' and by --columns {}", name.selector, settings.steps.columns));
  name.selector = std::exchange(settings.steps.columns, {});
  return name;
}

Status convert(ConvertSettings& settings, Console& console) {
  if (settings.input.empty())
    throw Error(Status::usage, "which array?", "attn convert IN OUT, for example: attn convert x.csv x.npy");
  analysis::Conversion& steps = settings.steps;
  steps.dtype = request::dtype_of(settings.dtype);
  steps.lossy = settings.reading.lossy;
  if (!settings.shape.empty()) steps.reshape = parse_shape(settings.shape);
  const FileName name = input_name(settings);
  const Loaded input = read_array(name, settings.reading.options(text_type(steps.dtype)), console);
  if (steps.normalize_rows) request::require_numbers(input, settings.reading);
  const analysis::Converted result = analysis::convert(input, steps, console);

  Outputs outputs;
  WriteOptions writing = settings.writing.options();
  writing.column_names = result.columns;
  std::byte* memory =
      outputs.add(FileName::parse_output(settings.output), "array", result.array.dtype(), result.array.shape(), writing);
  if (!result.array.empty()) std::memcpy(memory, result.array.data(), result.array.bytes());
  verify_unchanged(input);
  outputs.commit();
  return Status::ok;
}

}  // namespace

Command convert_command() {
  return make_command<ConvertSettings>(
      {.name = "convert",
       .group = "Arrays",
       .summary = "change format, type, rows, columns and shape of an array",
       .usage = "attn convert IN [OUT] [options]",
       .example = "attn convert train.csv:digit labels.npy --one-hot",
       .description =
           "Reads one array and writes it, in the format that the name of the output says. Changes are made in this order: "
           "columns, rows, one-hot, reshape, heads, transpose, normalize, dtype; for another order chain two with a pipe. "
           "Names of CSV columns are kept while the columns are."},
      convert_table, convert);
}

}  // namespace attn::cli

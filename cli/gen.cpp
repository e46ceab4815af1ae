// attn gen: seeded random and structured arrays.
#include "analysis/generate.hpp"
#include "cli/commands.hpp"
#include "request/element_type.hpp"

#include <cstring>
#include <optional>

#include <fmt/format.h>

namespace attn::request {

template <>
struct Names<analysis::Kind> {
  static constexpr std::array<std::pair<std::string_view, analysis::Kind>, 10> list{{{"normal", analysis::Kind::normal},
                                                                                     {"uniform", analysis::Kind::uniform},
                                                                                     {"integers", analysis::Kind::integers},
                                                                                     {"one-hot", analysis::Kind::one_hot},
                                                                                     {"orthogonal", analysis::Kind::orthogonal},
                                                                                     {"positions", analysis::Kind::positions},
                                                                                     {"identity", analysis::Kind::identity},
                                                                                     {"range", analysis::Kind::range},
                                                                                     {"zeros", analysis::Kind::zeros},
                                                                                     {"ones", analysis::Kind::ones}}};
};

}  // namespace attn::request

namespace attn::cli {

namespace {

using analysis::Kind;

struct GenSettings {
  std::string output = "-";
  std::optional<std::size_t> rows;
  std::optional<std::size_t> cols;
  std::string shape;
  Kind kind = Kind::normal;
  std::size_t seed = 0;
  double mean = 0;
  double std = 1;
  std::optional<double> low;
  std::optional<double> high;
  std::optional<std::size_t> classes;
  request::ElementType dtype = request::ElementType::automatic;
  request::WritingSettings writing;
  request::CommonSettings common;
};

using Rows = Table<GenSettings>;

void add_size(Rows& rows) {
  const std::string group = "Size";
  rows.push_back(request::row<GenSettings>({.name = "rows", .metavar = "N", .group = group, .help = "rows of a matrix"},
                                           [](auto& s) -> auto& { return s.rows; }));
  rows.push_back(request::row<GenSettings>({.name = "cols", .metavar = "N", .group = group, .help = "columns of a matrix"},
                                           [](auto& s) -> auto& { return s.cols; }));
  rows.push_back(request::row<GenSettings>(
      {.name = "shape", .metavar = "SHAPE", .group = group, .help = "any shape instead: 2,8,128,64 (batch, heads, length, dim)"},
      [](auto& s) -> auto& { return s.shape; }));
}

void add_numbers(Rows& rows) {
  const std::string group = "Numbers";
  rows.push_back(request::row<GenSettings>(
      {.name = "kind",
       .metavar = "KIND",
       .group = group,
       .help = "what the array holds",
       .details =
           "normal, uniform, integers (all equally likely) and one-hot (a 1 at a random class in each row) are random; "
           "orthogonal "
           "makes random rows orthonormal (columns, where there are more rows than columns); positions are the sines and cosines "
           "of Vaswani et al. 2017: sin(p/10000^(2c/dim)) in column 2c, the cosine beside it; range counts 0, 1, 2, ..."},
      [](auto& s) -> auto& { return s.kind; }));
  rows.push_back(
      request::row<GenSettings>({.name = "seed",
                                 .metavar = "N",
                                 .group = group,
                                 .help = "another seed gives other numbers, the same seed the same bytes on every machine",
                                 .details = "The generator is Philox4x32-10. Element i depends on seed and kind alone, so a "
                                            "longer array begins with the shorter one. float32 is float64 rounded."},
                                [](auto& s) -> auto& { return s.seed; }));
  rows.push_back(request::row<GenSettings>({.name = "mean", .metavar = "X", .group = group, .help = "mean of normal numbers"},
                                           [](auto& s) -> auto& { return s.mean; }));
  rows.push_back(
      request::row<GenSettings>({.name = "std", .metavar = "X", .group = group, .help = "standard deviation of normal numbers"},
                                [](auto& s) -> auto& { return s.std; }));
  rows.push_back(request::row<GenSettings>(
      {.name = "low", .metavar = "X", .group = group, .help = "lowest of uniform numbers and integers (default: 0)"},
      [](auto& s) -> auto& { return s.low; }));
  rows.push_back(request::row<GenSettings>({.name = "high",
                                            .metavar = "X",
                                            .group = group,
                                            .help = "uniform numbers stay below it (default: 1), integers reach it (default: 9)"},
                                           [](auto& s) -> auto& { return s.high; }));
  rows.push_back(
      request::row<GenSettings>({.name = "classes", .metavar = "N", .group = group, .help = "columns of one-hot rows, as --cols"},
                                [](auto& s) -> auto& { return s.classes; }));
  rows.push_back(
      request::row<GenSettings>({.name = "dtype", .metavar = "TYPE", .group = group, .help = "element type; auto is f32"},
                                [](auto& s) -> auto& { return s.dtype; }));
}

const Rows& gen_table() {
  static const Rows table = [] {
    Rows rows;
    add_size(rows);
    add_numbers(rows);
    rows.push_back(request::row<GenSettings>({.name = "output",
                                              .letter = 'o',
                                              .metavar = "F",
                                              .group = "Writing files",
                                              .help = "where the array goes; - is standard output"},
                                             [](auto& s) -> auto& { return s.output; }));
    request::append_writing(rows);
    request::append_common(rows);
    return rows;
  }();
  return table;
}

Shape parse_shape(const std::string& text) {
  Shape shape;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    request::read_value("--shape", text.substr(begin, end - begin), shape.emplace_back());
    begin = end + 1;
  }
  return shape;
}

Shape shape_of(const GenSettings& s) {
  if (s.classes && s.kind != Kind::one_hot) throw Error(Status::usage, "--classes goes with --kind one-hot");
  if (s.classes && s.cols && *s.classes != *s.cols)
    throw Error(Status::usage,
                fmt::format("--classes {} and --cols {} both say how many columns there are", *s.classes, *s.cols));
  const std::optional<std::size_t> cols = s.classes ? s.classes : s.cols;
  if (!s.shape.empty()) {
    if (s.rows || cols) throw Error(Status::usage, "--shape says it all: leave out --rows, --cols and --classes");
    return parse_shape(s.shape);
  }
  if (!s.rows || !cols)
    throw Error(Status::usage, "how large is the array to be?", "a matrix: --rows 4 --cols 3; more axes: --shape 2,8,128,64");
  return {*s.rows, *cols};
}

Status gen(const GenSettings& settings, Console&) {
  const bool ranged = settings.kind == Kind::uniform || settings.kind == Kind::integers;
  if ((settings.low || settings.high) && !ranged)
    throw Error(Status::usage, "--low and --high go with --kind uniform and --kind integers");
  const analysis::Recipe recipe{.kind = settings.kind,
                                .shape = shape_of(settings),
                                .seed = settings.seed,
                                .mean = settings.mean,
                                .std = settings.std,
                                .low = settings.low.value_or(0),
                                .high = settings.high.value_or(settings.kind == Kind::integers ? 9 : 1),
                                .dtype = request::dtype_of(settings.dtype).value_or(DType::f32)};
  const Array array = analysis::generate(recipe);
  Outputs outputs;
  std::byte* memory =
      outputs.add(FileName::parse_output(settings.output), "array", array.dtype(), array.shape(), settings.writing.options());
  if (!array.empty()) std::memcpy(memory, array.data(), array.bytes());
  outputs.commit();
  return Status::ok;
}

}  // namespace

Command gen_command() {
  return make_command<GenSettings>({.name = "gen",
                                    .group = "Arrays",
                                    .summary = "make random and structured arrays, the same bytes everywhere for a seed",
                                    .usage = "attn gen --rows N --cols N [options]",
                                    .example = "attn gen --rows 16 --cols 64 --seed 1 -o x.npy",
                                    .description = ""},
                                   gen_table, gen);
}

}  // namespace attn::cli

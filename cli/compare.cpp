// attn compare: how far two arrays are apart; status 1 when that is too far.
#include "analysis/compare.hpp"

#include "cli/commands.hpp"
#include "cli/run_context.hpp"
#include "request/compare_maps.hpp"

#include <array>
#include <optional>
#include <span>

#include <fmt/format.h>

namespace attn::cli {

enum class CompareFormat { text, json };

}  // namespace attn::cli

namespace attn::request {

template <>
struct Names<cli::CompareFormat> {
  static constexpr std::array<std::pair<std::string_view, cli::CompareFormat>, 2> list{
      {{"text", cli::CompareFormat::text}, {"json", cli::CompareFormat::json}}};
};

}  // namespace attn::request

namespace attn::cli {

namespace {

struct CompareSettings {
  std::string a;
  std::string b;
  std::optional<double> rtol;
  std::optional<double> atol;
  std::optional<double> ulp;
  bool equal_nan = false;
  request::MapSettings maps;
  CompareFormat to = CompareFormat::text;
  request::ReadingSettings reading;
  request::CommonSettings common;
};

const Table<CompareSettings>& compare_table() {
  static const Table<CompareSettings> table = [] {
    using request::row;
    const std::string group = "Comparing";
    Table<CompareSettings> rows{
        row<CompareSettings>(
            {.name = "A", .metavar = "F", .group = "Arguments", .help = "the array that is judged", .positional = true},
            [](auto& s) -> auto& { return s.a; }),
        row<CompareSettings>(
            {.name = "B", .metavar = "F", .group = "Arguments", .help = "the array that is right", .positional = true},
            [](auto& s) -> auto& { return s.b; }),
        row<CompareSettings>({.name = "rtol",
                              .metavar = "X",
                              .group = group,
                              .help = "relative tolerance (default: 1e-5)",
                              .details = "Elements agree when |a - b| <= atol + rtol*|b|, as numpy.allclose has it. Of several "
                                         "criteria one is enough; those not named are 0 as soon as one of them is."},
                             [](auto& s) -> auto& { return s.rtol; }),
        row<CompareSettings>({.name = "atol", .metavar = "X", .group = group, .help = "absolute tolerance (default: 1e-8)"},
                             [](auto& s) -> auto& { return s.atol; }),
        row<CompareSettings>({.name = "ulp",
                              .metavar = "N",
                              .group = group,
                              .help = "elements also agree when they are at most N units in the last place apart",
                              .details = "Units of the coarser type of the two arrays, at the larger of the two numbers."},
                             [](auto& s) -> auto& { return s.ulp; }),
        row<CompareSettings>(
            {.name = "equal-nan", .group = group, .help = "NaN agrees with NaN (it agrees with nothing otherwise)"},
            [](auto& s) -> auto& { return s.equal_nan; }),
    };
    append(rows, request::map_table(), [](auto& s) -> auto& { return s.maps; });
    rows.push_back(
        row<CompareSettings>({.name = "to", .metavar = "FORMAT", .group = "Output", .help = "for people or for programs"},
                             [](auto& s) -> auto& { return s.to; }));
    request::append_reading(rows);
    request::append_common(rows);
    return rows;
  }();
  return table;
}

/// Without any criterion those of numpy.allclose; with one the others are off.
analysis::Tolerance tolerance_of(const CompareSettings& s) {
  for (const auto& [name, value] : {std::pair{"--rtol", s.rtol}, std::pair{"--atol", s.atol}, std::pair{"--ulp", s.ulp}}) {
    if (value && !(*value >= 0)) throw Error(Status::usage, fmt::format("{} {}: a tolerance is a number from 0", name, *value));
  }
  analysis::Tolerance tolerance{.equal_nan = s.equal_nan};
  tolerance.ulp = s.ulp;
  if (!s.rtol && !s.atol && !s.ulp) return tolerance;
  tolerance.rtol = s.rtol.value_or(0);
  tolerance.atol = s.atol.value_or(0);
  return tolerance;
}

/// The distance up to which rows of maps agree.
double row_tolerance(const CompareSettings& s) {
  if (s.rtol || s.ulp || s.equal_nan)
    throw Error(Status::usage, "--rtol, --ulp and --equal-nan are of elements: with --metric rows agree up to --atol");
  static_cast<void>(tolerance_of(s));
  return s.atol.value_or(analysis::usual_tolerance(*s.maps.metric));
}

bool may_be_text(const FileName& name, const request::ReadingSettings& reading) {
  const Format format = reading.from.value_or(format_of_path(name.path).value_or(Format::csv));
  return format == Format::csv || format == Format::tsv;
}

/// Decimal text becomes what it is compared with: float32 beside a float32 array, else float64.
std::array<Loaded, 2> read_both(const CompareSettings& s, Reporter& reporter) {
  const std::array<FileName, 2> names{FileName::parse(s.a), FileName::parse(s.b)};
  if (names[0].is_standard_stream() && names[1].is_standard_stream())
    throw Error(Status::usage, "only one input may be standard input");
  const std::size_t first = may_be_text(names[0], s.reading) ? 1 : 0;
  std::array<Loaded, 2> loaded;
  loaded[first] = read_array(names[first], s.reading.options(DType::f64), reporter);
  const bool text = loaded[first].format == Format::csv || loaded[first].format == Format::tsv;
  const DType type = loaded[first].array.dtype();
  const bool single = !text && (type == DType::f32 || type == DType::f16 || type == DType::bf16);
  loaded[1 - first] = read_array(names[1 - first], s.reading.options(single ? DType::f32 : DType::f64), reporter);
  return loaded;
}

Status compare_maps(const CompareSettings& s, Console& console) {
  const double tolerance = row_tolerance(s);
  const std::array<Loaded, 2> loaded = read_both(s, console);
  analysis::MapComparison result;
  run_in_context(console, [&](const request::RunContext& context) {
    result = request::compare_maps(s.maps, s.reading, loaded, tolerance, context);
  });
  console.print(s.to == CompareFormat::json ? request::map_json(s.a, s.b, loaded, result) : request::map_text(result));
  return result.agree() ? Status::ok : Status::differs;
}

Status compare(CompareSettings& s, Console& console) {
  if (s.a.empty() || s.b.empty()) throw Error(Status::usage, "two arrays are needed", "attn compare A B");
  tell_surroundings(console, s.maps.plot);
  request::check_maps(s.maps);
  if (s.maps.metric) return compare_maps(s, console);
  const analysis::Tolerance tolerance = tolerance_of(s);
  const std::array<Loaded, 2> loaded = read_both(s, console);
  const analysis::Comparison result = analysis::compare(loaded[0].array, loaded[1].array, tolerance);
  for (const Loaded& input : loaded) verify_unchanged(input);
  console.print(s.to == CompareFormat::json ? analysis::comparison_json(s.a, s.b, result)
                                            : analysis::comparison_text(s.a, s.b, result));
  return result.agree() ? Status::ok : Status::differs;
}

}  // namespace

Command compare_command() {
  return make_command<CompareSettings>(
      {.name = "compare",
       .group = "Arrays",
       .summary = "how far two arrays are apart; status 1 when that is too far",
       .usage = "attn compare A B [options]",
       .example = "attn compare fast.npy exact.npy --atol 1e-6",
       .description =
           "Compares in float64, element by element. Arrays of different shapes differ. Without --rtol, --atol and --ulp the "
           "tolerance is that of numpy.allclose: 1e-8 + 1e-5*|b|. With --metric A and B are attention maps, compared row by row "
           "and head by head."},
      compare_table, compare);
}

}  // namespace attn::cli

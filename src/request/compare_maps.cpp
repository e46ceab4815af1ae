// attn compare --metric: two files of attention weights against each other, head by head.
#include "request/compare_maps.hpp"

#include "base/counted.hpp"
#include "base/json_number.hpp"
#include "io/csv.hpp"
#include "request/plot_output.hpp"
#include "request/run_outputs.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace attn::request {

namespace {

using analysis::DistanceSum;
using analysis::HeadPair;
using analysis::MapComparison;
using analysis::MapFindings;
using analysis::MapMetric;
using MapJson = nlohmann::ordered_json;

constexpr const char* kMaps = "Attention maps";

std::string six_digits(double x) { return fmt::format("{:.6g}", x); }

const char* long_name(MapMetric metric) {
  switch (metric) {
    case MapMetric::kl:
      return "Kullback-Leibler divergence of A from B, nats";
    case MapMetric::js:
      return "Jensen-Shannon divergence, nats";
    case MapMetric::mse:
      return "mean squared difference";
    case MapMetric::cosine:
      break;
  }
  return "1 - cosine";
}

std::string place_of(const Shape& shape, const DistanceSum& sum) {
  return shape[0] > 1 ? fmt::format("batch entry {}, query {}", sum.batch, sum.query) : fmt::format("query {}", sum.query);
}

/// Mean and largest of some rows in one line.
std::string summary_of(const Shape& shape, const DistanceSum& sum) {
  if (sum.rows == 0) return "no rows";
  return fmt::format("mean {}, largest {} at {}", six_digits(sum.mean), six_digits(sum.largest), place_of(shape, sum));
}

void announce_masses(const std::string& file, const MapFindings& findings, const Shape& shape, std::size_t heads,
                     Reporter& reporter) {
  if (findings.rows_off == 0) return;
  const std::size_t row = findings.first_off;
  reporter.warn(fmt::format("{}: {} of {} rows do not add up to 1; the first is query {} of head {}, batch entry {}, with {:.6g}",
                            file, findings.rows_off, shape[0] * shape[1] * shape[2], row % shape[2], row / shape[2] % heads,
                            row / shape[2] / heads, findings.mass_off));
}

/// The distance of each row, in the order of the pairs; a row that is left out has an empty cell.
void write_rows(Outputs::TextSink& sink, const MapComparison& c) {
  const Shape& s = c.shape;
  CsvRows csv(sink, {"batch", "head_a", "head_b", "query", "distance"});
  for (std::size_t row = 0; row < c.distances.size(); ++row) {
    const HeadPair& pair = c.pairs[row / s[2] % s[1]];
    csv.index(row / s[2] / s[1]).index(pair.a).index(pair.b).index(row % s[2]);
    if (c.left_out[row] != 0)
      csv.text("");
    else
      csv.real(c.distances[row]);
    csv.end_row();
  }
  csv.finish();
}

MapJson sum_json(const DistanceSum& sum) {
  MapJson json{{"rows", sum.rows},
               {"differing", sum.differing},
               {"infinite", sum.infinite},
               {"nan", sum.not_a_number},
               {"mean", json_number(sum.mean)},
               {"finite_mean", json_number(sum.finite_mean)},
               {"largest", json_number(sum.largest)}};
  json["worst"] = sum.rows == 0 ? MapJson(nullptr) : MapJson{{"batch", sum.batch}, {"query", sum.query}};
  return json;
}

MapJson file_json(const std::string& file, const Array& map, const MapFindings& findings, const std::vector<std::size_t>& alone) {
  return {{"file", file},
          {"shape", map.shape()},
          {"dtype", dtype_name(map.dtype())},
          {"rows_off", findings.rows_off},
          {"heads_alone", alone}};
}

/// Cells of |a - b|, a panel for each pair.
void draw_differences(const MapSettings& settings, const std::array<Loaded, 2>& files, const std::array<Array, 2>& maps,
                      const MapComparison& c, const engine::Execution& execution, Outputs& outputs, Reporter& reporter) {
  const engine::Plan plan = analysis::plan_of_weights(c.shape, 0);
  const std::vector<std::string> numbers;
  PlotNames names{.ids = numbers, .key_ids = numbers, .source = files[0].name.text()};
  names.title = fmt::format("|A - B| of {} and {}", files[0].name.text(), files[1].name.text());
  names.quantity = "difference";
  for (const HeadPair& pair : c.pairs) names.heads.push_back(fmt::format("A {}, B {}", pair.a, pair.b));
  PlotOutput<double> plot(settings.plot, plan, names, outputs);
  analysis::walk_differences(plan, maps[0], maps[1], c, std::array<engine::Observer<double>*, 1>{plot.observer()}, execution);
  plot.finish(reporter);
}

}  // namespace

const Table<MapSettings>& map_table() {
  using M = MapSettings;
  static const Table<M> table = [] {
    Table<M> t;
    t.push_back(row<M>(
        {.name = "metric",
         .metavar = "METRIC",
         .group = kMaps,
         .help = "A and B are attention maps: the distance of each row of theirs",
         .details = "A and B are weights [q_len, kv_len], or with [batch, heads] or [heads] before. kl: sum of b ln(b/a) in "
                    "nats, as a student A is held to a teacher B; js: its symmetric, bounded form; both of each row's "
                    "shares of its sum. mse: the mean of (a-b)^2. cosine: 1 - cos. Rows agree up to --atol "
                    "(default: 1e-8, mse 1e-12). Rows of zeros in both maps, of queries that see nothing, are left out."},
        [](auto& s) -> auto& { return s.metric; }));
    t.push_back(
        row<M>({.name = "match",
                .metavar = "HOW",
                .group = kMaps,
                .help = "heads go together in their order, or so that their distances add up to the least (default: order where "
                        "both maps have as many, else best)",
                .details = "The map with more heads keeps some alone. A distance that is infinite or NaN counts as the "
                           "largest that is not."},
               [](auto& s) -> auto& { return s.match; }));
    t.push_back(
        row<M>({.name = "rows-out", .metavar = "F", .group = kMaps, .help = "the distance of each row as CSV", .writes = true},
               [](auto& s) -> auto& { return s.rows; }));
    t.push_back(row<M>({.name = "plot-out",
                        .metavar = "F",
                        .group = kMaps,
                        .help = "a picture of where the maps differ: |a - b|, a panel for each pair of heads",
                        .details = "--plot-head counts pairs, in the order of A's heads."},
                       [](auto& s) -> auto& { return s.plot.file; }));
    append(t, plot_rows(kMaps, "plot-"), [](auto& s) -> auto& { return s.plot; });
    t.push_back(
        row<M>({.name = "threads", .metavar = "N", .group = kMaps, .help = "threads (default: the cores this process may use)"},
               [](auto& s) -> auto& { return s.threads; }));
    return t;
  }();
  return table;
}

void check_maps(const MapSettings& s) {
  if (!s.metric) {
    if (s.match || !s.rows.empty() || !s.plot.file.empty())
      throw Error(Status::usage, "--match, --rows-out and --plot-out are of attention maps (expected --metric kl|js|mse|cosine)");
    return;
  }
  for (const std::string* file : {&s.rows, &s.plot.file})
    if (*file == "-") throw Error(Status::usage, "standard output holds the comparison: --rows-out and --plot-out need a file");
  if (!s.plot.file.empty()) static_cast<void>(form_of(s.plot));
}

MapComparison compare_maps(const MapSettings& settings, const ReadingSettings& reading, const std::array<Loaded, 2>& maps,
                           double tolerance, const RunContext& context) {
  std::array<Array, 2> weights;
  for (std::size_t i = 0; i < 2; ++i) {
    require_numbers(maps[i], reading);
    weights[i] = analysis::weights_of_four_axes(maps[i].array, maps[i].name.text());
  }
  const ReadFiles inputs{{"A", maps[0]}, {"B", maps[1]}};
  const engine::Execution execution{.threads = settings.threads == 0 ? context.cores : settings.threads,
                                    .isa = {},
                                    .cancelled = context.cancelled,
                                    .progress = context.progress};
  std::vector<OutputPlan> planned;
  for (const auto& [role, file] : {std::pair{"rows-out", settings.rows}, std::pair{"plot-out", settings.plot.file}})
    if (!file.empty()) planned.push_back({.role = role, .file = file, .shape = {}});
  check_output_files(planned, {}, inputs);
  Outputs outputs(context.temporary_folder);
  MapComparison result;
  if (!settings.rows.empty())
    outputs.add_text(FileName::parse_output(settings.rows), [&result](Outputs::TextSink& sink) { write_rows(sink, result); });
  result = analysis::compare_maps(weights[0], weights[1], *settings.metric, settings.match, tolerance, execution);
  announce_masses(maps[0].name.text(), result.a, result.shape, weights[0].shape()[1], context.reporter);
  announce_masses(maps[1].name.text(), result.b, result.shape, weights[1].shape()[1], context.reporter);
  if (!settings.plot.file.empty()) draw_differences(settings, maps, weights, result, execution, outputs, context.reporter);
  publish(inputs, context, outputs);
  return result;
}

std::string map_text(const MapComparison& c) {
  const Shape& s = c.shape;
  const std::string rows = counted(c.rows.rows, "row", "rows");
  std::string text = c.agree() ? fmt::format("equal within the tolerance: {}\n", rows)
                               : fmt::format("different: {} of {} beyond the tolerance\n", c.rows.differing, rows);
  text += fmt::format("  {}\n", long_name(c.metric));
  text += fmt::format("  mean                          {}\n", six_digits(c.rows.mean));
  if (c.rows.infinite > 0 || c.rows.not_a_number > 0) {
    text += fmt::format("  infinite, NaN                 {}, {}\n", c.rows.infinite, c.rows.not_a_number);
    text += fmt::format("  mean of the others            {}\n", six_digits(c.rows.finite_mean));
  }
  if (c.rows.rows > 0) {
    const HeadPair& worst = c.pairs[c.largest_of];
    text += fmt::format("  largest                       {} at {}, head {} with {}\n", six_digits(c.rows.largest),
                        place_of(s, c.rows), worst.a, worst.b);
  }
  text += fmt::format("  attention transfer            {}\n", six_digits(c.transfer));
  if (c.empty_in_both > 0) text += fmt::format("  empty in both, left out       {}\n", c.empty_in_both);
  if (c.empty_in_one > 0) text += fmt::format("  empty in one of them          {}\n", c.empty_in_one);
  for (const HeadPair& p : c.pairs)
    text += fmt::format("  head {} with {}: {}, transfer {}\n", p.a, p.b, summary_of(s, p.rows), six_digits(p.transfer));
  if (!c.a_alone.empty()) text += fmt::format("  heads of A without a partner: {}\n", fmt::join(c.a_alone, ", "));
  if (!c.b_alone.empty()) text += fmt::format("  heads of B without a partner: {}\n", fmt::join(c.b_alone, ", "));
  return text;
}

std::string map_json(const std::string& a, const std::string& b, const std::array<Loaded, 2>& maps, const MapComparison& c) {
  MapJson pairs = MapJson::array();
  for (const HeadPair& p : c.pairs) {
    MapJson pair{{"a", p.a}, {"b", p.b}};
    pair.update(sum_json(p.rows));
    pair["transfer"] = json_number(p.transfer);
    pairs.push_back(std::move(pair));
  }
  MapJson all{{"equal", c.agree()},
              {"metric", name_of(c.metric)},
              {"tolerance", c.tolerance},
              {"a", file_json(a, maps[0].array, c.a, c.a_alone)},
              {"b", file_json(b, maps[1].array, c.b, c.b_alone)},
              {"match", name_of(c.is_matched ? analysis::HeadMatch::best : analysis::HeadMatch::order)}};
  all.update(sum_json(c.rows));
  all["transfer"] = json_number(c.transfer);
  all["empty_in_both"] = c.empty_in_both;
  all["empty_in_one"] = c.empty_in_one;
  all["heads"] = std::move(pairs);
  return all.dump(2, ' ', false, MapJson::error_handler_t::replace) + "\n";
}

}  // namespace attn::request

// attn stats, attn topk and attn plot: a run that writes what its weights say, or the same from weights in a file.
#include "request/look.hpp"

#include "analysis/weights_file.hpp"
#include "request/estimate.hpp"
#include "request/ranks.hpp"
#include "request/run_outputs.hpp"
#include "request/watch_outputs.hpp"
#include "request/watch_plan.hpp"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <numeric>

#include <fmt/format.h>

namespace attn::request {

namespace {

std::int64_t offset_of(const std::string& text, const Shape& shape) {
  if (text.empty()) return 0;
  if (text == "end") return static_cast<std::int64_t>(shape[3]) - static_cast<std::int64_t>(shape[2]);
  std::int64_t offset = 0;
  read_value("--query-offset", text, offset);
  return offset;
}

void require_nothing_else(const LookRequest& r) {
  if (!r.input.empty() || !r.query.empty() || !r.key.empty() || !r.params.empty())
    throw Error(Status::usage, "--from-weights takes the place of queries and keys: give one or the other");
  if (r.value.empty() == r.watch.by_value_norm)
    throw Error(Status::usage, r.watch.by_value_norm ? "--by-value-norm needs the values that the weights belong to: --value F"
                                                     : "--from-weights has no use for values but --by-value-norm");
  for (const std::string* file : {&r.weights, &r.scores, &r.lse, &r.present_key, &r.present_value})
    if (!file->empty())
      throw Error(Status::usage, fmt::format("--from-weights computes no attention: there is nothing to write to {}", *file));
}

std::vector<std::string> names_of(const std::string& file, const LookRequest& r, std::size_t length, const char* option,
                                  Reporter& reporter) {
  if (file.empty()) return {};
  std::vector<std::string> names = read_names(FileName::parse(file), r.reading.options(DType::f32), reporter);
  if (names.size() != length)
    throw Error(Status::data, fmt::format("{} names {} things, but there are {}", option, names.size(), length));
  return names;
}

/// The values that weights in a file belong to: laid out as those of a run, or [heads, kv_len, value_dim] beside weights
/// [heads, q_len, kv_len].
engine::RowSource<double> values_of(const Loaded& loaded, const LookRequest& r, engine::Dims& d) {
  engine::NamedArray values{loaded.array, "value " + loaded.name.text()};
  if (const Shape& s = loaded.array.shape(); s.size() == 3 && d.batch == 1 && s[0] > 1)
    values.array = loaded.array.reshaped({1, s[0], s[1], s[2]});
  const std::size_t packed = r.kv_heads != 0 ? r.kv_heads : r.heads != 0 ? r.heads : d.heads;
  engine::RowSource<double> rows({}, values, values.array.rank() == 4 ? 0 : packed);
  const engine::HeadLayout& l = rows.layout();
  if (l.batch != d.batch || l.length != d.kv_len || l.heads == 0 || d.heads % l.heads != 0)
    throw Error(Status::data, {.file = loaded.name.text()},
                fmt::format("values of shape {} do not belong to weights of batch {}, {} heads and {} keys",
                            to_string(loaded.array.shape()), d.batch, d.heads, d.kv_len));
  d.kv_heads = l.heads;
  d.value_dim = l.dim;
  return rows;
}

void announce(const analysis::WeightsFindings& findings, const std::string& file, const Shape& s, Reporter& reporter) {
  if (findings.rows_off == 0) return;
  const std::size_t row = findings.first_off;
  reporter.warn(fmt::format("{}{} of {} rows do not add up to 1; the first is query {} of head {}, batch entry {}, with {:.6g}",
                            file, findings.rows_off, s[0] * s[1] * s[2], row % s[2], row / s[2] % s[1], row / s[2] / s[1],
                            findings.mass_off));
}

/// The files of weights: one of any batch, or one for each layer.
struct WeightFiles {
  ReadFiles files;
  std::vector<Array> layers;  ///< [batch, heads, q_len, kv_len] each
  Shape shape;                ///< of all together, the layers as batch entries
  bool is_single = true;      ///< none holds float64
  std::string source;         ///< what to call them

  [[nodiscard]] bool is_stack() const noexcept { return layers.size() > 1; }
};

WeightFiles read_weights(const LookRequest& r, Reporter& reporter) {
  WeightFiles all;
  for (const std::string& file : r.from_weights) {
    Loaded loaded = read_array(FileName::parse(file), r.reading.options(DType::f32), reporter);
    require_numbers(loaded, r.reading);
    all.layers.push_back(analysis::weights_of_four_axes(loaded.array, loaded.name.text()));
    const Shape& shape = all.layers.back().shape();
    const Shape& first = all.layers.front().shape();
    if (r.from_weights.size() > 1 && (shape != first || shape[0] != 1))
      throw Error(Status::data, {.file = loaded.name.text()},
                  fmt::format("weights of shape {} are no layer beside {} of {} (expected one [heads, q_len, kv_len] of all)",
                              to_string(shape), to_string(first), r.from_weights.front()));
    all.is_single = all.is_single && loaded.array.dtype() != DType::f64;
    all.files.emplace_back("weights", std::move(loaded));
  }
  all.shape = all.layers.front().shape();
  all.source = all.files.front().second.name.text();
  if (all.is_stack()) {
    all.shape[0] = all.layers.size();
    all.source += " to " + all.files.back().second.name.text();
  }
  return all;
}

/// Walks one file after the other and says what is odd about each.
void walk_layers(const WeightFiles& weights, const engine::Plan& plan, std::span<engine::Observer<double>* const> observers,
                 const engine::Execution& execution, const WatchOutputs<double>& watched, Reporter& reporter) {
  std::vector<analysis::WeightsFindings> findings;
  for (std::size_t n = 0; n < weights.layers.size(); ++n) {
    engine::Plan own =
        analysis::plan_of_weights(weights.layers[n].shape(), plan.query_offset.empty() ? 0 : plan.query_offset.front());
    engine::Execution part = execution;
    if (execution.progress)
      part.progress = [&](double done) {
        execution.progress((static_cast<double>(n) + done) / static_cast<double>(weights.layers.size()));
      };
    findings.push_back(analysis::walk_weights(own, weights.layers[n], observers, part, n));
  }
  watched.finish(reporter);
  for (std::size_t n = 0; n < findings.size(); ++n)
    announce(findings[n], weights.is_stack() ? weights.files[n].second.name.text() + ": " : "", weights.layers[n].shape(),
             reporter);
}

/// The same tables, of weights that are there.
void look_at_weights(const LookRequest& r, const RunContext& context) {
  require_nothing_else(r);
  if (r.dry_run) throw Error(Status::usage, "--dry-run plans attention, and --from-weights computes none");
  check_watch(r.watch);
  const WeightFiles weights = read_weights(r, context.reporter);
  const Shape& shape = weights.shape;
  engine::Plan plan = analysis::plan_of_weights(shape, offset_of(r.query_offset, shape));
  plan.options.empty_rows = r.attention.empty_rows;
  ReadFiles inputs = weights.files;
  engine::RowSource<double> values;
  if (r.watch.by_value_norm) {
    inputs.emplace_back("value", read_array(FileName::parse(r.value), r.reading.options(DType::f64), context.reporter));
    require_numbers(inputs.back().second, r.reading);
    values = values_of(inputs.back().second, r, plan.dims);
  }
  WatchText text{.dims = plan.dims,
                 .ids = {},
                 .key_ids = {},
                 .source = weights.source,
                 .line_axis = weights.is_stack() ? "layer" : "",
                 .is_single = weights.is_single};
  text.ids = names_of(r.ids, r, shape[2], "--ids", context.reporter);
  text.key_ids = names_of(r.key_ids, r, shape[3], "--key-ids", context.reporter);
  if (text.key_ids.empty() && shape[2] == shape[3]) text.key_ids = text.ids;

  const WatchSettings watch = bounded_by(r.watch, r.max_memory);
  const std::vector<OutputPlan> planned = plan_watch(watch, plan, text.ids);
  // The weights are mapped, and a row of them is held for each thread.
  const std::uint64_t tables =
      std::transform_reduce(planned.begin(), planned.end(), std::uint64_t{0}, std::plus<>(),
                            [](const OutputPlan& p) { return element_count(p.shape) * item_size(p.dtype); });
  require_memory({.output_bytes = tables}, r.max_memory, "the tables need", "list fewer, or draw fewer heads");
  check_output_files(planned, {}, inputs);
  Outputs files(context.temporary_folder);
  const WatchOutputs<double> watched(watch, plan, values, text, files);
  const engine::Execution execution{.threads = r.threads == 0 ? context.cores : r.threads,
                                    .isa = {},
                                    .cancelled = context.cancelled,
                                    .progress = context.progress};
  walk_layers(weights, plan, watched.observers(), execution, watched, context.reporter);
  publish(inputs, context, files);
}

void look(LookRequest& r, const RunContext& context) {
  r.output = "none";
  if (r.from_weights.empty()) return run(r, context);
  if (context.transport != nullptr)
    Ranks(*context.transport, context.cancelled).together([] {
      throw Error(Status::usage, "weights from a file cannot be shared by several ranks",
                  "run it without mpirun, on one machine");
    });
  look_at_weights(r, context);
}

}  // namespace

void stats(const LookRequest& request, const RunContext& context, bool for_people) {
  LookRequest r = request;
  r.watch.stats = r.output == "none" ? "" : r.output;
  if (r.detect) r.watch.per = StatsPer::pattern;
  const bool says_what = r.detect || r.watch.per != StatsPer::row;
  r.watch.summary = for_people && context.transport == nullptr && r.output == "-" && !says_what;
  look(r, context);
}

void topk(const LookRequest& request, const RunContext& context) {
  LookRequest r = request;
  r.watch.topk = r.output == "none" ? "" : r.output;
  look(r, context);
}

void plot(const LookRequest& request, const RunContext& context) {
  LookRequest r = request;
  if (r.output == "none") throw Error(Status::usage, "a picture that goes nowhere (-o none)");
  r.watch.plot.file = r.output;
  if (!r.html.empty()) {
    if (r.output != "-" || r.watch.plot.to)
      throw Error(Status::usage, "--html F is short for -o F --to html: give one or the other");
    r.watch.plot.file = r.html;
    r.watch.plot.to = PlotForm::html;
  }
  look(r, context);
}

}  // namespace attn::request

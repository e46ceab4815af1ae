// Explanation from files to steps.
#include "request/explain.hpp"

#include "base/counted.hpp"
#include "engine/prepare.hpp"
#include "request/explain_steps.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace attn::request {

namespace {

constexpr std::size_t most_numbers = 4096;     ///< pairs of all heads, or numbers of the inputs, that a person may read
constexpr std::size_t most_pairs = 1U << 22U;  ///< of one head, where one pair is shown

/// One pair of one head.
struct Place {
  std::size_t batch = 0;
  std::size_t head = 0;
  std::size_t query = 0;
  std::size_t key = 0;
};

Place place_of(const std::string& text, const engine::Dims& d) {
  std::vector<std::size_t> numbers;
  const char* at = text.data();
  const char* const end = at + text.size();
  for (;;) {
    std::size_t number = 0;
    const auto read = std::from_chars(at, end, number);
    const bool more = read.ec == std::errc{} && read.ptr != end && *read.ptr == ',';
    if (read.ec != std::errc{} || (read.ptr != end && !more))
      throw Error(Status::usage, fmt::format("--at {}: not I,J (query and key, counted from 0; H,I,J or B,H,I,J)", text));
    numbers.push_back(number);
    if (!more) break;
    at = read.ptr + 1;
  }
  if (numbers.size() < 2 || numbers.size() > 4)
    throw Error(Status::usage, fmt::format("--at {}: not I,J (query and key, counted from 0; H,I,J or B,H,I,J)", text));
  const bool chosen = (numbers.size() > 2 || d.heads == 1) && (numbers.size() > 3 || d.batch == 1);
  if (!chosen)
    throw Error(Status::usage,
                fmt::format("--at {}: which head? there are {} batch entries with {} heads", text, d.batch, d.heads),
                d.batch == 1 ? "--at H,I,J" : "--at B,H,I,J");
  numbers.insert(numbers.begin(), 4 - numbers.size(), 0);
  const Place place{numbers[0], numbers[1], numbers[2], numbers[3]};
  if (place.batch >= d.batch || place.head >= d.heads || place.query >= d.q_len || place.key >= d.kv_len)
    throw Error(Status::usage,
                fmt::format("--at {}: there is no such pair in [{}, {}, {}, {}]", text, d.batch, d.heads, d.q_len, d.kv_len));
  return place;
}

void require_small(const ExplainRequest& r, const engine::Dims& d) {
  const std::size_t pairs = element_count({d.batch, d.heads, d.q_len, d.kv_len});
  const std::size_t rows = element_count({d.batch, d.heads, d.q_len + 2 * d.kv_len, std::max(d.head_dim, d.value_dim)});
  if (r.at.empty() && (pairs > most_numbers || rows > most_numbers))
    throw Error(
        Status::usage,
        fmt::format("{} pairs and {} numbers in rows are too many to read (at most {} of each)", pairs, rows, most_numbers),
        "--at I,J explains one weight");
  if (!r.at.empty() && d.q_len * d.kv_len > most_pairs)
    throw Error(Status::usage, fmt::format("[{}, {}] pairs are too many for --at (at most {})", d.q_len, d.kv_len, most_pairs));
}

/// What was read, before projections made queries, keys and values of it.
Step inputs_step(const Explained& x) {
  const Projection& p = *x.inputs.projection;
  Step step{"inputs",
            "q = x W_q + b_q, k = x W_k + b_k, v = x W_v + b_v",
            "q = x W_q + b_q,\\quad k = x W_k + b_k,\\quad v = x W_v + b_v",
            {},
            {p.summary()}};
  const char* const captions[] = {"x of the queries", "x of the keys", "x of the values"};
  for (std::size_t side = 0; side < 3; ++side) {
    if (side > 0 && p.input(side).data() == p.input(side - 1).data()) continue;
    for (NamedGrid& grid : grids_of(x, captions[side], p.input(side), side > 0)) step.grids.push_back(std::move(grid));
  }
  return step;
}

/// The heads side by side through W_o, and the residual.
Step projected_step(const Explained& x, const std::vector<analysis::HeadTrace>& heads, bool residual,
                    const engine::Execution& execution, model::Arithmetic arithmetic) {
  const engine::Dims& d = x.plan.dims;
  Array joined(DType::f64, {d.batch * d.q_len, d.heads * d.value_dim});
  const std::span<double> numbers = joined.mutable_values<double>();
  for (const analysis::HeadTrace& t : heads)
    for (std::size_t i = 0; i < d.q_len; ++i)
      for (std::size_t c = 0; c < d.value_dim; ++c)
        numbers[((t.batch * d.q_len + i) * d.heads + t.head) * d.value_dim + c] = t.output.at(i, c);
  Array out(DType::f64, {d.batch, d.q_len, x.inputs.projection->output_width()});
  x.inputs.projection->project_output<double, double>(joined, residual, out.mutable_values<double>().data(), execution,
                                                      arithmetic);
  Step step{"output projection", "o = [y of all heads] W_o + b_o", "o = [y^{(1)} \\dots y^{(H)}] W_o + b_o", {}, {}};
  step.grids = grids_of(x, "o", out, false);
  if (residual) step.notes.emplace_back("with the residual, the input of the queries, added");
  return step;
}

/// The output with the query added to it, where nothing is projected.
Step residual_step(const Explained& x, const analysis::HeadTrace& t, const engine::Operands<double>& operands,
                   const std::string& heading) {
  Array sum(DType::f64, {t.output.rows, t.output.columns});
  for (std::size_t i = 0; i < t.output.rows; ++i) {
    const std::vector<double> query = operands.residual.row(t.batch, t.head, i);
    for (std::size_t c = 0; c < t.output.columns; ++c)
      sum.mutable_values<double>()[i * t.output.columns + c] = t.output.at(i, c) + query[c];
  }
  Step step{heading + "residual", "o_i = y_i + q_i", "o_i = y_i + q_i", {}, {}};
  step.grids = grids_of(x, "o", sum, false);
  return step;
}

void refuse_empty(const analysis::HeadTrace& trace, const AttentionOptions& options) {
  const auto first = std::ranges::find(trace.empty, true);
  if (options.empty_rows == Policy::error && first != trace.empty.end())
    throw Error(Status::data, fmt::format("query {} of head {}, batch entry {}, has no key left (--empty-rows error)",
                                          first - trace.empty.begin(), trace.head, trace.batch));
}

std::string heading_of(const engine::Dims& d, std::size_t b, std::size_t h) {
  std::string heading;
  if (d.batch > 1) heading += fmt::format("batch {}, ", b);
  if (d.heads > 1) heading += fmt::format("head {}, ", h);
  return heading;
}

}  // namespace

const Table<ExplainRequest>& explain_table() {
  static const Table<ExplainRequest> table = [] {
    const std::string group = "Explaining";
    using R = ExplainRequest;
    Table<R> rows{
        row<R>({.name = "at",
                .metavar = "I,J",
                .group = group,
                .help = "explain the weight of query I and key J, from 0; H,I,J or B,H,I,J where there are heads"},
               [](auto& s) -> auto& { return s.at; }),
        row<R>({.name = "digits", .metavar = "N", .group = group, .help = "significant digits of numbers"},
               [](auto& s) -> auto& { return s.digits; }),
        row<R>({.name = "to", .metavar = "FORMAT", .group = group, .help = "plain text, Markdown, or LaTeX (with amsmath)"},
               [](auto& s) -> auto& { return s.to; }),
    };
    append_run_rows(rows);
    // The case is small, and what is printed is all there is.
    std::erase_if(rows, [](const Row<R>& row) {
      return row.option.name == "dry-run" || row.option.name == "max-memory" || row.option.name == "report";
    });
    std::ranges::find(rows, "output", [](const Row<R>& row) { return row.option.name; })->option.help =
        "where the explanation goes; - is standard output, none drops it";
    return rows;
  }();
  return table;
}

Explanation explain(const ExplainRequest& request, const RunContext& context) {
  ExplainRequest r = request;
  r.dtype = ComputeType::f64;
  if (r.threads == 0) r.threads = context.cores;
  if (r.attention.combine == Combine::rows)
    throw Error(Status::usage, "attn explain follows outputs that are summed, not --combine rows");
  if (r.digits < 1 || r.digits > 17) throw Error(Status::usage, fmt::format("--digits {}: from 1 to 17 are possible", r.digits));
  const RunInputs inputs = read_inputs(r, context.reporter);
  const engine::Plan plan = engine::make_plan(inputs.inputs, inputs.options, DType::f64);
  require_small(r, plan.dims);
  const engine::Execution execution{.threads = r.threads, .isa = r.isa, .cancelled = context.cancelled, .progress = {}};
  if (inputs.projection) inputs.projection->project(execution, arithmetic_of(r));
  refuse_nan(r, inputs, plan);
  const std::string nan = first_visible_nan(inputs, plan);
  if (!nan.empty()) context.reporter.warn(nan + ": a NaN that no mask hides; what it reaches is NaN");
  engine::Findings findings;
  const engine::Operands<double> operands = engine::prepare<double>(plan, inputs.inputs, findings);
  const analysis::HidingRules rules(plan, inputs.inputs);
  const Explained x{inputs, plan, rules, r.digits};
  Explanation result;
  if (!r.at.empty()) {
    const Place p = place_of(r.at, plan.dims);
    result.steps = steps_of_weight(x, analysis::trace_head(plan, operands, p.batch, p.head, execution), p.query, p.key);
    return result;
  }
  if (inputs.projection) result.steps.push_back(inputs_step(x));
  std::vector<analysis::HeadTrace> heads;
  for (std::size_t b = 0; b < plan.dims.batch; ++b)
    for (std::size_t h = 0; h < plan.dims.heads; ++h) {
      const std::string heading = heading_of(plan.dims, b, h);
      heads.push_back(analysis::trace_head(plan, operands, b, h, execution));
      refuse_empty(heads.back(), plan.options);
      for (Step& step : steps_of_head(x, heads.back(), heading)) result.steps.push_back(std::move(step));
      if (b + h == 0 && findings.zero_queries + findings.zero_keys > 0)
        result.steps.back().notes.push_back(fmt::format("{} and {} are zero vectors, which have no direction (--zero-vectors)",
                                                        counted(findings.zero_queries, "query", "queries"),
                                                        counted(findings.zero_keys, "key", "keys")));
      if (plan.options.residual) result.steps.push_back(residual_step(x, heads.back(), operands, heading));
    }
  if (inputs.projection) result.steps.push_back(projected_step(x, heads, r.attention.residual, execution, arithmetic_of(r)));
  return result;
}

void write_explanation(const ExplainRequest& r, const Explanation& explanation, const RunContext& context) {
  if (r.output == "none") return;
  const std::string text = r.to == ExplainFormat::latex      ? explanation_latex(explanation)
                           : r.to == ExplainFormat::markdown ? explanation_markdown(explanation)
                                                             : explanation_text(explanation);
  if (r.output == "-") return context.print(text);
  Outputs file(context.temporary_folder);
  file.add_text({.path = r.output, .selector = {}}, [&](Outputs::TextSink& sink) { sink.write(text); });
  file.commit();
}

}  // namespace attn::request

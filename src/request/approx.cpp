// Approximations from files to a table.
#include "request/approx.hpp"

#include "analysis/writers.hpp"
#include "approx/sample.hpp"
#include "base/stopwatch.hpp"
#include "engine/prepare.hpp"
#include "request/claim.hpp"
#include "request/estimate.hpp"
#include "request/report.hpp"
#include "request/run_inputs.hpp"
#include "request/run_method.hpp"
#include "request/run_outputs.hpp"

#include <algorithm>
#include <limits>
#include <memory>

#include <fmt/format.h>

namespace attn::request {

namespace {

/// Without --repeat, a method runs again for so long.
constexpr double kRepeatSeconds = 0.2;
constexpr std::size_t kMostRuns = 10;

/// The fastest of several runs.
double fastest_of(const std::optional<std::size_t>& repeat, const std::function<void()>& run) {
  double best = std::numeric_limits<double>::infinity();
  double elapsed = 0;
  for (std::size_t n = 0; repeat ? n < *repeat : n == 0 || (elapsed < kRepeatSeconds && n < kMostRuns); ++n) {
    Stopwatch watch;
    run();
    const double seconds = std::max(watch.lap(), 1e-9);
    best = std::min(best, seconds);
    elapsed += seconds;
  }
  return best;
}

/// What was read and decided.
struct Prepared {
  ApproxRequest request;  ///< as resolved
  RunInputs inputs;
  engine::Plan plan;
  std::string isa;
  std::vector<approx::Choice> choices;
  std::vector<LeftOut> left_out;
  std::vector<OutputPlan> outputs;

  [[nodiscard]] approx::Means means() const { return means_of(request, inputs.compute); }
};

void check_approx(const ApproxRequest& r) {
  if (r.sample && *r.sample == 0) throw Error(Status::usage, "--sample must be at least 1: without a query there is no error");
  if (r.target_error && !(*r.target_error >= 0))
    throw Error(Status::usage, "--target-error must be at least 0: it is a relative error of the output");
  if (r.repeat && *r.repeat == 0) throw Error(Status::usage, "--repeat must be at least 1: without a run there is no time");
  check_picture_name(r.plot);
  if (r.output.empty() || r.output == "none") return;
  if (FileName::parse_output(r.output).is_standard_stream())
    throw Error(Status::usage, "standard output has the table: name a file with -o");
  if (r.methods.empty() || r.methods.find(',') != std::string::npos)
    throw Error(Status::usage, "-o writes the output of one method: name it with --methods", "--methods window:512 -o y.npy");
  if (!r.params.empty())
    throw Error(Status::usage, "errors are those of the heads, before the output projection, which -o would have to go through",
                "attn run --approx METHOD --params F -o y.npy");
}

/// The methods asked for, or all that apply.
void choose(Prepared& p) {
  const bool is_asked = !p.request.methods.empty();
  if (is_asked) {
    p.choices = approx::read_choices("--methods", p.request.methods);
  } else {
    for (const approx::Method* method : approx::methods()) p.choices.push_back(approx::read_choice("--methods", method->name));
  }
  const auto does_not_apply = [&](const approx::Choice& choice) {
    const std::string reason = choice.method->refusal(p.plan, choice.setting);
    if (reason.empty()) return false;
    if (is_asked) throw Error(Status::usage, fmt::format("{} does not apply here: {}", choice.method->name, reason));
    p.left_out.push_back({.method = std::string(choice.method->name), .reason = reason});
    return true;
  };
  std::erase_if(p.choices, does_not_apply);
}

/// One attention of type T, exactly and by methods.
template <class T>
class Measuring {
 public:
  Measuring(const Prepared& prepared, const RunContext& context)
      : p_(prepared),
        plan_(prepared.plan),
        execution_{
            .threads = prepared.request.threads, .isa = prepared.request.isa, .cancelled = context.cancelled, .progress = {}} {
    engine::Findings findings;
    operands_ = engine::prepare<T>(plan_, p_.inputs.inputs, findings);
    const engine::Dims& d = plan_.dims;
    output_ = Array(dtype_of<T>, {d.batch, d.heads, d.q_len, d.value_dim});
    const ApproxRequest& r = p_.request;
    queries_ = approx::random_queries(d.q_len, r.sample.value_or(d.q_len), r.seed);
    if (queries_.size() < d.q_len) sample_ = std::make_unique<approx::Sample<T>>(plan_, operands_, queries_);
    for (std::size_t head = 0; head < d.batch * d.heads; ++head)
      for (const std::size_t i : queries_) rows_.push_back(head * d.q_len + i);
    prepare_weights();
  }

  /// Computes the exact answer; seconds for all queries.
  double exact(const RunContext& context) {
    const engine::Plan& plan = sample_ ? sample_->plan : plan_;
    const engine::Operands<T>& operands = sample_ ? sample_->operands : operands_;
    const engine::Dims& d = plan.dims;
    exact_ = Array(dtype_of<T>, {d.batch, d.heads, d.q_len, d.value_dim});
    execution_.progress = context.progress;
    const double seconds = fastest_of(p_.request.repeat, [&] {
      write(plan, operands, exact_, [&](auto observers) { engine::run_tiled<T>(plan, operands, observers, execution_); });
    });
    execution_.progress = {};
    const double pairs = plan.visible_pairs();
    return pairs == 0 ? seconds : seconds * (plan_.visible_pairs() / pairs);
  }

  ApproxResult measure(const approx::Choice& choice, double exact_seconds) {
    ApproxResult result{.choice = choice, .seconds = 0, .speed_up = 0, .cost = {}, .error = {}, .divergence = {}};
    result.seconds = fastest_of(p_.request.repeat, [&] { compute(choice, &result.promise); });
    result.speed_up = exact_seconds / result.seconds;
    result.cost = choice.method->cost(plan_, choice.setting, p_.means());
    result.error = approx::output_error(exact_, output_, rows_, plan_.dims.value_dim);
    const std::size_t worst = rows_.empty() ? 0 : rows_[result.error.worst];
    const engine::Dims& d = plan_.dims;
    if (!rows_.empty()) result.worst_row = {worst / d.q_len / d.heads, worst / d.q_len % d.heads, worst % d.q_len};
    if (exact_weights_ && choice.method->offers.weights)
      result.divergence = exact_weights_->divergence(
          approx::approximate_weights(choice, weight_sample_->plan, weight_sample_->operands, plan_, operands_, execution_));
    return result;
  }

  /// The output of the last measured method, as attn run would write it.
  void store(T* to) const {
    const engine::Dims& d = plan_.dims;
    const analysis::RowStrides strides = output_strides(p_.inputs, d);
    const T* from = output_.template values<T>().data();
    for (std::size_t b = 0; b < d.batch; ++b)
      for (std::size_t h = 0; h < d.heads; ++h)
        for (std::size_t i = 0; i < d.q_len; ++i, from += d.value_dim)
          std::copy_n(from, d.value_dim, to + b * strides.batch + h * strides.head + i * strides.query);
  }

  [[nodiscard]] std::size_t queries() const noexcept { return queries_.size(); }

 private:
  void prepare_weights() {
    const bool wanted = std::ranges::any_of(p_.choices, [](const approx::Choice& c) { return c.method->offers.weights; });
    if (!wanted || !approx::has_divergence(plan_.options.normalize)) return;
    const std::size_t most = std::min(p_.request.sample.value_or(approx::kWeightRows), approx::kWeightRows);
    const std::vector<std::size_t> queries = approx::random_queries(plan_.dims.q_len, most, p_.request.seed);
    weight_sample_ = std::make_unique<approx::Sample<T>>(plan_, operands_, queries);
    const engine::Plan in_double = engine::make_plan(p_.inputs.inputs, p_.inputs.options, DType::f64);
    engine::Findings findings;
    const approx::Sample<double> exact(in_double, engine::prepare<double>(in_double, p_.inputs.inputs, findings), queries);
    exact_weights_ = std::make_unique<approx::ExactWeights>(exact.plan, exact.operands, execution_);
  }

  template <class Walk>
  void write(const engine::Plan& plan, const engine::Operands<T>& operands, Array& to, const Walk& walk) {
    const engine::Dims& d = plan.dims;
    analysis::OutputWriter<T, T> writer(
        plan, operands, to.mutable_values<T>().data(),
        {.batch = d.heads * d.q_len * d.value_dim, .head = d.q_len * d.value_dim, .query = d.value_dim});
    engine::Observer<T>* const observers[] = {&writer};
    walk(std::span<engine::Observer<T>* const>(observers));
  }

  void compute(const approx::Choice& choice, std::optional<approx::Promise>* promise) {
    write(plan_, operands_, output_, [&](auto observers) {
      choice.method->run(approx::Job<T>{plan_, operands_, observers, execution_, plan_, operands_, promise}, choice.setting);
    });
  }

  const Prepared& p_;
  const engine::Plan& plan_;
  engine::Execution execution_;
  engine::Operands<T> operands_;
  Array output_;                               ///< of the last method, [batch, heads, q_len, value_dim]
  Array exact_;                                ///< [batch, heads, queries_, value_dim]
  std::vector<std::size_t> queries_;           ///< that are compared
  std::vector<std::size_t> rows_;              ///< where they are in output_
  std::unique_ptr<approx::Sample<T>> sample_;  ///< null: all
  std::unique_ptr<approx::Sample<T>> weight_sample_;
  std::unique_ptr<approx::ExactWeights> exact_weights_;
};

/// The first setting, in the order of the method, that meets the target; the most exact one where none does. Found by halving:
/// errors are taken to fall along the settings.
template <class T>
ApproxResult search(Measuring<T>& measuring, const Prepared& p, const approx::Choice& choice, double target,
                    double exact_seconds) {
  const std::vector<approx::Setting> settings = choice.method->settings(p.plan, choice.setting);
  const auto meets = [&](ApproxResult& result) { return result.meets_target = result.error.relative <= target; };
  const auto at = [&](std::size_t n) {
    return measuring.measure({.method = choice.method, .setting = settings[n]}, exact_seconds);
  };
  std::size_t low = 0;
  std::size_t high = settings.size() - 1;
  ApproxResult best = at(high);
  if (!meets(best)) return best;
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    ApproxResult result = at(middle);
    if (meets(result)) {
      high = middle;
      best = std::move(result);
    } else {
      low = middle + 1;
    }
  }
  return best;
}

template <class T>
ApproxTable measure_all(const Prepared& p, const RunContext& context) {
  const ApproxRequest& r = p.request;
  Outputs files(context.temporary_folder);
  T* file = nullptr;
  if (!p.outputs.empty()) file = reinterpret_cast<T*>(add_rows(p.outputs.front(), r.writing, {}, {}, files));
  Measuring<T> measuring(p, context);
  ApproxTable table{.dims = p.plan.dims,
                    .dtype = std::string(name_of(r.dtype)),
                    .isa = p.isa,
                    .threads = r.threads,
                    .queries = measuring.queries(),
                    .exact_seconds = measuring.exact(context),
                    .exact_cost = {.flops = approx::exact_flops(p.plan), .bytes = approx::tiled_bytes(p.plan, p.means())},
                    .target_error = r.target_error,
                    .results = {},
                    .left_out = p.left_out};
  for (const approx::Choice& choice : p.choices)
    table.results.push_back(r.target_error ? search(measuring, p, choice, *r.target_error, table.exact_seconds)
                                           : measuring.measure(choice, table.exact_seconds));
  if (file != nullptr) {
    if (r.target_error) (void)measuring.measure(table.results.front().choice, table.exact_seconds);
    measuring.store(file);
  }
  publish(p.inputs.files, context, files);
  return table;
}

/// Refuses what --max-memory does not allow: the inputs, outputs in memory, and the largest of what methods work in.
void require_approx_memory(const Prepared& p) {
  const engine::Dims& d = p.plan.dims;
  const std::uint64_t item = item_size(p.inputs.compute);
  const std::uint64_t rows = d.batch * d.heads;
  const std::uint64_t sampled = std::min<std::uint64_t>(p.request.sample.value_or(d.q_len), d.q_len);
  const std::uint64_t weights = rows * approx::kWeightRows * d.kv_len * (sizeof(double) + item);
  std::uint64_t working = approx::tiled_bytes(p.plan, p.means());
  for (const approx::Choice& choice : p.choices)
    working = std::max(working, choice.method->cost(p.plan, choice.setting, p.means()).bytes);
  const std::uint64_t outputs = rows * (d.q_len + sampled) * d.value_dim * item + rows * d.q_len * sizeof(std::size_t);
  require_memory(estimate_memory(p.inputs.files, working + weights, outputs, p.request.threads), p.request.max_memory,
                 "this needs", "to need less: fewer methods, or --sample");
}

std::string dry_run_text(const Prepared& p) {
  std::string text = fmt::format("computed in {} ({}), {} threads\n{:<20}  {:>10}  {:>10}\n{:<20}  {:>10.4g}  {:>10}\n",
                                 name_of(p.request.dtype), p.isa, p.request.threads, "method", "flops", "memory", "exact",
                                 approx::exact_flops(p.plan), byte_text(approx::tiled_bytes(p.plan, p.means())));
  for (const approx::Choice& choice : p.choices) {
    const approx::Cost cost = choice.method->cost(p.plan, choice.setting, p.means());
    text += fmt::format("{:<20}  {:>10.4g}  {:>10}\n", choice.text(), cost.flops, byte_text(cost.bytes));
  }
  for (const LeftOut& left : p.left_out) text += fmt::format("{} is left out: {}\n", left.method, left.reason);
  return text;
}

Prepared read_and_plan(const ApproxRequest& request, const RunContext& context) {
  check_approx(request);
  Prepared p{.request = request, .inputs = {}, .plan = {}, .isa = {}, .choices = {}, .left_out = {}, .outputs = {}};
  p.inputs = read_inputs(request, context.reporter);
  p.plan = engine::make_plan(p.inputs.inputs, p.inputs.options, p.inputs.compute);
  ApproxRequest& r = p.request;
  r.dtype = p.inputs.compute == DType::f64 ? ComputeType::f64 : ComputeType::f32;
  r.engine = EngineChoice::tiled;
  if (r.threads == 0) r.threads = context.cores;
  p.isa = isa_of(r);
  choose(p);
  if (!r.output.empty()) p.outputs = plan_outputs(r, p.inputs, p.plan, p.inputs.compute);
  return p;
}

}  // namespace

ApproxTable run_approx(const ApproxRequest& request, const RunContext& context) {
  const Prepared p = read_and_plan(request, context);
  const ApproxRequest& r = p.request;
  if (r.dry_run) context.print(dry_run_text(p));
  require_approx_memory(p);
  if (r.dry_run) return {};
  if (p.inputs.projection) {
    const engine::Execution execution{.threads = r.threads, .isa = r.isa, .cancelled = context.cancelled, .progress = {}};
    p.inputs.projection->project(execution, arithmetic_of(r));
  }
  refuse_nan(r, p.inputs, p.plan);
  // Opened before the work starts, so that a missing folder is said now.
  ApproxTable table;
  Outputs records(context.temporary_folder);
  add_report(records, r.report, [&table] { return approx_json(table); });
  if (!r.plot.empty())
    records.add_binary(FileName::parse_output(r.plot), "PNG", "name a file",
                       [&](Outputs::TextSink& sink) { sink.write(approx_picture(table, r.plot)); });
  table = p.inputs.compute == DType::f64 ? measure_all<double>(p, context) : measure_all<float>(p, context);
  records.commit();
  return table;
}

}  // namespace attn::request

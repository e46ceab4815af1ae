// Timing attention in memory, against what this machine can do at most.
#include "request/bench.hpp"

#include "analysis/machine_speed.hpp"
#include "analysis/writers.hpp"
#include "engine/engine.hpp"
#include "engine/prepare.hpp"
#include "request/bench_case.hpp"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <limits>
#include <utility>

#include <fmt/format.h>

namespace attn::request {

namespace {

using analysis::PeakMeter;

/// Without --repeat, runs go on for so long.
constexpr double kBenchSeconds = 1;
constexpr std::size_t kLeastRuns = 3;

/// One attention from arrays in memory to an array in memory, to be run as often as one likes. T is computed in, D is what the
/// arrays hold.
template <class T, class D>
class Job {
 public:
  Job(const BenchCase& c, const BenchContext& context)
      : case_(c),
        inputs_(random_inputs(c, context)),
        plan_(engine::make_plan(inputs_, bench_options(c, context.reporter), c.compute())),
        output_(dtype_of<D>, c.output_shape()),
        execution_{.threads = c.request.run.threads, .isa = c.request.run.isa, .cancelled = context.cancelled, .progress = {}} {}

  void run() {
    engine::Findings findings;
    const engine::Operands<T> operands = engine::prepare<T>(plan_, inputs_, findings);
    analysis::OutputWriter<T, D> writer(plan_, operands, output_.template mutable_values<D>().data(), strides());
    engine::Observer<T>* const observers[] = {&writer};
    if (case_.is_tiled()) {
      engine::run_tiled<T>(plan_, operands, observers, execution_);
    } else if constexpr (std::is_same_v<T, double>) {
      engine::run_reference(plan_, operands, observers, execution_);
    }
  }

  [[nodiscard]] std::vector<Array> keys_and_values() const { return {inputs_.key.array, inputs_.value.array}; }

  /// Bytes of the queries and the output, and of the keys and values that some query sees.
  [[nodiscard]] double needed_bytes() const {
    const engine::Dims& d = plan_.dims;
    std::size_t keys = 0;
    for (std::size_t b = 0; b < d.batch; ++b) {
      const engine::KeyRange range = plan_.range(b, 0, d.q_len);
      if (!range.empty()) keys += range.end - range.begin;
    }
    const double rows = static_cast<double>(d.batch * d.heads * d.q_len) + static_cast<double>(keys * d.kv_heads);
    return rows * static_cast<double>((d.head_dim + d.value_dim) * sizeof(D));
  }

 private:
  static engine::Inputs random_inputs(const BenchCase& c, const BenchContext& context) {
    const std::size_t threads = std::min(c.request.run.threads, context.cores);
    const auto random = [&](const Shape& shape, std::uint32_t stream) {
      return analysis::random_array<D>(shape, c.request.seed, stream, threads, context.cancelled);
    };
    return bench_inputs(c, random(c.query_shape(), 0), random(c.key_shape(), 1), random(c.value_shape(), 2));
  }

  [[nodiscard]] analysis::RowStrides strides() const {
    const engine::Dims& d = plan_.dims;
    const std::size_t all = d.heads * d.q_len * d.value_dim;
    if (case_.request.packed) return {.batch = all, .head = d.value_dim, .query = d.heads * d.value_dim};
    return {.batch = all, .head = d.q_len * d.value_dim, .query = d.value_dim};
  }

  const BenchCase& case_;
  engine::Inputs inputs_;
  engine::Plan plan_;
  Array output_;
  engine::Execution execution_;
};

struct Times {
  std::vector<double> seconds;   ///< of each timed run, shortest first
  double processor_seconds = 0;  ///< of the run that took least, all threads together
};

double processor_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

/// After each timed run progress(fraction) is told and the machine is measured, for at most half of the time: what runs are held
/// against must have met with the same neighbours, as often.
Times time_runs(const BenchRequest& request, const std::function<void()>& run, const std::function<void()>& measure,
                const std::function<void(double)>& progress) {
  using Clock = std::chrono::steady_clock;
  const auto seconds = [](Clock::duration d) { return std::chrono::duration<double>(d).count(); };
  for (std::size_t i = 0; i < request.warmup; ++i) run();
  std::vector<double> times;
  double least = std::numeric_limits<double>::infinity();
  const auto begin = Clock::now();
  double elapsed = 0;
  double measuring = 0;
  while (request.repeat ? times.size() < *request.repeat : times.size() < kLeastRuns || elapsed < kBenchSeconds) {
    const double busy = processor_seconds();
    const auto start = Clock::now();
    run();
    const auto end = Clock::now();
    least = std::min(least, processor_seconds() - busy);
    // A clock that does not advance during a run must not make a rate infinite.
    times.push_back(std::max(seconds(end - start), 1e-9));
    if (2 * measuring <= seconds(end - begin)) {
      measure();
      measuring += seconds(Clock::now() - end);
    }
    elapsed = seconds(Clock::now() - begin);
    progress(request.repeat ? static_cast<double>(times.size()) / static_cast<double>(*request.repeat)
                            : std::min(elapsed / kBenchSeconds, static_cast<double>(times.size()) / kLeastRuns));
  }
  std::ranges::sort(times);
  return {.seconds = std::move(times), .processor_seconds = least};
}

double median(const std::vector<double>& sorted) {
  const std::size_t middle = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/// All cases of one type computed in: they share the measured peak.
template <class T, class D>
std::vector<BenchResult> measure(const std::vector<BenchCase>& cases, const BenchRequest& request, const BenchContext& context) {
  const RunRequest& run = cases.front().request.run;
  const std::string isa = engine::selected_isa(run.isa);
  const std::size_t at_once = std::min(run.threads, context.cores);
  PeakMeter<T> meter(isa, at_once);
  meter.measure();
  std::vector<BenchResult> results;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const BenchCase& c = cases[i];
    BenchResult result;
    try {
      const Estimate needed = require_memory(c, context.memory, context.reporter);
      result.visible_pairs = needed.visible_pairs;
      result.flops = needed.flops;
    } catch (const Error& error) {
      if (error.status() != Status::memory || !request.shape.empty()) throw;
      context.reporter.warn(fmt::format("left out: {}", error.what()));
      continue;
    }
    Job<T, D> job(c, context);
    analysis::ReadMeter<D> reading(job.keys_and_values(), isa, at_once);
    const Times times = time_runs(
        c.request, [&] { job.run(); }, [&] { reading.measure(); },
        [&](double fraction) {
          if (context.progress) context.progress((static_cast<double>(i) + fraction) / static_cast<double>(cases.size()));
        });
    result.run = c.request.run;
    result.shape = c.sizes;
    result.kv_heads = c.kv_heads;
    result.packed = c.request.packed;
    result.isa = c.is_tiled() ? isa : "none";
    result.runs = times.seconds.size();
    result.seconds_min = times.seconds.front();
    result.seconds_median = median(times.seconds);
    result.processor_seconds_min = times.processor_seconds;
    result.bytes = job.needed_bytes();
    result.read_bytes = reading.bytes_per_second();
    results.push_back(std::move(result));
    meter.measure();
  }
  for (BenchResult& result : results) result.peak_flops = meter.flops_per_second();
  return results;
}

void check(const BenchRequest& request) {
  if (request.repeat && *request.repeat == 0)
    throw Error(Status::usage, "--repeat must be at least 1: without a run there is nothing to report");
  if (request.run.engine == EngineChoice::reference && !request.run.isa.empty())
    throw Error(Status::usage, "--isa chooses the vector instructions of the tiled engine; the reference engine has none");
  (void)engine::selected_isa(request.run.isa);
}

}  // namespace

std::vector<BenchResult> bench(const BenchRequest& request, const BenchContext& context) {
  check(request);
  const std::vector<BenchCase> cases =
      request.shape.empty() ? standard_cases(request, context.cores) : std::vector{make_case(request, context.cores)};
  const BenchCase& first = cases.front();
  if (first.dtype() == DType::f64) return measure<double, double>(cases, request, context);
  if (first.is_tiled()) return measure<float, float>(cases, request, context);
  return measure<double, float>(cases, request, context);
}

}  // namespace attn::request

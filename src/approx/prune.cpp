// Keys that matter: for each query those that hold a mass of its weights, or its strongest ones.
#include "engine/prune.hpp"

#include "approx/method.hpp"
#include "approx/narrow.hpp"

#include <cmath>
#include <cstdint>

namespace attn::approx {

namespace {

engine::PruneRule mass_rule(const Setting& setting) { return {.mass = setting[0], .keys = 0}; }
engine::PruneRule keys_rule(const Setting& setting) { return {.mass = 0, .keys = static_cast<std::size_t>(setting[0])}; }

using Rule = engine::PruneRule (*)(const Setting&);

/// The cost of looking at all keys in 8-bit integers; how many are then computed exactly the data say.
template <Rule kRule>
Cost prune_cost(const engine::Plan& plan, const Setting& setting, const Means& means) {
  const std::uint64_t single = means.type == DType::f64 ? single_bytes(plan.dims) : 0;
  return {.flops = 2 * plan.visible_pairs() * static_cast<double>(plan.dims.head_dim),
          .bytes = tiled_bytes(plan, {.type = DType::f32, .threads = means.threads, .copied = {}}) + single +
                   engine::pruned_bytes(plan, kRule(setting), means.threads)};
}

template <Rule kRule>
void run_prune(const Job<float>& job, const Setting& setting) {
  const engine::PruneReport report = engine::run_pruned(job.plan, job.operands, job.observers, job.execution, kRule(setting));
  if (job.promise == nullptr) return;
  const double rows = report.rows == 0 ? 1 : static_cast<double>(report.rows);
  *job.promise = Promise{.largest_dropped = report.largest_dropped,
                         .mean_dropped = report.mean_dropped,
                         .largest_error = report.largest_error,
                         .kept = static_cast<double>(report.kept) / rows};
}

template <Rule kRule>
void run_in_single(const Job<double>& job, const Setting& setting) {
  if (engine::keeps_all(job.plan, kRule(setting)))
    return engine::run_tiled<double>(job.plan, job.operands, job.observers, job.execution);
  in_single(job, [&](const Job<float>& single) { run_prune<kRule>(single, setting); });
}

std::string prune_refused(const engine::Plan& plan, const Setting& /*setting*/) { return engine::prune_refusal(plan); }

constexpr engine::Needs kPruneOffers{.output = true, .weights = true};

/// Ever smaller masses to lose: a half, four fifths of it each time, at last none.
std::vector<Setting> masses(const engine::Plan& /*plan*/, const Setting& /*given*/) {
  std::vector<Setting> settings;
  double lost = 0.5;
  while (lost > 1e-6) {
    settings.push_back({1 - lost});
    lost *= 0.8;
  }
  settings.push_back({1});
  return settings;
}

}  // namespace

const Method& mass_method() {
  static const Method method{.name = "mass",
                             .summary = "for each query the keys that hold a mass of its weights, with a bound on what is lost",
                             .parameters = {{.name = "MASS",
                                             .fallback = 0.99,
                                             .least = 0x1p-10,
                                             .most = 1,
                                             .is_whole = false,
                                             .meaning = "mass of a query's weights that is certainly kept"}},
                             .offers = kPruneOffers,
                             .refusal = prune_refused,
                             .cost = prune_cost<mass_rule>,
                             .settings = masses,
                             .run_f32 = run_prune<mass_rule>,
                             .run_f64 = run_in_single<mass_rule>};
  return method;
}

const Method& topk_method() {
  static const Method method{
      .name = "topk",
      .summary = "the strongest keys of each query, with a bound on what is lost",
      .parameters = {{.name = "KEYS", .fallback = 64, .least = 1, .most = 0x1p32, .meaning = "keys that a query keeps"}},
      .offers = kPruneOffers,
      .refusal = prune_refused,
      .cost = prune_cost<keys_rule>,
      .settings = [](const engine::Plan& plan,
                     const Setting& given) { return rising_settings(given, 1, std::max<std::size_t>(plan.dims.kv_len, 1)); },
      .run_f32 = run_prune<keys_rule>,
      .run_f64 = run_in_single<keys_rule>};
  return method;
}

}  // namespace attn::approx

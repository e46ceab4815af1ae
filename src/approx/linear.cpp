// Linear attention with the map elu + 1 (Katharopoulos, Vyas, Pappas, Fleuret 2020), and attention by random features
// (Choromanski et al. 2021): sums over keys in the place of pairs.
#include "approx/feature_map.hpp"

namespace attn::approx {

namespace {

constexpr engine::Needs kOffers{
    .output = true, .log_sum_exp = false, .weights = true, .facts = true, .top = SIZE_MAX, .columns = true};

std::string refusal(const engine::Plan& plan, const Setting& /*setting*/) { return feature_refusal(plan); }

Cost linear_cost(const engine::Plan& plan, const Setting& /*setting*/, const Means& means) {
  const auto dim = static_cast<double>(plan.dims.head_dim);
  return feature_cost(plan, plan.dims.head_dim, dim, means);
}

/// Projections of keys come twice: for the largest of them, and for their features.
Cost random_cost(const engine::Plan& plan, const Setting& setting, const Means& means) {
  return feature_cost(plan, static_cast<std::size_t>(setting[0]), 3 * setting[0] * static_cast<double>(plan.dims.head_dim),
                      means);
}

template <class T>
void run_linear(const Job<T>& job, const Setting& /*setting*/) {
  run_features(job, *elu_features(job));
}

template <class T>
void run_random(const Job<T>& job, const Setting& setting) {
  run_features(job, *random_features(job, static_cast<std::size_t>(setting[0]), static_cast<std::uint64_t>(setting[1])));
}

}  // namespace

const Method& linear_method() {
  static const Method method{
      .name = "linear",
      .summary = "elu + 1 of queries and keys in the place of the exponential",
      .parameters = {},
      .offers = kOffers,
      .refusal = refusal,
      .cost = linear_cost,
      .settings = [](const engine::Plan& /*plan*/, const Setting& given) { return std::vector<Setting>(1, given); },
      .run_f32 = run_linear<float>,
      .run_f64 = run_linear<double>};
  return method;
}

const Method& features_method() {
  static const Method method{
      .name = "features",
      .summary = "positive orthogonal random features of the exponential",
      .parameters = {{.name = "COUNT", .fallback = 256, .least = 1, .most = 0x1p16, .meaning = "random features"},
                     {.name = "SEED", .fallback = 0, .least = 0, .most = 0x1p53, .meaning = "other numbers draw other features"}},
      .offers = kOffers,
      .refusal = refusal,
      .cost = random_cost,
      .settings = [](const engine::Plan& /*plan*/, const Setting& given) { return rising_settings(given, 16, 8192); },
      .run_f32 = run_random<float>,
      .run_f64 = run_random<double>};
  return method;
}

}  // namespace attn::approx

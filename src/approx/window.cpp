// Sliding windows: only keys near the query's position are seen and the first keys of all (Beltagy, Peters, Cohan 2020).
#include "approx/method.hpp"

#include <algorithm>
#include <cstdint>

namespace attn::approx {

namespace {

/// The plan with a window of REACH keys to either side, within whatever window it has, and with GLOBALS keys that all queries
/// see.
engine::Plan with_window(const engine::Plan& plan, const Setting& setting) {
  engine::Plan narrow = plan;
  const auto reach = static_cast<std::int64_t>(setting[0]);
  Window& window = narrow.options.window;
  window.left = std::min(window.left.value_or(reach), reach);
  window.right = std::min(window.right.value_or(reach), reach);
  narrow.global_keys = static_cast<std::size_t>(setting[1]);
  return narrow;
}

std::string window_refusal(const engine::Plan& plan, const Setting& setting) {
  const bool places_queries = plan.dims.q_len == plan.dims.kv_len ||
                              plan.options.query_offset.kind != QueryOffset::Kind::automatic ||
                              std::ranges::any_of(plan.query_offset, [](std::int64_t offset) { return offset != 0; });
  if (setting[1] > 0 && !plan.options.window.open()) return "global keys would show what --window hides";
  return places_queries ? "" : "as many queries as keys, or --query-offset, must say where among the keys a query stands";
}

Cost window_cost(const engine::Plan& plan, const Setting& setting, const Means& means) {
  const engine::Plan narrow = with_window(plan, setting);
  return {.flops = exact_flops(narrow), .bytes = tiled_bytes(narrow, means)};
}

template <class T>
void run_window(const Job<T>& job, const Setting& setting) {
  engine::run_tiled<T>(with_window(job.plan, setting), job.operands, job.observers, job.execution);
}

}  // namespace

const Method& window_method() {
  static const Method method{
      .name = "window",
      .summary = "only keys near the query's position",
      .parameters = {{.name = "REACH",
                      .fallback = 256,
                      .least = 0,
                      .most = 0x1p53,
                      .meaning = "keys to either side of a query's position that it sees"},
                     {.name = "GLOBALS",
                      .fallback = 0,
                      .least = 0,
                      .most = 0x1p53,
                      .meaning = "keys at the beginning that all queries see"}},
      .offers = kOffersOfTiles,
      .refusal = window_refusal,
      .cost = window_cost,
      .settings = [](const engine::Plan& plan,
                     const Setting& given) { return rising_settings(given, 8, std::max<std::size_t>(plan.dims.kv_len, 1)); },
      .run_f32 = run_window<float>,
      .run_f64 = run_window<double>};
  return method;
}

}  // namespace attn::approx

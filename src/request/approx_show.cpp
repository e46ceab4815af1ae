// The table of approximations as text, JSON and CSV.
#include "request/approx_request.hpp"
#include "request/estimate.hpp"
#include "request/report_parts.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace attn::request {

namespace {

std::string short_number(double value) { return std::isnan(value) ? "nan" : fmt::format("{:.3g}", value); }

/// null for what JSON has no number for.
Json finite(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json result_json(const ApproxResult& r, const ApproxTable& t) {
  Json json = {{"method", r.choice.method->name},
               {"setting", approx::setting_text(r.choice.setting)},
               {"seconds", r.seconds},
               {"speed_up", r.speed_up},
               {"bytes", r.cost.bytes},
               {"flops", r.cost.flops},
               {"relative_error", finite(r.error.relative)},
               {"max_error", finite(r.error.largest)},
               {"worst_row_error", finite(r.error.worst_row)},
               {"worst_row", r.worst_row},
               {"weight_divergence", r.divergence ? finite(*r.divergence) : Json(nullptr)}};
  if (t.target_error) json["meets_target"] = r.meets_target;
  if (r.promise)
    json["certain"] = {{"largest_dropped_mass", r.promise->largest_dropped},
                       {"mean_dropped_mass", r.promise->mean_dropped},
                       {"largest_error", finite(r.promise->largest_error)},
                       {"kept_keys", r.promise->kept}};
  return json;
}

}  // namespace

std::string approx_text(const ApproxTable& t) {
  const engine::Dims& d = t.dims;
  std::string text =
      fmt::format("batch {}  heads {}  q_len {}  kv_len {}  head_dim {}  value_dim {}; {}, {}, {} thread{}\n", d.batch, d.heads,
                  d.q_len, d.kv_len, d.head_dim, d.value_dim, t.dtype, t.isa, t.threads, t.threads == 1 ? "" : "s");
  if (t.queries < d.q_len)
    text += fmt::format("errors over {} random queries; the exact engine's time is estimated from theirs\n", t.queries);
  text += fmt::format("\n{:<10}  {:<12}  {:>9}  {:>8}  {:>10}  {:>9}  {:>9}  {:>9}  {:>9}\n", "method", "setting", "seconds",
                      "speed-up", "memory", "rel. err.", "max err.", "worst row", "KL (nats)");
  text += fmt::format("{:<10}  {:<12}  {:>9.6f}  {:>8.2f}  {:>10}\n", "exact", "", t.exact_seconds, 1.0,
                      byte_text(t.exact_cost.bytes));
  for (const ApproxResult& r : t.results) {
    text += fmt::format("{:<10}  {:<12}  {:>9.6f}  {:>8.2f}  {:>10}  {:>9}  {:>9}  {:>9}  {:>9}{}\n", r.choice.method->name,
                        approx::setting_text(r.choice.setting), r.seconds, r.speed_up, byte_text(r.cost.bytes),
                        short_number(r.error.relative), short_number(r.error.largest), short_number(r.error.worst_row),
                        r.divergence ? short_number(*r.divergence) : "-", r.meets_target ? "" : "  misses the target");
  }
  for (const ApproxResult& r : t.results) {
    if (!r.promise) continue;
    text += fmt::format(
        "\n{} keeps {} keys of a query; none loses more than {} of its weights (mean {}), no output is off by more than {}",
        r.choice.text(), r.promise->kept < 1000 ? short_number(r.promise->kept) : fmt::format("{:.0f}", r.promise->kept),
        short_number(r.promise->largest_dropped), short_number(r.promise->mean_dropped), short_number(r.promise->largest_error));
  }
  if (std::ranges::any_of(t.results, [](const ApproxResult& r) { return r.promise.has_value(); })) text += "\n";
  for (const LeftOut& left : t.left_out) text += fmt::format("\n{} is left out: {}", left.method, left.reason);
  return text + (t.left_out.empty() ? "" : "\n");
}

std::string approx_json(const ApproxTable& t) {
  Json results = Json::array();
  for (const ApproxResult& r : t.results) results.push_back(result_json(r, t));
  Json left_out = Json::array();
  for (const LeftOut& left : t.left_out) left_out.push_back({{"method", left.method}, {"reason", left.reason}});
  Json document = {{"version", ATTN_VERSION},
                   {"shape", shape_json(t.dims)},
                   {"dtype", t.dtype},
                   {"isa", t.isa},
                   {"threads", t.threads},
                   {"queries", t.queries},
                   {"exact", {{"seconds", t.exact_seconds}, {"bytes", t.exact_cost.bytes}, {"flops", t.exact_cost.flops}}},
                   {"methods", results},
                   {"left_out", left_out}};
  if (t.target_error) document["target_error"] = *t.target_error;
  return record_text(document);
}

std::string approx_csv(const ApproxTable& t) {
  std::string text = "method,setting,seconds,speed_up,bytes,relative_error,max_error,worst_row_error,weight_divergence\n";
  text += fmt::format("exact,,{},1,{},0,0,0,0\n", t.exact_seconds, t.exact_cost.bytes);
  for (const ApproxResult& r : t.results)
    text += fmt::format("{},{},{},{},{},{},{},{},{}\n", r.choice.method->name, approx::setting_text(r.choice.setting), r.seconds,
                        r.speed_up, r.cost.bytes, r.error.relative, r.error.largest, r.error.worst_row,
                        r.divergence ? fmt::format("{}", *r.divergence) : "");
  return text;
}

}  // namespace attn::request

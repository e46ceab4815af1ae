// The results of a bench as text, JSON and CSV.
#include "base/json_number.hpp"
#include "request/bench.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace attn::request {

namespace {

/// The shape and the options that go with it, as they are given.
std::string title(const BenchResult& r) {
  Shape sizes = r.shape;
  if (sizes[4] == sizes[5]) sizes.pop_back();
  std::string text = fmt::format("{}", fmt::join(sizes, ","));
  const AttentionOptions& o = r.run.attention;
  if (o.causal) text += " --causal";
  if (!o.window.open()) text += fmt::format(" --window {}", to_text(show_value(o.window)));
  if (!r.run.query_offset.empty()) text += fmt::format(" --query-offset {}", r.run.query_offset);
  if (r.kv_heads != r.shape[1]) text += fmt::format(" --kv-heads {}", r.kv_heads);
  return text;
}

/// Everything about a result, in the order in which it is shown.
Json to_json(const BenchResult& r) {
  const AttentionOptions& o = r.run.attention;
  return {{"seconds_min", r.seconds_min},
          {"seconds_median", r.seconds_median},
          {"gflops", r.flops_per_second() * 1e-9},
          {"peak_gflops", r.peak_flops * 1e-9},
          {"percent_of_peak", r.percent_of_peak()},
          {"threads", r.run.threads},
          {"isa", r.isa},
          {"shape", r.shape},
          {"kv_heads", r.kv_heads},
          {"causal", o.causal},
          {"window", to_text(show_value(o.window))},
          {"score", name_of(o.score)},
          {"normalize", name_of(o.normalize)},
          {"packed", r.packed},
          {"dtype", name_of(r.run.dtype)},
          {"engine", name_of(r.run.engine)},
          {"runs", r.runs},
          {"processor_seconds_min", r.processor_seconds_min},
          {"visible_pairs", r.visible_pairs},
          {"flops", r.flops},
          {"bytes", r.bytes},
          {"gigabytes_per_second", r.bytes_per_second() * 1e-9},
          {"read_gigabytes_per_second", r.read_bytes * 1e-9},
          {"percent_of_read", r.percent_of_read()}};
}

/// A CSV cell: text as it is, everything else as in JSON. No value here holds a comma but the shape, which has its own columns.
std::string cell(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

}  // namespace

std::string bench_text(const std::vector<BenchResult>& results) {
  if (results.empty()) return {};
  const BenchResult& first = results.front();
  std::size_t width = 5;
  for (const BenchResult& r : results) width = std::max(width, title(r).size());
  std::string text = fmt::format(
      "{}, {} engine, {}{} thread{}; peak {:.1f} GFLOP/s\n\n{:<{}}  {:>10}  {:>10}  {:>6}  {:>8}  {:>7}  {:>7}  {:>7}\n",
      name_of(first.run.dtype), name_of(first.run.engine), first.isa == "none" ? "" : first.isa + ", ", first.run.threads,
      first.run.threads == 1 ? "" : "s", first.peak_flops * 1e-9, "shape", width, "shortest s", "median s", "runs", "GFLOP/s",
      "of peak", "GB/s", "of read");
  bool any_bound = false;
  for (const BenchResult& r : results) {
    text += fmt::format("{:<{}}  {:>10.6f}  {:>10.6f}  {:>6}  {:>8.1f}  {:>5.1f} %", title(r), width, r.seconds_min,
                        r.seconds_median, r.runs, r.flops_per_second() * 1e-9, r.percent_of_peak());
    // Bytes matter where memory is closer to its limit than the vector units are to theirs.
    const bool is_bound = r.percent_of_read() > r.percent_of_peak();
    any_bound = any_bound || is_bound;
    if (is_bound) text += fmt::format("  {:>7.1f}  {:>5.1f} %", r.bytes_per_second() * 1e-9, r.percent_of_read());
    text += "\n";
  }
  text += "\nof peak: of independent fused multiply-adds in vector registers, measured in between\n";
  if (any_bound) text += "of read: of merely reading the same keys and values, for shapes that wait for memory\n";
  return text;
}

std::string bench_json(const std::vector<BenchResult>& results, bool is_array) {
  Json document = Json::array();
  for (const BenchResult& r : results) document.push_back(to_json(r));
  return (is_array ? document : document.at(0)).dump(2) + "\n";
}

std::string bench_csv(const std::vector<BenchResult>& results) {
  std::string text = "batch,heads,q_len,kv_len,head_dim,value_dim";
  if (results.empty()) return text + "\n";
  const Json names = to_json(results.front());
  for (const auto& entry : names.items()) {
    if (entry.key() != "shape") text += "," + entry.key();
  }
  for (const BenchResult& r : results) {
    text += fmt::format("\n{}", fmt::join(r.shape, ","));
    const Json values = to_json(r);
    for (const auto& entry : values.items()) {
      if (entry.key() != "shape") text += "," + cell(entry.value());
    }
  }
  return text + "\n";
}

}  // namespace attn::request

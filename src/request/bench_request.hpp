// Everything `attn bench` can be asked, and what it answers.
#pragma once

#include "request/run_request.hpp"

#include <attn/array.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace attn::request {

enum class BenchFormat { text, json, csv };

/// Of `run` the members of the rows that bench_table() takes from run_table() are used, and `common`.
struct BenchRequest {
  std::string shape;  ///< B,H,q_len,kv_len,head_dim[,value_dim]; empty: the standard shapes
  std::optional<std::size_t> repeat;
  std::size_t warmup = 1;
  bool packed = false;
  std::size_t seed = 0;
  BenchFormat to = BenchFormat::text;
  RunRequest run;
  CommonSettings common;
};

[[nodiscard]] const Table<BenchRequest>& bench_table();

/// One shape, measured. Rates are those of the fastest run.
struct BenchResult {
  RunRequest run;  ///< as resolved: mask, heads, type, engine, threads
  Shape shape;     ///< batch, heads, q_len, kv_len, head_dim, value_dim
  std::size_t kv_heads = 0;
  bool packed = false;   ///< heads lie side by side in a row
  std::string isa;       ///< "none" for the reference engine
  std::size_t runs = 0;  ///< timed
  double seconds_min = 0;
  double seconds_median = 0;
  double processor_seconds_min = 0;  ///< of all threads together; what else the machine does disturbs it less
  double visible_pairs = 0;          ///< (query, key) pairs over all batch entries and heads
  double flops = 0;                  ///< 2 * visible_pairs * (head_dim + value_dim)
  double bytes = 0;                  ///< of queries, keys and values that are needed, each read once, and of the output
  double peak_flops = 0;             ///< operations a second of the type computed in, by so many threads
  double read_bytes = 0;             ///< bytes a second when the same threads only read the same keys and values

  [[nodiscard]] double flops_per_second() const noexcept { return flops / seconds_min; }
  [[nodiscard]] double percent_of_peak() const noexcept { return 100 * flops_per_second() / peak_flops; }
  [[nodiscard]] double bytes_per_second() const noexcept { return bytes / seconds_min; }
  [[nodiscard]] double percent_of_read() const noexcept { return 100 * bytes_per_second() / read_bytes; }
};

template <>
struct Names<BenchFormat> {
  static constexpr std::array<std::pair<std::string_view, BenchFormat>, 3> list{
      {{"text", BenchFormat::text}, {"json", BenchFormat::json}, {"csv", BenchFormat::csv}}};
};

}  // namespace attn::request

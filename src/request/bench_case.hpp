// One shape of a bench before it runs: its sizes, its plan without memory behind it, and the bytes it will need.
#pragma once

#include "engine/inputs.hpp"
#include "request/bench_request.hpp"
#include "request/estimate.hpp"

#include <cstdint>
#include <vector>

namespace attn::request {

struct BenchCase {
  BenchRequest request;  ///< with `shape` and all that goes with it; threads, engine and dtype resolved
  Shape sizes;           ///< batch, heads, q_len, kv_len, head_dim, value_dim
  std::size_t kv_heads = 0;

  [[nodiscard]] DType dtype() const noexcept { return request.run.dtype == ComputeType::f64 ? DType::f64 : DType::f32; }
  [[nodiscard]] bool is_tiled() const noexcept { return request.run.engine == EngineChoice::tiled; }
  /// The type the engine computes in.
  [[nodiscard]] DType compute() const noexcept { return is_tiled() ? dtype() : DType::f64; }
  [[nodiscard]] Shape query_shape() const { return layout(sizes[1], sizes[2], sizes[4]); }
  [[nodiscard]] Shape key_shape() const { return layout(kv_heads, sizes[3], sizes[4]); }
  [[nodiscard]] Shape value_shape() const { return layout(kv_heads, sizes[3], sizes[5]); }
  [[nodiscard]] Shape output_shape() const { return layout(sizes[1], sizes[2], sizes[5]); }

 private:
  [[nodiscard]] Shape layout(std::size_t heads, std::size_t length, std::size_t dim) const {
    return request.packed ? Shape{sizes[0], length, heads * dim} : Shape{sizes[0], heads, length, dim};
  }
};

/// The case that the request's --shape describes; threads 0 becomes `cores`. Throws Error(usage) for text that is no shape, for
/// sizes of 0, and for key heads that do not divide the query's.
[[nodiscard]] BenchCase make_case(const BenchRequest& request, std::size_t cores);

/// The standard shapes, each with the request's other options. Throws Error(usage) for options that need --shape.
[[nodiscard]] std::vector<BenchCase> standard_cases(const BenchRequest& request, std::size_t cores);

/// What a case will need. Throws Error(memory) when that is more than `available` bytes or than --max-memory, and what planning
/// throws.
[[nodiscard]] Estimate require_memory(const BenchCase& c, std::uint64_t available, Reporter& reporter);

/// Query, key and value as the engine's inputs.
[[nodiscard]] engine::Inputs bench_inputs(const BenchCase& c, Array query, Array key, Array value);

/// The options of the case with its query offset read.
[[nodiscard]] AttentionOptions bench_options(const BenchCase& c, Reporter& reporter);

}  // namespace attn::request

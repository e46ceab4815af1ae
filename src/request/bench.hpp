// Timing attention in memory, against what this machine can do at most.
#pragma once

#include "request/bench_request.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace attn::request {

/// What a bench may use of the world around it.
struct BenchContext {
  Reporter& reporter;
  std::function<void(double)> progress;                              ///< finished fraction; may be empty
  const std::atomic<bool>* cancelled = nullptr;                      ///< true ends the bench with Error(interrupted)
  std::size_t cores = 1;                                             ///< what --threads 0 means
  std::uint64_t memory = std::numeric_limits<std::uint64_t>::max();  ///< bytes that are to be had
};

/// Times the shape of the request, or each of the standard shapes: random inputs, the untimed runs, then the timed ones. The
/// machine's peak is measured between the shapes on as many threads, at most one for each core, and the best of it counts for
/// all. Throws Error(usage) for shapes and options that have no meaning, Error(memory) where the shape of the request needs more
/// memory than allowed or to be had (standard shapes are left out with a warning), Error(interrupted).
[[nodiscard]] std::vector<BenchResult> bench(const BenchRequest& request, const BenchContext& context);

/// A table for people.
[[nodiscard]] std::string bench_text(const std::vector<BenchResult>& results);
/// One object for the shape of the request, an array of them for the standard shapes.
[[nodiscard]] std::string bench_json(const std::vector<BenchResult>& results, bool is_array);
[[nodiscard]] std::string bench_csv(const std::vector<BenchResult>& results);

}  // namespace attn::request

// What a run will need before it starts: bytes, flops, and an expected time.
#pragma once

#include "engine/observer.hpp"
#include "engine/plan.hpp"
#include "request/run_inputs.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace attn::request {

/// Memory means what the process holds at most at one time, pages of mapped files among it.
struct Estimate {
  std::uint64_t input_bytes = 0;    ///< all inputs, whether they are mapped or were read; what several options name counts once
  std::uint64_t working_bytes = 0;  ///< the program itself, converted masks, what threads work in, text while it is read
  std::uint64_t output_bytes = 0;   ///< outputs that gather in memory or in mapped files
  double visible_pairs = 0;
  double flops = 0;  ///< 2 * visible pairs * (head_dim + value_dim), and 2 * rows * in * out for each projection

  [[nodiscard]] std::uint64_t total_bytes() const noexcept { return input_bytes + working_bytes + output_bytes; }
};

/// `output_bytes` is counted by the caller, who knows the outputs; `needs` is what the engine is asked for.
[[nodiscard]] Estimate estimate(const engine::Plan& plan, const RunInputs& inputs, DType computed_in, bool is_tiled,
                                std::size_t threads, std::uint64_t output_bytes, const engine::Needs& needs = {.output = true});

/// Memory alone: `working` is what a computation needs besides its files.
[[nodiscard]] Estimate estimate_memory(const ReadFiles& files, std::uint64_t working, std::uint64_t output_bytes,
                                       std::size_t threads);

/// Throws Error(memory) when more than `allowed` is needed: "`what` needs ...", with `hint` on how to need less.
void require_memory(const Estimate& estimate, const std::optional<ByteSize>& allowed, std::string_view what,
                    const std::string& hint);

/// Seconds the attention core is expected to take: the flops over the rate of a small problem of the same width, timed now.
[[nodiscard]] double expected_seconds(const engine::Plan& plan, double flops, DType computed_in, bool is_tiled,
                                      std::size_t threads);

/// "1.5 GiB", "640 bytes".
[[nodiscard]] std::string byte_text(std::uint64_t bytes);

}  // namespace attn::request

// Running `attn run`, as a program of its own or inside the test, with the same words.
#pragma once

#include "base/transport.hpp"
#include "tools/listener.hpp"

#include <attn/array.hpp>
#include <attn/error.hpp>

#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

namespace attn::testing {

using Words = std::vector<std::string>;

/// `words` and `more`.
[[nodiscard]] Words joined(Words words, const Words& more);
/// The words as a shell shows and reads them.
[[nodiscard]] std::string shell_text(const Words& words);

/// What a program said and how it ended.
struct Outcome {
  std::string ending;  ///< "0", "3", "signal 11", "time limit"
  std::string output;
  std::string messages;
};

/// Runs the built program in `directory` with the given arguments ("run", "q.npy", ...).
[[nodiscard]] Outcome run_program(const std::filesystem::path& directory, const Words& arguments);

/// The same for arguments of `attn run`, without a process: the words fill a request by the rows of the option table. Files are
/// found from the working directory. Returns the warnings; throws what the run throws. `transport` leads to other ranks, if any,
/// and `cancelled` ends the run.
std::vector<std::string> run_inside(const Words& arguments, Transport* transport = nullptr,
                                    const std::atomic<bool>* cancelled = nullptr);

/// The same for arguments of `attn layer`.
std::vector<std::string> run_layers_inside(const Words& arguments);

/// The same for arguments of `attn linear`.
std::vector<std::string> run_linear_inside(const Words& arguments);

/// Reads an NPY file of float32 or float64 and any number of dimensions (--combine rows writes five), by the test's own reader.
[[nodiscard]] Array read_result(const std::filesystem::path& path);

/// True under AddressSanitizer, where long tests do a part of their work.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool is_sanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool is_sanitized = true;
#else
inline constexpr bool is_sanitized = false;
#endif
#else
inline constexpr bool is_sanitized = false;
#endif

}  // namespace attn::testing

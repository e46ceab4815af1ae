// A working directory for sweeps inside the test: inputs, specifications, and what sweeps leave.
#pragma once

#include "sweep/sweep.hpp"
#include "tools/listener.hpp"
#include "tools/process.hpp"

#include <attn/io.hpp>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace attn::testing {

class SweepPlace {
 public:
  SweepPlace() { std::filesystem::current_path(directory_.path()); }
  SweepPlace(const SweepPlace&) = delete;
  SweepPlace& operator=(const SweepPlace&) = delete;
  ~SweepPlace() { std::filesystem::current_path("/"); }

  /// A small array whose numbers depend on `seed`.
  static void write(const std::string& name, std::size_t rows, std::size_t columns, std::size_t seed) {
    std::vector<float> numbers(rows * columns);
    std::size_t state = seed * 2654435761U + 12345;
    for (float& number : numbers) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      number = static_cast<float>(static_cast<double>(state >> 33U) / 1073741824.0 - 1.0);
    }
    write_array(FileName::parse_output(name), Array::of(Shape{rows, columns}, numbers), {});
  }

  sweep::Outcome run(const std::string& spec, sweep::SweepRequest request = {}) {
    if (!spec.empty()) write_file("spec.toml", spec);
    if (request.folder.empty()) request.folder = "out";
    sweep::SweepContext context{.reporter = listener,
                                .print = [&](std::string_view text) { printed += text; },
                                .progress = [](const sweep::Progress&) {}};
    context.cores = 2;
    return sweep::sweep([&] { return sweep::complete_spec(sweep::read_spec("spec.toml"), request); }, request, context);
  }

  Listener listener;
  std::string printed;

 private:
  TemporaryDirectory directory_;
};

[[nodiscard]] inline std::size_t lines_of(const std::string& file) {
  const std::string text = read_file(file);
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

/// The bytes of all files in a folder, without the ledgers and the summary, which hold times.
[[nodiscard]] inline std::map<std::string, std::string> outputs_in(const std::string& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    const std::string name = std::filesystem::relative(entry.path(), folder).string();
    const bool is_ours = name == "summary.csv" || name.starts_with("runs");
    if (entry.is_regular_file() && !is_ours) files[name] = read_file(entry.path());
  }
  return files;
}

}  // namespace attn::testing

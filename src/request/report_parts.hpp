// The pieces that the records of all runs are made of: options, files, shapes, seconds, bytes.
#pragma once

#include "base/json_number.hpp"
#include "engine/plan.hpp"
#include "request/option.hpp"
#include "request/report.hpp"

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace attn::request {

/// null for an option that was not given.
[[nodiscard]] Json option_json(const OptionValue& value);

/// All options by name, as `request` has them.
template <class R>
[[nodiscard]] Json options_json(const Table<R>& table, const R& request) {
  Json options = Json::object();
  for (const Row<R>& row : table)
    if (row.option.name != "help") options[row.option.name] = option_json(row.get(request));
  return options;
}

[[nodiscard]] Json inputs_json(const ReadFiles& files);
[[nodiscard]] Json outputs_json(const std::vector<OutputPlan>& outputs);
[[nodiscard]] Json shape_json(const engine::Dims& dims);
[[nodiscard]] Json seconds_json(const Seconds& seconds);

/// The largest resident set this process has had.
[[nodiscard]] std::uint64_t peak_bytes();

/// A record as it is written, ending in a newline. Bytes of file names that are no UTF-8 are replaced.
[[nodiscard]] std::string record_text(const Json& record);

/// Lines of --dry-run: a heading and a line for each file.
[[nodiscard]] std::string inputs_text(const ReadFiles& files);
[[nodiscard]] std::string outputs_text(const std::vector<OutputPlan>& outputs);

/// The line of --dry-run on memory.
[[nodiscard]] std::string bytes_text(const Estimate& estimate);

}  // namespace attn::request

// What a sweep is asked: the parts that specifications in files and on the command line have in common.
#include "sweep/spec.hpp"

#include "base/nearest.hpp"
#include "sweep/metrics.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace attn::sweep {

namespace {

constexpr std::int64_t most_values = 100000;

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || stop != text.data() + text.size()) return std::nullopt;
  return value;
}

/// What stands before and behind the first '='.
std::pair<std::string, std::string> split_assignment(const std::string& flag, const std::string& text, const char* example) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
    throw Error(Status::usage, fmt::format("{}: '{}' is not NAME=VALUE", flag, text), fmt::format("{} {}", flag, example));
  return {text.substr(0, equals), text.substr(equals + 1)};
}

std::vector<std::string> split_list(const std::string& text) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  while (true) {
    const std::size_t comma = text.find(',', begin);
    parts.push_back(text.substr(begin, comma - begin));
    if (comma == std::string::npos) return parts;
    begin = comma + 1;
  }
}

/// "row": the statistics of each row, in a file of their own.
void keep_stats(Spec& spec, const std::string& per) {
  const Option& option = spec.command->options[spec.command->find("stats-per")];
  if (std::ranges::find(option.choices, per) == option.choices.end()) request::unknown_choice("stats", per, option.choices);
  std::erase_if(spec.run, [](const Setting& setting) { return setting.option == "stats-per"; });
  spec.run.push_back({.option = option.name, .texts = {per}});
  keep_file(spec, "stats-out", "{id}.stats.csv");
}

}  // namespace

std::vector<std::string> expand_range(const std::string& text) {
  const std::size_t dots = text.find("..");
  if (dots == std::string::npos) return {text};
  const auto first = whole_number(std::string_view(text).substr(0, dots));
  const auto last = whole_number(std::string_view(text).substr(dots + 2));
  if (!first || !last) return {text};
  if (*first > *last) throw Error(Status::usage, fmt::format("the range {} is empty", text));
  if (*last > *first + most_values || *first < -most_values)
    throw Error(Status::usage, fmt::format("the range {} has more than {} numbers", text, most_values));
  std::vector<std::string> numbers;
  for (std::int64_t number = *first; number <= *last; ++number) numbers.push_back(std::to_string(number));
  return numbers;
}

std::string read_switch(const std::string& option, const std::string& text) {
  for (const char* yes : {"yes", "true", "on", "1"})
    if (text == yes) return "yes";
  for (const char* no : {"no", "false", "off", "0"})
    if (text == no) return "no";
  throw Error(Status::usage, fmt::format("{} is on or off, and '{}' is neither (expected yes or no)", option, text));
}

void check_setting(const Option& option, const std::string& where) {
  if (option.writes)
    throw Error(Status::usage,
                fmt::format("{}: '{}' names a file that is written, which each run needs for itself", where, option.name),
                fmt::format("what runs leave behind stands in [keep] or behind --keep: {}={{id}}.npy", option.name));
  for (const char* own : {"help", "quiet", "verbose", "dry-run"}) {
    if (option.name == own)
      throw Error(Status::usage, fmt::format("{}: --{} belongs to attn sweep, not to its runs", where, option.name));
  }
}

void add_grid(Spec& spec, const std::string& text) {
  const auto [name, values] = split_assignment("--grid", text, "score=dot,cosine");
  const Option& option = spec.command->options[spec.command->find(name)];
  check_setting(option, "--grid");
  Axis axis{.option = name, .values = {}};
  for (const std::string& part : split_list(values)) {
    for (const std::string& value : expand_range(part))
      axis.values.push_back({option.is_switch() ? read_switch("--grid " + name, value) : value});
  }
  const auto there = std::ranges::find(spec.grid, name, &Axis::option);
  if (there == spec.grid.end())
    spec.grid.push_back(std::move(axis));
  else
    *there = std::move(axis);
}

void keep_metric(Spec& spec, const std::string& metric) {
  if (!spec.command->has_rows)
    throw Error(Status::usage, fmt::format("attn {} has no metrics: it is more than one walk over rows", spec.command->name));
  const std::vector<std::string> known = metric_names();
  if (std::ranges::find(known, metric) == known.end()) {
    const std::string near = nearest(metric, known);
    throw Error(Status::usage, fmt::format("there is no metric '{}' (expected {})", metric, fmt::join(known, ", ")),
                near.empty() ? "" : fmt::format("did you mean {}?", near));
  }
  if (std::ranges::find(spec.keep.metrics, metric) == spec.keep.metrics.end()) spec.keep.metrics.push_back(metric);
}

void keep_file(Spec& spec, const std::string& option, const std::string& value) {
  if (option == "stats" && spec.command->has("stats-out")) return keep_stats(spec, value);
  std::vector<std::string> names{"metrics"};
  bool is_known = false;
  for (const Option& known : spec.command->options) {
    if (!known.writes) continue;
    names.push_back(known.name);
    is_known = is_known || known.name == option;
  }
  if (!is_known) {
    const std::string near = nearest(option, names);
    throw Error(Status::usage,
                fmt::format("attn {} writes no '{}' (expected {})", spec.command->name, option, fmt::join(names, ", ")),
                near.empty() ? "" : fmt::format("did you mean {}?", near));
  }
  const auto there = std::ranges::find(spec.keep.files, option, &std::pair<std::string, std::string>::first);
  if (there == spec.keep.files.end())
    spec.keep.files.emplace_back(option, value);
  else
    there->second = value;
}

void add_keep(Spec& spec, const std::string& text) {
  const auto [name, value] = split_assignment("--keep", text, "output={id}.npy");
  if (name != "metrics") return keep_file(spec, name, value);
  for (const std::string& metric : split_list(value)) keep_metric(spec, metric);
}

}  // namespace attn::sweep

// The runs that a specification asks for, each with its identity.
#include "sweep/plan.hpp"

#include "base/json_number.hpp"
#include "io/input.hpp"
#include "model/parameter_file.hpp"
#include "request/report_parts.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <map>
#include <set>
#include <type_traits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace attn::sweep {

namespace {

constexpr std::size_t most_runs = 1000000;
constexpr std::size_t id_length = 16;
constexpr std::array<std::string_view, 4> kOwnOptions{"help", "quiet", "verbose", "dry-run"};

/// Sets options of a request, switches that are off left out.
void apply(Request& request, const SweepCommand& command, const std::vector<Setting>& settings) {
  for (const Setting& setting : settings) {
    const std::size_t place = command.find(setting.option);
    for (const std::string& text : setting.texts) {
      if (!command.options[place].is_switch() || text == "yes") request.set(place, text);
    }
  }
}

void replace(std::vector<Setting>& settings, const Setting& by) {
  const auto there = std::ranges::find(settings, by.option, &Setting::option);
  if (there == settings.end())
    settings.push_back(by);
  else
    *there = by;
}

/// All combinations, then the cases.
std::vector<PlannedRun> combinations(const Spec& spec) {
  std::size_t count = spec.grid.empty() && !spec.cases.empty() ? 0 : 1;
  for (const Axis& axis : spec.grid) {
    if (count > most_runs / std::max<std::size_t>(axis.values.size(), 1))
      throw Error(Status::usage, fmt::format("this grid has more than {} runs", most_runs));
    count *= axis.values.size();
  }
  std::vector<PlannedRun> runs;
  for (std::size_t number = 0; number < count; ++number) {
    PlannedRun run{.number = number, .id = {}, .settings = spec.run, .files = {}, .inputs = {}, .is_baseline = false};
    std::size_t rest = number;
    std::size_t block = count;
    for (const Axis& axis : spec.grid) {
      block /= axis.values.size();
      replace(run.settings, {.option = axis.option, .texts = axis.values[rest / block]});
      rest %= block;
    }
    runs.push_back(std::move(run));
  }
  for (const Case& one : spec.cases) {
    PlannedRun run{
        .number = runs.size(), .id = {}, .settings = spec.run, .files = {}, .inputs = {}, .is_baseline = one.is_baseline};
    for (const Setting& setting : one.settings) replace(run.settings, setting);
    runs.push_back(std::move(run));
  }
  return runs;
}

/// Paths of the files that an option's value means: that of its name, and what is read beside it.
std::vector<std::string> files_of(const Option& option, const std::string& text) {
  const std::string path = FileName::parse(text).path;
  std::error_code ignored;
  const bool may_be_numbers = option.metavar != "F";
  if (may_be_numbers && !std::filesystem::exists(path, ignored)) return {};
  std::vector<std::string> files{path};
  if (option.name != "params") return files;
  const std::string config = model::beside(path, "config.json");
  if (std::filesystem::exists(config, ignored)) files.push_back(config);
  if (!path.ends_with(".json") || !std::filesystem::exists(path, ignored)) return files;
  const Json index = Json::parse(model::read_text_file(path), nullptr, false);
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  if (map == index.end() || !map->is_object()) return files;
  std::set<std::string> parts;
  for (const Json& part : *map)
    if (part.is_string()) parts.insert(model::beside(path, part.get<std::string>()));
  files.insert(files.end(), parts.begin(), parts.end());
  return files;
}

std::string digest_or_absence(const std::string& path, InputDigests& digests) {
  try {
    return digests.of(path);
  } catch (const Error& error) {
    return std::string("unreadable: ") + error.what();
  }
}

/// What stands for a file in an identity: its content and what is selected of it.
Json content_of(const Option& option, const std::string& text, InputDigests& digests, std::vector<std::string>& inputs) {
  const std::vector<std::string> files = files_of(option, text);
  if (files.empty()) return text;
  Json content = Json::array({FileName::parse(text).selector});
  for (const std::string& file : files) {
    content.push_back(digest_or_absence(file, digests));
    if (std::ranges::find(inputs, file) == inputs.end()) inputs.push_back(file);
  }
  return content;
}

/// The identity of a run as text, and the files it reads.
Json identity(const Spec& spec, PlannedRun& run, InputDigests& digests) {
  const std::unique_ptr<Request> request = spec.command->make();
  apply(*request, *spec.command, run.settings);
  const std::vector<OptionValue> values = request->values();
  const std::vector<OptionValue> defaults = spec.command->make()->values();
  Json options = Json::object();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Option& option = spec.command->options[i];
    // What is as it would be without being said is left out, so that options of later versions change no identity.
    const bool is_left_out = option.writes || values[i] == defaults[i];
    if (is_left_out || std::ranges::find(kOwnOptions, option.name) != kOwnOptions.end()) continue;
    const auto* text = std::get_if<std::string>(&values[i]);
    options[option.name] =
        text != nullptr && option.is_file() ? content_of(option, *text, digests, run.inputs) : request::option_json(values[i]);
  }
  Json files = Json::object();
  for (const auto& [option, pattern] : spec.keep.files) files[option] = pattern;
  Json all{{"command", spec.command->name}, {"options", options}, {"keep", files}, {"metrics", spec.keep.metrics}};
  if (spec.compare) {
    Json with = "baseline";
    if (!spec.compare->with.empty()) with = content_of({.name = "with", .metavar = "F"}, spec.compare->with, digests, run.inputs);
    all["compare"] = {{"with", with}, {"rtol", spec.compare->rtol}, {"atol", spec.compare->atol}};
  }
  return all;
}

/// What the value of an option looks like in the name of a file.
std::string in_file_name(const OptionValue& value) {
  std::string text = request::to_text(value);
  for (char& c : text) {
    const bool is_plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-' || c == '+';
    if (!is_plain) c = '_';
  }
  if (text.empty() || text.front() == '.') text.insert(text.begin(), '_');
  return text;
}

/// The pattern with the run's id, number and values of options in the place of their names in braces. {} stays.
std::string fill(const std::string& pattern, const Spec& spec, const PlannedRun& run, const std::vector<OptionValue>& values) {
  std::string text;
  for (std::size_t i = 0; i < pattern.size();) {
    const std::size_t close = pattern[i] == '{' ? pattern.find('}', i) : std::string::npos;
    if (close == std::string::npos || close == i + 1) {
      text += pattern[i++];
      continue;
    }
    const std::string name = pattern.substr(i + 1, close - i - 1);
    if (name == "id")
      text += run.id;
    else if (name == "number")
      text += std::to_string(run.number);
    else
      text += in_file_name(values[spec.command->find(name)]);
    i = close + 1;
  }
  return text;
}

void check_place(const std::string& pattern, const std::string& file) {
  const std::filesystem::path path = std::filesystem::path(FileName::parse_output(file).path).lexically_normal();
  const std::string first = path.empty() ? std::string() : path.begin()->string();
  if (path.empty() || path.is_absolute() || first == ".." || !path.has_filename())
    throw Error(Status::usage, fmt::format("'{}' is no file below the folder of the sweep", pattern));
  const bool is_ours =
      path == "summary.csv" || (first == path.string() && first.starts_with("runs") && first.ends_with(".jsonl"));
  if (is_ours) throw Error(Status::usage, fmt::format("'{}' would take the place of the sweep's own {}", pattern, file));
}

void name_files(const Spec& spec, PlannedRun& run, std::map<std::string, std::size_t>& writers) {
  const std::unique_ptr<Request> request = spec.command->make();
  apply(*request, *spec.command, run.settings);
  const std::vector<OptionValue> values = request->values();
  for (const auto& [option, pattern] : spec.keep.files) {
    const std::string file = fill(pattern, spec, run, values);
    check_place(pattern, file);
    const std::string path = std::filesystem::path(FileName::parse_output(file).path).lexically_normal().string();
    const auto [writer, is_first] = writers.emplace(path, run.number);
    if (!is_first && writer->second != run.number)
      throw Error(Status::usage, fmt::format("runs {} and {} would both write '{}'", writer->second, run.number, file),
                  fmt::format("put {{id}} into the name: {}={{id}}.npy", option));
    run.files.push_back({.option = option, .file = file});
  }
}

void check_compare(const Spec& spec) {
  if (!spec.compare) return;
  const bool has_baseline = std::ranges::find(spec.cases, true, &Case::is_baseline) != spec.cases.end();
  if (!spec.compare->with.empty() && has_baseline)
    throw Error(Status::usage, "outputs are compared with one thing: [compare] names a file, and a case is the baseline");
  if (spec.compare->with.empty() && !has_baseline)
    throw Error(Status::usage, "there is nothing to compare with",
                "with = \"expected.npy\" in [compare], or baseline = true in a [[case]]");
  const bool keeps_output =
      std::ranges::find(spec.keep.files, "output", &std::pair<std::string, std::string>::first) != spec.keep.files.end();
  if (has_baseline && !keeps_output)
    throw Error(Status::usage, "comparing with a baseline needs its output as a file", "output = \"{id}.npy\" in [keep]");
}

}  // namespace

SweepPlan plan_runs(Spec spec, InputDigests& digests) {
  check_compare(spec);
  SweepPlan plan{.spec = std::move(spec), .runs = {}, .repeated = 0, .baseline = {}};
  std::map<std::string, std::size_t> known;
  for (PlannedRun& run : combinations(plan.spec)) {
    run.id = sha256(identity(plan.spec, run, digests).dump(-1, ' ', false, Json::error_handler_t::replace)).substr(0, id_length);
    const auto [place, is_new] = known.emplace(run.id, plan.runs.size());
    if (run.is_baseline) plan.baseline = place->second;
    if (is_new)
      plan.runs.push_back(std::move(run));
    else
      ++plan.repeated;
  }
  if (plan.baseline) plan.runs[*plan.baseline].is_baseline = true;
  std::map<std::string, std::size_t> writers;
  for (PlannedRun& run : plan.runs) name_files(plan.spec, run, writers);
  return plan;
}

std::unique_ptr<Request> make_request(const Spec& spec, const PlannedRun& run, const std::string& folder) {
  std::unique_ptr<Request> request = spec.command->make();
  apply(*request, *spec.command, run.settings);
  bool keeps_output = false;
  for (const KeptFile& kept : run.files) {
    keeps_output = keeps_output || kept.option == "output";
    request->set(spec.command->find(kept.option), folder + "/" + kept.file);
  }
  if (keeps_output) return request;
  // What is only compared goes nowhere, in a form that any shape has.
  request->set(spec.command->find("output"), spec.compare ? "/dev/null" : "none");
  if (spec.compare) request->set(spec.command->find("to"), "npy");
  return request;
}

nlohmann::ordered_json options_json(const Spec& spec, const PlannedRun& run) {
  const std::unique_ptr<Request> request = spec.command->make();
  apply(*request, *spec.command, run.settings);
  const std::vector<OptionValue> values = request->values();
  Json options = Json::object();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Option& option = spec.command->options[i];
    if (option.writes || std::ranges::find(kOwnOptions, option.name) != kOwnOptions.end()) continue;
    if (!std::holds_alternative<std::monostate>(values[i])) options[option.name] = request::option_json(values[i]);
  }
  return options;
}

std::string SweepPlan::digest() const {
  std::string all = spec.command->name;
  for (const PlannedRun& run : runs) {
    all += "\n" + std::to_string(run.number);
    for (const Setting& setting : run.settings) {
      all += "\t" + setting.option;
      for (const std::string& text : setting.texts) all += "=" + text;
    }
  }
  return sha256(all);
}

}  // namespace attn::sweep

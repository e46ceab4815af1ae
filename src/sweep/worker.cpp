// Runs single runs of a sweep and says how each went.
#include "sweep/worker.hpp"

#include "analysis/compare.hpp"
#include "request/layer_request.hpp"
#include "request/report_parts.hpp"
#include "sweep/metrics.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <new>
#include <optional>
#include <set>

#include <fmt/format.h>
#include <unistd.h>

namespace attn::sweep {

namespace fs = std::filesystem;

namespace {

/// Gathers what a run has to say.
class Gatherer final : public Reporter {
 public:
  void warn(const std::string& message) override { warnings.push_back(message); }
  void note(const std::string& /*message*/) override {}
  std::vector<std::string> warnings;
};

/// The share of rows whose largest number stands in the same column: of classes and their shares, how many are right.
double same_argmax(const Array& a, const Array& b) {
  const std::size_t width = a.shape().empty() ? 1 : a.shape().back();
  const std::size_t rows = width == 0 ? 0 : a.size() / width;
  std::size_t same = 0;
  const auto argmax = [&](const Array& array, std::size_t row) {
    std::size_t best = row * width;
    for (std::size_t i = best + 1; i < (row + 1) * width; ++i)
      if (array.at_flat(i) > array.at_flat(best)) best = i;
    return best;
  };
  for (std::size_t row = 0; row < rows; ++row) same += argmax(a, row) == argmax(b, row) ? 1U : 0U;
  return rows == 0 ? 1 : static_cast<double>(same) / static_cast<double>(rows);
}

/// What the sweep wants to know of a run beside its files.
class Guest final : public request::RunGuest {
 public:
  /// `asked` are the values of the command's options as the run was asked.
  Guest(const Spec& spec, std::vector<OptionValue> asked)
      : command_(*spec.command), asked_(std::move(asked)), compare_(spec.compare), wants_metrics_(!spec.keep.metrics.empty()) {}

  void resolved(const request::NamedValues& options, const std::string& isa) override {
    decided = Json::object();
    for (const auto& [name, value] : options) {
      if (!command_.has(name)) continue;
      const std::size_t place = command_.find(name);
      if (!command_.options[place].writes && value != asked_[place]) decided[name] = request::option_json(value);
    }
    decided["isa"] = isa;
  }
  void planned(std::uint64_t bytes, double seconds) override { expectation = {.bytes = bytes, .seconds = seconds, .error = {}}; }
  engine::Observer<float>* watch(const engine::Plan& plan, float type) override {
    return wants_metrics_ ? metrics.watch(plan, type) : nullptr;
  }
  engine::Observer<double>* watch(const engine::Plan& plan, double type) override {
    return wants_metrics_ ? metrics.watch(plan, type) : nullptr;
  }
  void output(const Array& output) override {
    if (!compares) return;
    analysis::Tolerance tolerance;
    tolerance.rtol = compare_->rtol;
    tolerance.atol = compare_->atol;
    const analysis::Comparison found = analysis::compare(output, expected, tolerance);
    comparison = Json::object();
    comparison["agree"] = found.agree();
    if (!found.same_shape) {
      comparison["shape"] = found.a_shape;
      comparison["expected_shape"] = found.b_shape;
      return;
    }
    comparison["differing"] = found.differing;
    comparison["max_abs"] = found.max_abs;
    comparison["max_rel"] = found.max_rel;
    comparison["rms"] = found.rms;
    comparison["cosine"] = found.cosine;
    comparison["same_argmax"] = same_argmax(output, expected);
  }

  Expectation expectation;
  Json decided;
  MetricWatch metrics;
  bool compares = false;
  Array expected;
  Json comparison;

 private:
  const SweepCommand& command_;
  std::vector<OptionValue> asked_;
  const std::optional<Compare>& compare_;
  bool wants_metrics_;
};

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "";
}

void write_failure(Json& record, Status status, const std::string& message) {
  record["status"] = "failed";
  record["exit"] = static_cast<int>(status);
  record["error"] = message;
}

std::string located(const Error& error) {
  std::string where = error.where().file;
  if (!where.empty() && error.where().line > 0) where += fmt::format(":{}", error.where().line);
  if (!where.empty() && error.where().line > 0 && error.where().column > 0) where += fmt::format(":{}", error.where().column);
  return where.empty() ? error.what() : where + ": " + error.what();
}

/// {} in a name stands for the number of a layer.
std::vector<std::string> with_layers(const std::string& path, const PlannedRun& run) {
  const std::size_t braces = path.find("{}");
  const auto layers = std::ranges::find(run.settings, "layers", &Setting::option);
  if (braces == std::string::npos || layers == run.settings.end()) return {path};
  std::vector<std::string> paths;
  for (const std::size_t layer : request::parse_layers(layers->texts.back()))
    paths.push_back(path.substr(0, braces) + std::to_string(layer) + path.substr(braces + 2));
  return paths;
}

}  // namespace

std::string Worker::compared_file() const {
  if (!plan_.spec.compare->with.empty()) return plan_.spec.compare->with;
  const PlannedRun& baseline = plan_.runs[*plan_.baseline];
  const auto output = std::ranges::find(baseline.files, "output", &KeptFile::option);
  return settings_.folder + "/" + output->file;
}

Json Worker::outputs_of(const PlannedRun& run) const {
  Json outputs = Json::array();
  std::set<std::string> seen;
  for (const KeptFile& kept : run.files) {
    for (const std::string& path : with_layers(FileName::parse_output(kept.file).path, run)) {
      // A file may hold several arrays, and a run may have no use for one.
      std::error_code unknown;
      if (!seen.insert(path).second || !fs::is_regular_file(settings_.folder + "/" + path, unknown)) continue;
      const FileDigest digest = sha256_of_file(settings_.folder + "/" + path);
      outputs.push_back({{"role", kept.option}, {"file", path}, {"bytes", digest.bytes}, {"sha256", digest.sha256}});
    }
  }
  return outputs;
}

void Worker::attempt(const PlannedRun& run, Json& record) {
  Gatherer gatherer;
  const std::unique_ptr<Request> request = make_request(plan_.spec, run, settings_.folder);
  Guest guest(plan_.spec, request->values());
  guest.compares = plan_.spec.compare && !run.is_baseline;
  request::RunContext context{.reporter = gatherer, .print = [](std::string_view) {}, .progress = {}};
  context.cancelled = settings_.cancelled;
  context.cores = settings_.threads;
  context.temporary_folder = settings_.temporary_folder;
  context.shared = &shared_;
  context.guest = &guest;
  if (guest.compares) guest.expected = shared_.array(FileName::parse(compared_file()), {}, gatherer).array;
  for (const KeptFile& kept : run.files) {
    const fs::path file = settings_.folder + "/" + FileName::parse_output(kept.file).path;
    fs::create_directories(file.parent_path());
    // What a killed process left counts for nothing. Another part of the sweep may be reading a baseline.
    if (!run.is_baseline && fs::is_regular_file(file)) fs::remove(file);
  }
  request->run(context);
  for (const std::string& input : run.inputs) digests_.check_unchanged(input);
  record["status"] = "ok";
  record["exit"] = 0;
  record["resolved"] = guest.decided;
  for (const auto& [name, mean] : guest.metrics.means(plan_.spec.keep.metrics)) record["metrics"][name] = mean;
  if (!guest.comparison.is_null()) record["compare"] = guest.comparison;
  record["outputs"] = outputs_of(run);
  if (!gatherer.warnings.empty()) record["warnings"] = gatherer.warnings;
}

Json Worker::run(const PlannedRun& run) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  Json record{{"id", run.id}, {"number", run.number}, {"command", plan_.spec.command->name}};
  Json options;
  try {
    options = options_json(plan_.spec, run);
    record["options"] = options;
    attempt(run, record);
  } catch (const Error& error) {
    if (error.status() == Status::interrupted) throw;
    write_failure(record, error.status(), located(error));
  } catch (const std::bad_alloc&) {
    write_failure(record, Status::memory, "there is not enough memory");
  } catch (const fs::filesystem_error& error) {
    write_failure(record, Status::io, error.what());
  } catch (const std::exception& error) {
    write_failure(record, Status::defect, error.what());
  }
  record["seconds"] = std::chrono::duration<double>(Clock::now() - start).count();
  record["host"] = host_name();
  if (settings_.rank) record["rank"] = *settings_.rank;
  record["version"] = ATTN_VERSION;
  return record;
}

Expectation Worker::expect(const PlannedRun& run) {
  Gatherer gatherer;
  const std::unique_ptr<Request> request = make_request(plan_.spec, run, settings_.folder);
  Guest guest(plan_.spec, request->values());
  try {
    request->only_plan();
    request::RunContext context{.reporter = gatherer, .print = [](std::string_view) {}, .progress = {}};
    context.cancelled = settings_.cancelled;
    context.cores = settings_.threads;
    context.shared = &shared_;
    context.guest = &guest;
    request->run(context);
  } catch (const Error& error) {
    if (error.status() == Status::interrupted) throw;
    guest.expectation.error = located(error);
  }
  return guest.expectation;
}

bool outputs_are_there(const Json& record, const std::string& folder) {
  const auto outputs = record.find("outputs");
  if (outputs == record.end() || !outputs->is_array()) return false;
  return std::ranges::all_of(*outputs, [&](const Json& output) {
    if (!output.is_object() || !output.contains("file") || !output["file"].is_string() || !output.contains("bytes")) return false;
    std::error_code missing;
    const auto size = fs::file_size(folder + "/" + output["file"].get<std::string>(), missing);
    return !missing && output["bytes"] == size;
  });
}

}  // namespace attn::sweep

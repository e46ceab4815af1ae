// Random option combinations of `attn run` against tests/oracle/oracle.py; tests/data/make_oracle_cases.py drew them.
#include "conformance/case_folder.hpp"
#include "conformance/command.hpp"
#include "conformance/generated_input.hpp"
#include "conformance/judge.hpp"
#include "tools/process.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace {

using namespace attn;
using namespace attn::testing;
using Json = nlohmann::json;
namespace fs = std::filesystem;

/// Of the largest expected value, for each engine and type written. The float64 bounds leave room for sums of some hundred
/// terms; the float32 ones are the project's promise.
double tolerance_of(const std::string& engine, bool is_double) {
  if (is_double) return 1e-12;
  return engine == "reference" ? 2e-6 : 3e-5;
}

const std::string kFolder = std::string(ATTN_TEST_DATA) + "/oracle/";

const Json& cases() {
  static const Json all = Json::parse(std::ifstream(kFolder + "cases.json"));
  return all;
}

/// The expected numbers of one output and the places they stand at in the whole array.
struct Expected {
  Shape shape;
  double largest = 0;
  std::vector<double> values;
  std::vector<std::size_t> index;  ///< empty: all
};

Expected expected_of(const Json& output, bool is_double) {
  constexpr std::size_t kept = 400;
  static const Array single = read_result(kFolder + "expected_f32.npy");
  static const Array precise = read_result(kFolder + "expected_f64.npy");
  const Array& numbers = is_double ? precise : single;
  Expected expected{.shape = output["shape"].get<Shape>(), .largest = output["largest"], .values = {}, .index = {}};
  const std::size_t size = element_count(expected.shape);
  const std::size_t count = std::min(size, kept);
  REQUIRE_EQ(output.contains("sample_seed"), size > kept);
  for (std::size_t i = 0; i < count; ++i) {
    if (size > kept) expected.index.push_back(hash_of(output["sample_seed"].get<std::uint64_t>(), i) % size);
    expected.values.push_back(numbers.at_flat(output["offset"].get<std::size_t>() + i));
  }
  return expected;
}

/// The largest errors seen, for the summary.
std::map<std::string, std::pair<double, std::string>>& worst() {
  static std::map<std::string, std::pair<double, std::string>> seen;
  return seen;
}

void note_error(const std::string& what, double error, const std::string& name) {
  auto& [known, where] = worst()[what];
  if (error < known) return;
  known = error;
  where = name;
}

std::map<std::string, Array> results_of(const Json& one, const fs::path& folder) {
  std::map<std::string, Array> results;
  for (const auto& [name, output] : one["outputs"].items()) results[name] = read_result(folder / (name + ".npy"));
  return results;
}

void judge_results(const Json& one, const std::map<std::string, Array>& results, const std::string& engine) {
  const bool is_double = one["double"];
  const double tolerance = tolerance_of(engine, is_double);
  for (const auto& [name, output] : one["outputs"].items()) {
    const Array& got = results.at(name);
    const Expected expected = expected_of(output, is_double);
    INFO(engine, ": ", name);
    REQUIRE_EQ(got.shape(), expected.shape);
    CHECK(got.dtype() == (is_double ? DType::f64 : DType::f32));
    const Judgement judgement = judge_by_largest(got, expected.values, expected.index, expected.largest, tolerance);
    CHECK_MESSAGE(judgement.defect.empty(), judgement.defect);
    note_error(engine + (is_double ? " float64" : " float32"), judgement.error, one["name"]);
  }
}

/// Every element of what `tiled` gives, not only those that are stored, against the reference.
void judge_against_reference(const Json& one, const std::map<std::string, Array>& tiled,
                             const std::map<std::string, Array>& reference) {
  for (const auto& [name, want] : reference) {
    std::vector<double> values(want.size());
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = want.at_flat(i);
    const Judgement judgement =
        judge_by_largest(tiled.at(name), values, {}, largest_of(want), tolerance_of("tiled", one["double"]));
    INFO("tiled against reference: ", name);
    CHECK_MESSAGE(judgement.defect.empty(), judgement.defect);
  }
}

/// An empty text when the run went well.
std::string run_quietly(const Words& arguments) {
  try {
    (void)run_inside(arguments);
    return {};
  } catch (const std::exception& error) {
    return error.what();
  }
}

const std::vector<std::string> kEngines{"reference", "tiled"};

}  // namespace

TEST_CASE("both engines agree with the oracle on random option combinations") {
  REQUIRE(cases().size() >= 600);
  const std::size_t step = is_sanitized ? 4 : 1;
  for (std::size_t i = 0; i < cases().size(); i += step) {
    const Json& one = cases()[i];
    const CaseFolder folder(one);
    const Words arguments = one["arguments"].get<Words>();
    INFO("case ", one["name"].get<std::string>(), ": attn run ", shell_text(arguments));
    std::map<std::string, std::map<std::string, Array>> results;
    for (const std::string& engine : kEngines) {
      const std::string error = run_quietly(joined(arguments, {"--engine", engine}));
      INFO(engine, ": ", error);
      CHECK(error.empty());
      if (!error.empty()) break;
      results[engine] = results_of(one, folder.path());
      judge_results(one, results[engine], engine);
    }
    if (results.size() == kEngines.size()) judge_against_reference(one, results["tiled"], results["reference"]);
  }
  for (const auto& [what, seen] : worst())
    MESSAGE(fmt::format("{}: largest error {:.2g} of the largest value, in case {}", what, seen.first, seen.second));
}

TEST_CASE("the program gives the same for 1 and 3 threads as a run inside the test") {
  const std::size_t step = is_sanitized ? 60 : 11;
  for (std::size_t i = 3; i < cases().size(); i += step) {
    const Json& one = cases()[i];
    const CaseFolder folder(one);
    const Words arguments = one["arguments"].get<Words>();
    INFO("case ", one["name"].get<std::string>(), ": attn run ", shell_text(arguments));
    for (const std::string& engine : kEngines) {
      REQUIRE_EQ(run_quietly(joined(arguments, {"--engine", engine})), "");
      std::map<std::string, std::string> bytes;
      for (const auto& [name, output] : one["outputs"].items()) bytes[name] = read_file(folder.path() / (name + ".npy"));
      for (const std::string threads : {"1", "3"}) {
        for (const auto& [name, unused] : bytes) fs::remove(folder.path() / (name + ".npy"));
        const Words words = joined(joined({"run"}, arguments), {"--engine", engine, "--threads", threads});
        const Outcome outcome = run_program(folder.path(), words);
        INFO(engine, ", ", threads, " threads: ", outcome.messages);
        REQUIRE_EQ(outcome.ending, "0");
        if (one["outputs"].contains("output") || shell_text(arguments).find("-o none") != std::string::npos)
          CHECK_EQ(outcome.output, "");
        for (const auto& [name, want] : bytes) CHECK((read_file(folder.path() / (name + ".npy")) == want));
        judge_results(one, results_of(one, folder.path()), engine);
      }
    }
  }
}

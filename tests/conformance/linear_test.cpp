// attn linear against closed forms that tests/data/make_linear_cases.py worked out, on both engines; runs in parts; the same
// bits.
#include "conformance/command.hpp"
#include "conformance/generated_input.hpp"
#include "conformance/judge.hpp"
#include "engine/engine.hpp"
#include "tools/process.hpp"
#include "tools/working_directory.hpp"

#include <attn/io.hpp>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

namespace {

using namespace attn;
using namespace attn::testing;
using Json = nlohmann::json;

const std::string kFolder = std::string(ATTN_TEST_DATA) + "/linear/";

Words words_of(const Json& entry) {
  const std::string prefix = kFolder + "cases.npz:" + entry["name"].get<std::string>() + ".";
  Words words{"-q", prefix + "query", "-k", prefix + "key", "-v", prefix + "value", "--rule", entry["rule"]};
  for (const std::string name : entry["inputs"]) {
    const std::string flag = name == "past_state" ? "--past-state" : "--" + name;
    words.insert(words.end(), {flag, prefix + name});
  }
  if (entry["layout"] != "4-D")
    words.insert(words.end(), {"--heads", entry["heads"].dump(), "--kv-heads", entry["kv_heads"].dump()});
  if (entry.contains("scale")) words.insert(words.end(), {"--scale", entry["scale"].dump()});
  return joined(words, {"-o", "y.npy", "--present-state", "s.npy"});
}

void judge(const Json& entry, const std::string& array, const std::string& file, double tolerance) {
  Listener listener;
  const Array expected =
      read_array(FileName{.path = kFolder + "cases.npz", .selector = entry["name"].get<std::string>() + "." + array}, {},
                 listener)
          .array;
  const Array got = read_result(file);
  REQUIRE_EQ(got.shape(), expected.shape());
  std::vector<double> values(expected.size());
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = expected.at_flat(i);
  const Judgement judgement = judge_by_largest(got, values, {}, std::max(1.0, largest_of(expected)), tolerance);
  CHECK_MESSAGE(judgement.defect.empty(), array, ": ", judgement.defect);
}

/// The bytes of both results.
std::string results() { return read_file("y.npy") + read_file("s.npy"); }

/// Rows [first, last) of a [rows, width] array of random numbers, scaled and shifted.
void write_rows(const std::string& file, std::uint64_t seed, std::size_t first, std::size_t last, std::size_t width, double scale,
                double shift) {
  std::vector<double> values = generate({.dtype = "float64", .shape = {last, width}, .seed = seed});
  values.erase(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(first * width));
  for (double& x : values) x = x * scale + shift;
  write_input(file, "float64", {last - first, width}, values);
}

void write_part(const std::string& name, std::size_t first, std::size_t last) {
  write_rows(name + "q.npy", 1, first, last, 4 * 5, 1, 0);
  write_rows(name + "k.npy", 2, first, last, 2 * 5, 0.5, 0);
  write_rows(name + "v.npy", 3, first, last, 2 * 19, 1, 0);
  write_rows(name + "g.npy", 4, first, last, 2 * 5, 0.5, -0.5);
  write_rows(name + "b.npy", 5, first, last, 2, 0.5, 0.5);
}

Words part(const std::string& name, const std::string& rule) {
  Words words{"-q", name + "q.npy", "-k", name + "k.npy", "-v",           name + "v.npy",    "--rule",      rule, "--heads",
              "4",  "--kv-heads",   "2",  "-o",           name + "y.npy", "--present-state", name + "s.npy"};
  if (rule.find("gated") != std::string::npos) words = joined(words, {"--decay", name + "g.npy"});
  if (rule.find("delta") != std::string::npos) words = joined(words, {"--beta", name + "b.npy"});
  return words;
}

std::vector<double> numbers(const std::string& file) {
  const Array array = read_result(file);
  const auto values = array.values<double>();
  return {values.begin(), values.end()};
}

}  // namespace

TEST_CASE("attn linear gives what closed forms give, on both engines, the same bits for all threads and vectors") {
  const WorkingDirectory folder;
  const Json cases = Json::parse(std::ifstream(kFolder + "cases.json"));
  REQUIRE_EQ(cases.size(), 48);
  for (const Json& entry : cases) {
    INFO(entry.dump());
    const Words words = words_of(entry);
    const bool is_double = entry["is_double"];
    CHECK(run_linear_inside(joined(words, {"--engine", "reference"})).empty());
    judge(entry, "output", "y.npy", is_double ? 1e-12 : 2e-7);
    judge(entry, "present_state", "s.npy", is_double ? 1e-12 : 2e-7);
    CHECK(run_linear_inside(joined(words, {"--threads", "1"})).empty());
    judge(entry, "output", "y.npy", is_double ? 1e-12 : 3e-6);
    judge(entry, "present_state", "s.npy", is_double ? 1e-12 : 3e-6);
    const std::string first = results();
    run_linear_inside(joined(words, {"--threads", "5"}));
    CHECK(results() == first);
    for (const std::string& isa : engine::available_isas()) {
      INFO(isa);
      run_linear_inside(joined(words, {"--isa", isa, "--threads", "2"}));
      CHECK(results() == first);
    }
  }
}

TEST_CASE("a run in parts, by way of the state, is the whole run to the last bit") {
  const WorkingDirectory folder;
  constexpr std::size_t length = 41;
  write_part("all", 0, length);
  for (const std::string rule : {"linear", "gated", "delta", "gated-delta"}) {
    for (const std::string engine : {"reference", "tiled"}) {
      run_linear_inside(joined(part("all", rule), {"--engine", engine}));
      const std::vector<double> whole = numbers("ally.npy");
      // 0 and `length`: one of the parts has no token at all.
      for (const std::size_t cut : {std::size_t{0}, std::size_t{1}, std::size_t{16}, std::size_t{29}, length}) {
        INFO(rule, " ", engine, " cut at ", cut);
        write_part("one", 0, cut);
        write_part("two", cut, length);
        run_linear_inside(joined(part("one", rule), {"--engine", engine}));
        run_linear_inside(joined(part("two", rule), {"--engine", engine, "--past-state", "ones.npy"}));
        std::vector<double> parts = numbers("oney.npy");
        const std::vector<double> rest = numbers("twoy.npy");
        parts.insert(parts.end(), rest.begin(), rest.end());
        CHECK(parts == whole);
        CHECK(numbers("twos.npy") == numbers("alls.npy"));
      }
    }
  }
}

TEST_CASE("without a decay and with rate 0 nothing is forgotten, and nothing is learned") {
  const WorkingDirectory folder;
  write_part("all", 0, 23);
  write_input("zero.npy", "float64", {1, 1}, {0});
  write_input("forget.npy", "float64", {1, 1}, {-std::numeric_limits<double>::infinity()});
  run_linear_inside(part("all", "linear"));
  const std::vector<double> plain = numbers("ally.npy");
  run_linear_inside(joined(part("all", "linear"), {"--rule", "gated", "--decay", "zero.npy"}));
  CHECK(numbers("ally.npy") == plain);
  run_linear_inside(joined(part("all", "linear"), {"--rule", "delta", "--beta", "zero.npy"}));
  for (const double x : numbers("ally.npy")) CHECK(x == 0);
  // A decay of -inf forgets all but the token itself: its output is scale * (q . k) v.
  run_linear_inside(joined(part("all", "linear"), {"--rule", "gated", "--decay", "forget.npy", "--scale", "1"}));
  const std::vector<double> q = numbers("allq.npy");
  const std::vector<double> k = numbers("allk.npy");
  const std::vector<double> v = numbers("allv.npy");
  const std::vector<double> y = numbers("ally.npy");
  for (std::size_t t = 0; t < 23; ++t) {
    for (std::size_t head = 0; head < 4; ++head) {
      double product = 0;
      for (std::size_t i = 0; i < 5; ++i) product += q[t * 20 + head * 5 + i] * k[t * 10 + head / 2 * 5 + i];
      for (std::size_t j = 0; j < 19; ++j)
        CHECK(y[t * 76 + head * 19 + j] == doctest::Approx(product * v[t * 38 + head / 2 * 19 + j]).epsilon(1e-12));
    }
  }
}

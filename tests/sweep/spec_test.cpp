// Specifications of sweeps: what they mean, and what is said of those that are wrong.
#include "sweep/spec.hpp"

#include "sweep/place.hpp"

#include <doctest/doctest.h>

namespace {

using namespace attn;
using namespace attn::sweep;
using attn::testing::SweepPlace;
using attn::testing::write_file;

struct Refusal {
  Status status = Status::ok;
  std::size_t line = 0;
  std::string text;  ///< message and hint
};

Refusal refusal(const std::string& spec) {
  write_file("spec.toml", spec);
  try {
    (void)read_spec("spec.toml");
  } catch (const Error& error) {
    return {.status = error.status(), .line = error.where().line, .text = std::string(error.what()) + " / " + error.hint()};
  }
  return {};
}

bool has(const Refusal& refusal, Status status, std::size_t line, const std::string& part) {
  INFO(refusal.text);
  CHECK(refusal.status == status);
  CHECK(refusal.line == line);
  CHECK(refusal.text.find(part) != std::string::npos);
  return true;
}

}  // namespace

TEST_CASE("a specification keeps the order of the file, and its types become texts of the command line") {
  const SweepPlace place;
  write_file("spec.toml", R"([run]
query = "x.csv:p0..p63"
causal = true
[grid]
temperature = [0.5, 1, 2e-3]
score = ["dot", "cosine"]
heads = "1..4"
alibi = [false, true]
[[case]]
score = "cosine"
softcap = 5
baseline = true
[keep]
output = "{id}.npy"
stats = "row"
metrics = ["entropy", "support", "max", "distance"]
[compare]
rtol = 1e-3
)");
  const Spec spec = read_spec("spec.toml");
  CHECK(spec.command->name == "run");
  REQUIRE(spec.grid.size() == 4);
  CHECK(spec.grid[0].option == "temperature");
  CHECK(spec.grid[0].values == std::vector<std::vector<std::string>>{{"0.5"}, {"1"}, {"0.002"}});
  CHECK(spec.grid[2].values == std::vector<std::vector<std::string>>{{"1"}, {"2"}, {"3"}, {"4"}});
  CHECK(spec.grid[3].values == std::vector<std::vector<std::string>>{{"no"}, {"yes"}});
  REQUIRE(spec.cases.size() == 1);
  CHECK(spec.cases[0].is_baseline);
  CHECK(spec.cases[0].settings.size() == 2);
  REQUIRE(spec.run.size() == 3);
  CHECK(spec.run[0].texts.front() == "x.csv:p0..p63");
  CHECK(spec.run[2].option == "stats-per");
  CHECK(spec.keep.files.size() == 2);
  CHECK(spec.keep.metrics.size() == 4);
  REQUIRE(spec.compare);
  CHECK(spec.compare->rtol == 1e-3);
  CHECK(spec.compare->with.empty());
}

TEST_CASE("names of input files are relative to the specification; numbers where a file may stand stay numbers") {
  const SweepPlace place;
  std::filesystem::create_directory("below");
  write_file("below/spec.toml", "[run]\nX = \"x.npy\"\nkey = \"/absolute.npy\"\nquery-offset = \"end\"\nkey-lengths = \"3,4\"\n");
  const Spec spec = read_spec("below/spec.toml");
  REQUIRE(spec.run.size() == 4);
  CHECK(spec.run[0].texts.front() == "below/x.npy");
  CHECK(spec.run[1].texts.front() == "/absolute.npy");
  CHECK(spec.run[2].texts.front() == "end");
  CHECK(spec.run[3].texts.front() == "3,4");
}

TEST_CASE("what is wrong in a specification is said with its line and the nearest name") {
  const SweepPlace place;
  CHECK(has(refusal("[run]\nquery = \"x\n"), Status::data, 2, "TOML"));
  CHECK(has(refusal("[gird]\n"), Status::usage, 1, "did you mean grid?"));
  CHECK(has(refusal("[run]\nqueri = \"x.npy\"\n"), Status::usage, 2, "did you mean query?"));
  CHECK(has(refusal("[run]\nX = \"x\"\n[grid]\nscroe = [\"dot\"]\n"), Status::usage, 4, "did you mean score?"));
  CHECK(has(refusal("[[case]]\ntemprature = 1\n"), Status::usage, 2, "did you mean temperature?"));
  CHECK(has(refusal("[keep]\nmetrics = [\"entrpy\"]\n"), Status::usage, 2, "did you mean entropy?"));
  CHECK(has(refusal("[keep]\noutpt = \"{id}.npy\"\n"), Status::usage, 2, "did you mean output?"));
  CHECK(has(refusal("[compare]\nwiht = \"x\"\n"), Status::usage, 2, "did you mean with?"));
  CHECK(has(refusal("[run]\ncommand = \"rnu\"\n"), Status::usage, 2, "did you mean run?"));
  CHECK(has(refusal("[run]\ncommand = \"layer\"\n[keep]\nmetrics = [\"entropy\"]\n"), Status::usage, 4, "no metrics"));
  CHECK(has(refusal("[run]\noutput = \"y.npy\"\n"), Status::usage, 2, "[keep]"));
  CHECK(has(refusal("[run]\nX = \"-\"\n"), Status::usage, 2, "standard input"));
  CHECK(has(refusal("[run]\nverbose = true\n"), Status::usage, 2, "belongs to attn sweep"));
  CHECK(has(refusal("[run]\nheads = [1, 2]\n"), Status::usage, 2, "one value"));
  CHECK(has(refusal("[grid]\nheads = []\n"), Status::usage, 2, "no run"));
  CHECK(has(refusal("[grid]\ncausal = [3]\n"), Status::usage, 2, "on or off"));
  CHECK(has(refusal("[grid]\nheads = \"4..1\"\n"), Status::usage, 2, "empty"));
  CHECK(has(refusal("[grid]\nheads = [1979-05-27]\n"), Status::usage, 2, "expected a text"));
  CHECK(has(refusal("case = 3\n"), Status::usage, 1, "[[case]]"));
  CHECK(has(refusal("[[case]]\nbaseline = true\n[[case]]\nbaseline = true\n"), Status::usage, 4, "two baselines"));
  CHECK(has(refusal("[compare]\nrtol = -1\n"), Status::usage, 2, "from 0"));
}

TEST_CASE("a grid on the command line takes lists and ranges, and replaces an axis of the file") {
  const SweepPlace place;
  write_file("spec.toml", "[run]\nX = \"x.npy\"\n[grid]\nscore = [\"dot\"]\n");
  Spec spec = read_spec("spec.toml");
  add_grid(spec, "score=dot,cosine");
  add_grid(spec, "heads=1,4..6");
  add_grid(spec, "causal=no,yes");
  REQUIRE(spec.grid.size() == 3);
  CHECK(spec.grid[0].values.size() == 2);
  CHECK(spec.grid[1].values == std::vector<std::vector<std::string>>{{"1"}, {"4"}, {"5"}, {"6"}});
  CHECK(spec.grid[2].values == std::vector<std::vector<std::string>>{{"no"}, {"yes"}});
  CHECK_THROWS_AS(add_grid(spec, "score"), Error);
  CHECK_THROWS_AS(add_grid(spec, "score="), Error);
  CHECK_THROWS_AS(add_grid(spec, "scroe=dot"), Error);
  CHECK_THROWS_AS(add_grid(spec, "weights=w.npy"), Error);
  CHECK_THROWS_AS(add_keep(spec, "metrics=entropy,maximum"), Error);
  add_keep(spec, "metrics=entropy,max");
  CHECK(spec.keep.metrics == std::vector<std::string>{"entropy", "max"});
}

TEST_CASE("only whole numbers on both sides are a range") {
  CHECK(expand_range("1..3") == std::vector<std::string>{"1", "2", "3"});
  CHECK(expand_range("-1..1") == std::vector<std::string>{"-1", "0", "1"});
  CHECK(expand_range("7..7") == std::vector<std::string>{"7"});
  CHECK(expand_range("x.csv:p0..p63") == std::vector<std::string>{"x.csv:p0..p63"});
  CHECK(expand_range("0.5") == std::vector<std::string>{"0.5"});
  CHECK_THROWS_AS((void)expand_range("2..1"), Error);
  CHECK_THROWS_AS((void)expand_range("0..9223372036854775807"), Error);
}

// The runs of a specification: combinations, identities, names of files.
#include "sweep/plan.hpp"

#include "sweep/place.hpp"

#include <set>

#include <doctest/doctest.h>

namespace {

using namespace attn;
using namespace attn::sweep;
using attn::testing::SweepPlace;
using attn::testing::write_file;

SweepPlan plan_of(const std::string& spec) {
  write_file("spec.toml", spec);
  InputDigests digests;
  return plan_runs(read_spec("spec.toml"), digests);
}

std::string only_id(const std::string& spec) {
  const SweepPlan plan = plan_of(spec);
  REQUIRE(plan.runs.size() == 1);
  return plan.runs.front().id;
}

std::string refusal(const std::string& spec) {
  try {
    (void)plan_of(spec);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("SHA-256 gives the digests that FIPS 180-4 prints") {
  CHECK(sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  const SweepPlace place;
  write_file("million", std::string(1000000, 'a'));
  CHECK(sha256_of_file("million").sha256 == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  CHECK(sha256_of_file("million").bytes == 1000000);
}

TEST_CASE("every combination is a run, the last axis changing fastest, and cases come behind") {
  const SweepPlace place;
  SweepPlace::write("x.npy", 3, 4, 1);
  const SweepPlan plan = plan_of(
      "[run]\nX = \"x.npy\"\n[grid]\nscore = [\"dot\", \"cosine\", \"scaled\"]\ntemperature = [1, 2]\n[[case]]\nsoftcap = 5\n");
  REQUIRE(plan.runs.size() == 7);
  CHECK(plan.runs[1].settings.back().texts.front() == "2");
  CHECK(plan.runs[2].settings[1].texts.front() == "cosine");
  CHECK(plan.runs[6].settings.size() == 2);
  std::set<std::string> ids;
  for (const PlannedRun& run : plan.runs) {
    ids.insert(run.id);
    CHECK(run.id.size() == 16);
  }
  CHECK(ids.size() == 7);
}

TEST_CASE("a grid of one value, no grid, and only cases") {
  const SweepPlace place;
  CHECK(plan_of("[run]\nX = \"x.npy\"\n").runs.size() == 1);
  CHECK(plan_of("[run]\nX = \"x.npy\"\n[grid]\nheads = 1\n").runs.size() == 1);
  CHECK(plan_of("[run]\nX = \"x.npy\"\n[[case]]\nheads = 1\n").runs.size() == 1);
  CHECK(refusal("[run]\nX = \"x\"\n[grid]\nheads = \"1..5000\"\nkv-heads = \"1..5000\"\n").find("more than") !=
        std::string::npos);
}

TEST_CASE("a run is known by its options as resolved and by what is in its files") {
  const SweepPlace place;
  SweepPlace::write("x.npy", 3, 4, 1);
  const std::string id = only_id("[run]\nX = \"x.npy\"\ntemperature = 1\n");
  CHECK(only_id("[run]\nX = \"x.npy\"\ntemperature = 1.0\n") == id);
  CHECK(only_id("[run]\nX = \"x.npy\"\n") == id);
  CHECK(only_id("[run]\nX = \"x.npy\"\nscore = \"scaled\"\n") == id);
  CHECK(only_id("[run]\nX = \"x.npy\"\ntemperature = 2\n") != id);
  CHECK(only_id("[run]\nX = \"x.npy\"\ncommand = \"topk\"\n") != id);
  CHECK(only_id("[run]\nX = \"x.npy\"\n[keep]\noutput = \"{id}.npy\"\n") != id);
  CHECK(only_id("[run]\nX = \"x.npy\"\n[keep]\nmetrics = [\"max\"]\n") != id);
  std::filesystem::rename("x.npy", "moved.npy");
  CHECK(only_id("[run]\nX = \"moved.npy\"\n") == id);
  CHECK(only_id("[run]\nX = \"x.npy\"\n") != id);
  SweepPlace::write("moved.npy", 3, 4, 2);
  CHECK(only_id("[run]\nX = \"moved.npy\"\n") != id);
}

TEST_CASE("what is read beside the parameters belongs to the identity") {
  const SweepPlace place;
  SweepPlace::write("x.npy", 3, 4, 1);
  write_file("p.safetensors", "parameters");
  const std::string spec = "[run]\nX = \"x.npy\"\nparams = \"p.safetensors\"\n";
  const std::string alone = only_id(spec);
  write_file("config.json", "{\"rope_theta\": 5}");
  const std::string with_config = only_id(spec);
  CHECK(with_config != alone);
  write_file("config.json", "{\"rope_theta\": 6}");
  CHECK(only_id(spec) != with_config);
  const std::string parts = "[run]\nX = \"x.npy\"\nparams = \"p.safetensors.index.json\"\n";
  write_file("p.safetensors.index.json", R"({"weight_map": {"a": "p.safetensors"}})");
  const std::string in_parts = only_id(parts);
  write_file("p.safetensors", "other parameters");
  CHECK(only_id(parts) != in_parts);
}

TEST_CASE("combinations that mean the same are one run") {
  const SweepPlace place;
  SweepPlace::write("x.npy", 3, 4, 1);
  const SweepPlan plan = plan_of(
      "[run]\nX = \"x.npy\"\n[grid]\ntemperature = [1, 1.0, 2]\n[[case]]\ntemperature = 2\nbaseline = true\n"
      "[keep]\noutput = \"{id}.npy\"\n[compare]\n");
  CHECK(plan.runs.size() == 2);
  CHECK(plan.repeated == 2);
  REQUIRE(plan.baseline);
  CHECK(plan.runs[*plan.baseline].number == 2);
}

TEST_CASE("names of files are filled in, and two runs never write one file") {
  const SweepPlace place;
  SweepPlace::write("x.npy", 3, 4, 1);
  const std::string head = "[run]\nX = \"x.npy\"\n[grid]\nscore = [\"dot\", \"cosine\"]\nwindow = [\"1:0\"]\n[keep]\noutput = ";
  const SweepPlan plan = plan_of(head + "\"{score}/{number}-{window}-{X}-{id}{}.npy\"\n");
  CHECK(plan.runs[1].files.front().file == "cosine/1-1_0-x.npy-" + plan.runs[1].id + "{}.npy");
  CHECK(refusal(head + "\"y.npy\"\n").find("would both write 'y.npy'") != std::string::npos);
  CHECK(refusal(head + "\"{scroe}.npy\"\n").find("no option 'scroe'") != std::string::npos);
  for (const char* bad : {"/tmp/{id}.npy", "../{id}.npy", "a/../../{id}.npy", "summary.csv", "runs-{id}.jsonl", "{id}/"})
    CHECK_FALSE(refusal(head + "\"" + bad + "\"\n").empty());
}

TEST_CASE("values that an option does not take, and comparisons with nothing, are refused before anything runs") {
  const SweepPlace place;
  CHECK(refusal("[run]\nX = \"x\"\n[grid]\nscore = [\"dto\"]\n").find("'dto' is not one of") != std::string::npos);
  CHECK(refusal("[run]\nX = \"x\"\nheads = \"many\"\n").find("not a whole number") != std::string::npos);
  CHECK(refusal("[run]\nX = \"x\"\n[compare]\nrtol = 1\n").find("nothing to compare with") != std::string::npos);
  CHECK(refusal("[run]\nX = \"x\"\n[[case]]\nbaseline = true\n[compare]\nwith = \"y\"\n").find("one thing") != std::string::npos);
  CHECK(refusal("[run]\nX = \"x\"\n[[case]]\nbaseline = true\n[compare]\n").find("needs its output") != std::string::npos);
}

// Sweeps over three processes of Open MPI: the same bytes as on one, failures that end nothing, a rank that is killed.
#include "sweep/ledger.hpp"
#include "sweep/place.hpp"
#include "sweep/program.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <random>
#include <sstream>
#include <thread>

#include <doctest/doctest.h>

namespace {

using namespace attn;
using namespace attn::testing;
using attn::Json;

constexpr std::size_t kRuns = 40;

void write_spec(const std::string& more = "") {
  // What the runtime needs where tests run: as root, in a container, with fewer cores than ranks.
  for (const char* name : {"OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"}) (void)::setenv(name, "1", 1);
  (void)::setenv("TMPDIR", "/tmp", 0);
  SweepPlace::write("x.npy", 300, 16, 1);
  write_file("spec.toml",
             "[run]\nX = \"x.npy\"\nengine = \"reference\"\nthreads = 1\n[grid]\ntemperature = \"1..20\"\nscore = [\"dot\", "
             "\"cosine\"]\n" +
                 more + "[keep]\noutput = \"{id}.npy\"\nmetrics = [\"entropy\"]\n");
}

/// When a rank ends badly the others are killed at once, not after a second in which they may end by themselves.
std::vector<std::string> words(const std::string& folder, const std::vector<std::string>& more = {}) {
  std::vector<std::string> all{ATTN_MPIRUN,
                               "-n",
                               "3",
                               "--oversubscribe",
                               "--mca",
                               "btl_vader_single_copy_mechanism",
                               "none",
                               "--mca",
                               "odls_base_sigkill_timeout",
                               "0",
                               ATTN_PROGRAM,
                               "sweep",
                               "spec.toml",
                               "-o",
                               folder};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace

TEST_CASE("three ranks leave the bytes of one process, and share the work") {
  const SweepPlace place;
  write_spec();
  REQUIRE(Running({ATTN_PROGRAM, "sweep", "spec.toml", "-o", "one"}).wait() == 0);
  const int status = Running(words("three")).wait();
  INFO(read_file("log"));
  REQUIRE(status == 0);
  CHECK(lines_of("three/runs.jsonl") == kRuns);
  CHECK(lines_of("three/summary.csv") == kRuns + 1);
  CHECK(outputs_in("three") == outputs_in("one"));
  const auto one = attn::sweep::read_ledgers("one");
  std::set<int> ranks;
  for (const auto& [id, record] : attn::sweep::read_ledgers("three")) {
    CHECK(record["status"] == "ok");
    CHECK(record["metrics"] == one.at(id)["metrics"]);
    ranks.insert(record["rank"].get<int>());
  }
  CHECK(ranks == std::set<int>{0, 1, 2});
  CHECK(read_file("log").find("40 runs done") != std::string::npos);
  REQUIRE(Running(words("three")).wait() == 0);
  CHECK(read_file("log").find("0 runs done, 40 done before") != std::string::npos);
}

TEST_CASE("runs that fail end neither the others nor the job") {
  const SweepPlace place;
  write_spec("[[case]]\nquery-offset = \"3\"\nmask = \"none.npy\"\n[[case]]\nmax-memory = \"1K\"\n[[case]]\nheads = 7\n");
  CHECK(Running(words("out")).wait() == 1);
  CHECK(lines_of("out/runs.jsonl") == kRuns + 3);
  std::size_t failed = 0;
  for (const auto& [id, record] : attn::sweep::read_ledgers("out")) failed += record["status"] == "failed" ? 1U : 0U;
  CHECK(failed == 3);
}

TEST_CASE("wrong usage is said once and ends all ranks") {
  const SweepPlace place;
  write_spec();
  CHECK(Running(words("out", {"--grid", "scroe=dot"})).wait() != 0);
  const std::string log = read_file("log");
  CHECK(log.find("did you mean score?") != std::string::npos);
  CHECK(log.find("did you mean score?") == log.rfind("did you mean score?"));
  CHECK(Running(words("out", {"--dry-run"})).wait() == 0);
  CHECK(read_file("log").find("40 runs to do") != std::string::npos);
}

TEST_CASE("every rank may do several runs at a time, beside a baseline") {
  const SweepPlace place;
  write_spec("[[case]]\nscore = \"dot\"\ntemperature = 3\nbaseline = true\n[compare]\n");
  CHECK(Running(words("out", {"--jobs", "2"})).wait() == 0);
  const auto records = attn::sweep::read_ledgers("out");
  CHECK(records.size() == kRuns);
  std::size_t same = 0;
  for (const auto& [id, record] : records) same += record.contains("compare") ? 1U : 0U;
  CHECK(same == kRuns - 1);
}

TEST_CASE("with a rank killed at random moments and called again, every run is there once with the bytes of one process") {
  const SweepPlace place;
  write_spec();
  REQUIRE(Running({ATTN_PROGRAM, "sweep", "spec.toml", "-o", "one"}).wait() == 0);
  const std::uint64_t seed = std::random_device{}();
  MESSAGE("seed ", seed);
  std::mt19937_64 random(seed);
  std::size_t killed = 0;
  for (int round = 0; round < 20; ++round) {
    Running running(words("killed"));
    std::vector<pid_t> ranks;
    for (int i = 0; i < 2000 && ranks.size() < 3; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      ranks = ranks_of(running.id());
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 150000));
    if (!ranks.empty()) (void)::kill(ranks[random() % ranks.size()], SIGKILL);
    killed += running.wait() != 0 ? 1U : 0U;
  }
  CHECK(killed > 0);
  REQUIRE(Running(words("killed")).wait() == 0);
  CHECK(attn::sweep::read_ledgers("killed").size() == kRuns);
  CHECK(lines_of("killed/summary.csv") == kRuns + 1);
  std::map<std::string, int> lines;
  std::istringstream ledger(read_file("killed/runs.jsonl"));
  for (std::string line; std::getline(ledger, line);) {
    const Json record = Json::parse(line, nullptr, false);
    if (record.is_object()) ++lines[record["id"].get<std::string>()];
  }
  CHECK(lines.size() == kRuns);
  for (const auto& [id, count] : lines) CHECK(count == 1);
  CHECK(outputs_in("killed") == outputs_in("one"));
}

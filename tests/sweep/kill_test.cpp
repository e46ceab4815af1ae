// Sweeps that are killed at random moments, interrupted, or run out of disk, and what they leave.
#include "sweep/ledger.hpp"
#include "sweep/place.hpp"
#include "sweep/program.hpp"

#include <csignal>
#include <random>
#include <thread>

#include <doctest/doctest.h>

namespace {

using namespace attn;
using namespace attn::testing;
using attn::Json;

constexpr std::size_t kRuns = 60;

/// Runs long enough to be killed among them: a few milliseconds each, and outputs of several kinds.
void write_spec(const std::string& rows = "400") {
  SweepPlace::write("x.npy", std::stoul(rows), 16, 1);
  write_file("spec.toml",
             "[run]\nX = \"x.npy\"\nengine = \"reference\"\nthreads = 1\n[grid]\ntemperature = \"1..30\"\nscore = [\"dot\", "
             "\"cosine\"]\n"
             "[keep]\noutput = \"{id}.npy\"\nweights = \"w/{id}.npz\"\nlse = \"{id}.csv\"\n");
}

std::vector<std::string> sweep_words(const std::string& folder) {
  return {ATTN_PROGRAM, "sweep", "spec.toml", "-o", folder, "--jobs", "2"};
}

/// Every run exactly once, each ok.
void check_ledger(const std::string& folder, std::size_t runs) {
  std::map<std::string, std::size_t> lines;
  const std::string text = read_file(folder + "/runs.jsonl");
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    REQUIRE(end != std::string::npos);
    const Json record = Json::parse(text.substr(begin, end - begin), nullptr, false);
    // Half lines stay where the killed process left them.
    if (record.is_object()) {
      ++lines[record["id"].get<std::string>()];
      CHECK(record["status"] == "ok");
    }
    begin = end + 1;
  }
  CHECK(lines.size() == runs);
  for (const auto& [id, count] : lines) CHECK(count == 1);
}

}  // namespace

TEST_CASE("killed at 20 random moments and called again, a sweep is that of an undisturbed one") {
  const SweepPlace place;
  write_spec();
  const auto start = std::chrono::steady_clock::now();
  REQUIRE(Running(sweep_words("whole")).wait() == 0);
  const auto whole = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count();
  const std::uint64_t seed = std::random_device{}();
  MESSAGE("seed ", seed);
  std::mt19937_64 random(seed);
  std::size_t killed = 0;
  for (int round = 0; round < 20; ++round) {
    Running running(sweep_words("killed"), "log");
    std::this_thread::sleep_for(std::chrono::microseconds(random() % static_cast<std::uint64_t>(whole / 4)));
    running.signal(SIGKILL);
    killed += running.wait() == -SIGKILL ? 1U : 0U;
  }
  CHECK(killed > 0);
  REQUIRE(Running(sweep_words("killed")).wait() == 0);
  check_ledger("whole", kRuns);
  check_ledger("killed", kRuns);
  CHECK(outputs_in("killed") == outputs_in("whole"));
}

TEST_CASE("Ctrl-C drops the runs that are at work, ends with 130, and the next call goes on") {
  const SweepPlace place;
  write_spec("1200");
  {
    Running running(sweep_words("out"));
    while (!std::filesystem::exists("out/runs.jsonl") || std::filesystem::file_size("out/runs.jsonl") == 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    running.signal(SIGINT);
    CHECK(running.wait() == 130);
  }
  const std::size_t done = attn::sweep::read_ledgers("out").size();
  CHECK(done > 0);
  CHECK(done < kRuns);
  CHECK(outputs_in("out").size() == 3 * done);
  CHECK(read_file("log").find("interrupted") != std::string::npos);
}

TEST_CASE("runs whose outputs do not fit on the disk fail, the others go on, and the status is 1") {
  const SweepPlace place;
  SweepPlace::write("x.npy", 64, 16, 1);
  SweepPlace::write("long.npy", 4000, 16, 1);
  write_file("spec.toml",
             "[grid]\nX = [\"x.npy\", \"long.npy\", \"x.npy\"]\ntemperature = [1, 2]\n[keep]\noutput = \"{id}.npy\"\n");
  CHECK(Running(sweep_words("out"), "log", 100000).wait() == 1);
  std::size_t failed = 0;
  for (const auto& [id, record] : attn::sweep::read_ledgers("out")) {
    if (record["status"] == "ok") continue;
    ++failed;
    CHECK(record["exit"] == 4);
    CHECK(record["options"]["X"] == "long.npy");
    CHECK_FALSE(record["error"].get<std::string>().empty());
  }
  CHECK(failed == 2);
  CHECK(outputs_in("out").size() == 2);
}

TEST_CASE("two sweeps in one folder at a time run everything once") {
  const SweepPlace place;
  write_spec();
  Running first(sweep_words("out"), "first");
  Running second(sweep_words("out"), "second");
  CHECK(first.wait() == 0);
  CHECK(second.wait() == 0);
  check_ledger("out", kRuns);
}

// One attention over processes of Open MPI: the same bytes for every number of them, and what goes wrong on one ends all.
#include "sweep/place.hpp"
#include "sweep/program.hpp"

#include <csignal>
#include <cstdlib>
#include <random>
#include <thread>

#include <doctest/doctest.h>
#include <fmt/format.h>

namespace {

using namespace attn;
using namespace attn::testing;
using Words = std::vector<std::string>;

class MpiPlace : public SweepPlace {
 public:
  MpiPlace() {
    // What the runtime needs where tests run: as root, in a container, with fewer cores than ranks.
    for (const char* name : {"OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"}) (void)::setenv(name, "1", 1);
    (void)::setenv("TMPDIR", "/tmp", 0);
  }
  static void write(const std::string& name, const Shape& shape, bool is_double = false) {
    std::mt19937_64 random(17 + element_count(shape, 8));
    std::normal_distribution<double> normal;
    Array array(is_double ? DType::f64 : DType::f32, shape);
    for (std::size_t i = 0; i < array.size(); ++i) {
      if (is_double)
        array.mutable_values<double>()[i] = normal(random);
      else
        array.mutable_values<float>()[i] = static_cast<float>(normal(random));
    }
    write_array(FileName::parse_output(name), array, {});
  }
};

/// `patience`: how many seconds Open MPI lets the others end by themselves when a rank has ended badly.
Words mpirun(std::size_t ranks, const char* patience = "0") {
  return {ATTN_MPIRUN,
          "-n",
          std::to_string(ranks),
          "--oversubscribe",
          "--mca",
          "btl_vader_single_copy_mechanism",
          "none",
          "--bind-to",
          "none",
          "--mca",
          "odls_base_sigkill_timeout",
          patience};
}

Words on(std::size_t ranks, const Words& arguments, const char* patience = "0") {
  Words all = ranks == 0 ? Words{} : mpirun(ranks, patience);
  all.insert(all.end(), {ATTN_PROGRAM, "run"});
  all.insert(all.end(), arguments.begin(), arguments.end());
  return all;
}

void check_same(const Words& arguments, const Words& outputs, const std::vector<std::size_t>& counts = {1, 2, 3, 4}) {
  Words words = arguments;
  words.insert(words.end(), {"--threads", "1"});
  INFO(fmt::format("{}", fmt::join(arguments, " ")));
  REQUIRE(Running(on(0, words)).wait() == 0);
  std::map<std::string, std::string> alone;
  for (const std::string& name : outputs) alone[name] = read_file(name);
  for (const std::size_t ranks : counts) {
    INFO(ranks, " ranks");
    for (const std::string& name : outputs) std::filesystem::remove(name);
    REQUIRE(Running(on(ranks, words)).wait() == 0);
    for (const std::string& name : outputs) CHECK(read_file(name) == alone[name]);
  }
}

std::size_t count_of(const std::string& text, const std::string& what) {
  std::size_t count = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

std::set<std::string> names_here() {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(".")) names.insert(entry.path().filename().string());
  return names;
}

}  // namespace

TEST_CASE("one to four processes leave the bytes of one without MPI") {
  const MpiPlace place;
  MpiPlace::write("q.npy", {2, 4, 301, 40});
  MpiPlace::write("k.npy", {2, 2, 4001, 40});
  MpiPlace::write("v.npy", {2, 2, 4001, 23});
  MpiPlace::write("d.npy", {3, 131, 32}, true);
  const Words qkv{"-q", "q.npy", "-k", "k.npy", "-v", "v.npy", "-o", "y.npy"};
  const auto with = [&](const Words& more) {
    Words all = qkv;
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  check_same(with({"--lse", "l.npy"}), {"y.npy", "l.npy"});
  check_same(with({"--causal", "--query-offset", "end", "--stats-out", "s.csv"}), {"y.npy", "s.csv"});
  check_same(with({"--window", "90:17", "--query-offset", "1000", "--key-lengths", "4001,1200"}), {"y.npy"});
  check_same({"d.npy", "--causal", "-o", "y.npy", "--weights", "w.npy"}, {"y.npy", "w.npy"});
  check_same({"d.npy", "-o", "y.npz"}, {"y.npz"});
  check_same(with({"--window", "900:100", "--query-offset", "end", "--stats-out", "c.csv", "--stats-per", "column", "--plot-out",
                   "p.svg", "--plot-size", "120"}),
             {"y.npy", "c.csv", "p.svg"});
}

TEST_CASE("norms of weighed values are shared as weights are") {
  const MpiPlace place;
  MpiPlace::write("q.npy", {1, 4, 201, 40});
  MpiPlace::write("k.npy", {1, 2, 2001, 40});
  MpiPlace::write("v.npy", {1, 2, 2001, 23});
  for (const char* per : {"row", "column", "pattern"}) {
    check_same({"-q",
                "q.npy",
                "-k",
                "k.npy",
                "-v",
                "v.npy",
                "-o",
                "none",
                "--causal",
                "--query-offset",
                "end",
                "--by-value-norm",
                "--stats-out",
                "s.csv",
                "--stats-per",
                per,
                "--topk-out",
                "t.csv",
                "--topk-number",
                "3",
                "--plot-out",
                "p.svg",
                "--plot-size",
                "100"},
               {"s.csv", "t.csv", "p.svg"}, {2, 3});
  }
}

TEST_CASE("what is wrong is said once, whoever finds it, with the status of one process") {
  const MpiPlace place;
  MpiPlace::write("x.npy", {300, 16});
  const auto before = names_here();
  CHECK(Running(on(3, {"gone.npy", "-o", "y.npy"})).wait() == 4);
  CHECK(count_of(read_file("log"), "gone.npy: there is no such file") == 1);
  Words one_lacks = mpirun(2);
  one_lacks.insert(one_lacks.end(),
                   {ATTN_PROGRAM, "run", "x.npy", "-o", "y.npy", ":", "-n", "1", ATTN_PROGRAM, "run", "gone.npy", "-o", "y.npy"});
  CHECK(Running(one_lacks).wait() == 4);
  CHECK(count_of(read_file("log"), "rank 2: gone.npy: there is no such file") == 1);
  CHECK(Running(on(3, {"x.npy", "-o", "/dev/full", "--to", "npy"})).wait() == 4);
  CHECK(count_of(read_file("log"), "/dev/full: could not be written") == 1);
  CHECK(Running(on(3, {"x.npy", "-o", "y.npy", "--engine", "reference"})).wait() == 2);
  CHECK(count_of(read_file("log"), "the reference engine cannot be shared by several ranks") == 1);
  Words layer = mpirun(3);
  layer.insert(layer.end(), {ATTN_PROGRAM, "layer", "x.npy", "--params", "p.npz", "-o", "y.npy"});
  CHECK(Running(layer).wait() == 2);
  CHECK(count_of(read_file("log"), "attn layer cannot be shared by several ranks") == 1);
  CHECK(Running(on(3, {"x.npy", "-o", "y.npy", "--no-such-option"})).wait() == 2);
  CHECK(count_of(read_file("log"), "has no option --no-such-option") == 1);
  std::filesystem::remove("log");
  CHECK(names_here() == before);
}

TEST_CASE("statistics and strongest keys are shared by their own commands") {
  const MpiPlace place;
  MpiPlace::write("x.npy", {500, 16});
  for (const Words& arguments : {Words{"stats", "x.npy", "--per", "column"}, {"stats", "x.npy", "--detect"}, {"topk", "x.npy"}}) {
    Words alone{ATTN_PROGRAM};
    Words shared = mpirun(3);
    shared.push_back(ATTN_PROGRAM);
    for (Words* words : {&alone, &shared}) words->insert(words->end(), arguments.begin(), arguments.end());
    alone.insert(alone.end(), {"-o", "alone.csv"});
    shared.insert(shared.end(), {"-o", "shared.csv"});
    REQUIRE(Running(alone).wait() == 0);
    REQUIRE(Running(shared).wait() == 0);
    CHECK(read_file("shared.csv") == read_file("alone.csv"));
  }
}

TEST_CASE("a process holds less than its share of the arrays") {
  const MpiPlace place;
  // Blocks of queries lie between those of the others, in the inputs, in the output and in the bias.
  constexpr std::size_t length = 16384;
  MpiPlace::write("q.npy", {1, 4, length, 64});
  MpiPlace::write("k.npy", {1, 4, 100, 64});
  MpiPlace::write("v.npy", {1, 4, 100, 64});
  MpiPlace::write("b.npy", {length, 100});
  MpiPlace::write("small.npy", {64, 64});
  const auto peak_of = [](const Words& arguments) {
    Words words = arguments;
    words.insert(words.end(), {"--threads", "1", "-o", "y.npy"});
    Running running(on(4, words));
    REQUIRE(running.wait() == 0);
    return running.peak_kib();
  };
  const long nothing = peak_of({"small.npy"});
  const long all = peak_of({"-q", "q.npy", "-k", "k.npy", "-v", "v.npy", "--bias", "b.npy", "--lse", "l.npy"});
  constexpr long arrays = static_cast<long>(length) * (4 * 64 * 2 + 100 + 4) * 4 / 1024;
  INFO("KiB: ", nothing, " without work, ", all, " with ", arrays, " of arrays");
  CHECK(nothing > 0);
  CHECK(all - nothing < arrays / 4);
}

TEST_CASE("fewer queries than processes") {
  const MpiPlace place;
  MpiPlace::write("x.npy", {2, 9});
  check_same({"x.npy", "-o", "y.npy"}, {"y.npy"});
}

TEST_CASE("a process that is killed ends the others within bounds, and leaves no file") {
  const MpiPlace place;
  MpiPlace::write("x.npy", {1, 2, 6000, 64});
  const std::uint64_t seed = std::random_device{}();
  MESSAGE("seed ", seed);
  std::mt19937_64 random(seed);
  const auto before = names_here();
  for (std::size_t victim = 0; victim < 3; ++victim) {
    Running running(on(3, {"x.npy", "-o", "y.npy", "--threads", "1"}, "1"));
    std::vector<pid_t> ranks;
    for (int i = 0; i < 5000 && ranks.size() < 3; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      ranks = ranks_of(running.id());
    }
    REQUIRE(ranks.size() == 3);
    std::ranges::sort(ranks);
    std::this_thread::sleep_for(std::chrono::milliseconds(100 + random() % 200));
    const bool was_killed = ::kill(ranks[victim], SIGKILL) == 0;
    const int status = running.wait();
    INFO("status ", status);
    CHECK(status != -1000);
    std::filesystem::remove("log");
    // It may have been over before.
    CHECK((status == 0) == std::filesystem::exists("y.npy"));
    CHECK((status == 0 || was_killed));
    std::filesystem::remove("y.npy");
    CHECK(names_here() == before);
  }
}

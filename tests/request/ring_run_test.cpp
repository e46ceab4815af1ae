// Runs from files to files on several ranks, which are threads here: the bytes of one process, failures that end all, nothing
// left.
#include "conformance/command.hpp"
#include "conformance/generated_input.hpp"
#include "tools/local_ranks.hpp"
#include "tools/working_directory.hpp"

#include <atomic>
#include <csignal>
#include <filesystem>
#include <map>
#include <set>

#include <doctest/doctest.h>
#include <sys/resource.h>

namespace {

using namespace attn;
using namespace attn::testing;
namespace fs = std::filesystem;

class RingPlace : public WorkingDirectory {
 public:
  RingPlace() {
    write("q.npy", {2, 4, 130, 24});
    write("k.npy", {2, 2, 1031, 24});
    write("v.npy", {2, 2, 1031, 17});
    write("x.npy", {203, 24});
  }
  static void write(const std::string& name, const Shape& shape, const std::string& dtype = "float32") {
    write_input(name, {.dtype = dtype, .shape = shape, .seed = 5, .amplitude = 2});
  }
};

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> found;
  for (const auto& entry : fs::directory_iterator(folder)) found.insert(entry.path().filename().string());
  return found;
}

/// The bytes of all files below `folder`.
std::map<std::string, std::string> files_in(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const std::string& name : names_in(folder)) files[name] = read_file(folder / name);
  return files;
}

/// Runs `arguments` on ranks, whose outputs go to `folder` (which is "@" in them); the warnings of rank 0.
std::vector<std::string> run_on(int ranks, const Words& arguments, const std::string& folder) {
  fs::create_directory(folder);
  Words own = arguments;
  for (std::string& word : own)
    if (word.starts_with("@")) word.replace(0, 1, folder);
  if (ranks == 0) return run_inside(own);
  std::vector<std::string> warnings;
  const auto thrown = run_ranks(ranks, [&](Transport& transport) {
    const std::vector<std::string> said = run_inside(own, &transport);
    if (transport.rank() == 0) warnings = said;
  });
  for (const std::exception_ptr& one : thrown)
    if (one) std::rethrow_exception(one);
  return warnings;
}

void check_same(const Words& arguments) {
  INFO(shell_text(arguments));
  fs::remove_all("alone");
  const std::vector<std::string> warnings = run_on(0, arguments, "alone");
  for (const int ranks : {2, 3, 5}) {
    fs::remove_all("shared");
    CHECK(run_on(ranks, arguments, "shared") == warnings);
    CHECK(files_in("shared") == files_in("alone"));
  }
}

/// The status that all ranks end with, when each has its own arguments; the message of rank 0.
Status failed(const std::vector<Words>& arguments, std::string& message) {
  const auto thrown = run_ranks(static_cast<int>(arguments.size()), [&](Transport& transport) {
    (void)run_inside(arguments[static_cast<std::size_t>(transport.rank())], &transport);
  });
  std::set<Status> all;
  for (std::size_t rank = 0; rank < thrown.size(); ++rank) {
    REQUIRE(thrown[rank] != nullptr);
    try {
      std::rethrow_exception(thrown[rank]);
    } catch (const Error& error) {
      all.insert(error.status());
      if (rank == 0) message = error.what();
    }
  }
  REQUIRE(all.size() == 1);
  return *all.begin();
}

}  // namespace

TEST_CASE("outputs in every format are those of one process") {
  const RingPlace place;
  const Words qkv{"-q", "q.npy", "-k", "k.npy", "-v", "v.npy"};
  check_same(joined(qkv, {"-o", "@/y.npy", "--lse", "@/l.npy"}));
  check_same(joined(qkv, {"-o", "@/y.npz", "--lse", "@/l.npy", "--causal", "--query-offset", "end"}));
  check_same(joined(qkv, {"-o", "@/y.safetensors:y", "--lse", "@/y.safetensors:l", "--key-lengths", "7,1031"}));
  check_same({"x.npy", "-o", "@/y.csv", "--lse", "@/l.csv", "--weights", "@/w.csv", "--window", "20:3"});
  check_same({"x.npy", "--heads", "3", "-o", "@/y.npy", "--residual", "--alibi", "--causal", "--dtype", "f64"});
}

TEST_CASE("pairs go to their places, rows without a key too, and are announced once") {
  const RingPlace place;
  const Words qkv{"-q", "q.npy", "-k", "k.npy", "-v", "v.npy", "--key-lengths", "0,500", "--empty-rows", "nan"};
  check_same(joined(qkv, {"-o", "@/y.npy", "--weights", "@/w.npy", "--scores", "@/s.npy", "--scores-stage", "masked"}));
  check_same(joined(qkv, {"-o", "none", "--weights", "@/w.npy", "--normalize", "double-softmax", "--lse", "@/l.npy"}));
}

TEST_CASE("statistics of rows and strongest keys are gathered from all ranks") {
  const RingPlace place;
  check_same({"-q", "q.npy", "-k", "k.npy", "-v", "v.npy", "--stats-out", "@/s.csv", "--topk-out", "@/t.csv", "--topk-number",
              "7", "-o", "@/y.npy"});
  check_same({"x.npy", "--stats-out", "@/s.csv", "--stats-per", "head", "--causal", "-o", "none"});
  check_same({"x.npy", "--topk-out", "@/t.ndjson", "--topk-form", "ndjson", "--topk-mass", "0.9", "-o", "none"});
}

TEST_CASE("columns, patterns and pictures are those of one process") {
  const RingPlace place;
  const Words qkv{"-q", "q.npy", "-k", "k.npy", "-v", "v.npy", "-o", "none"};
  const Words columns{"--stats-out", "@/s.csv", "--stats-per", "column"};
  check_same(joined(joined(qkv, columns), {"--topk-out", "@/t.csv", "--topk-by", "column", "--topk-number", "3"}));
  check_same(
      joined(joined(qkv, columns), {"--causal", "--query-offset", "end", "--key-lengths", "0,500", "--weights", "@/w.npy"}));
  check_same(joined(joined(qkv, columns), {"--normalize", "double-softmax", "--score", "cosine", "--scores", "@/r.npy"}));
  check_same(joined({"x.npy", "-o", "@/y.npy", "--normalize", "none", "--window", "9:4", "--dtype", "f64"}, columns));
  check_same(joined(qkv, {"--stats-out", "@/s.csv", "--stats-per", "pattern", "--query-offset", "700"}));
  check_same({"x.npy", "-o", "none", "--plot-out", "@/p.html", "--causal"});
  check_same(joined(qkv, {"--plot-out", "@/p.txt", "--plot-size", "60", "--normalize", "none", "--plot-pool", "max"}));
}

TEST_CASE("rows of mapped files, and of masks in them, are read as they pass") {
  const RingPlace place;
  RingPlace::write("q.npy", {1, 4, 650, 128});
  RingPlace::write("k.npy", {1, 2, 1100, 128});
  RingPlace::write("v.npy", {1, 2, 1100, 120});
  RingPlace::write("b.npy", {650, 1100});
  RingPlace::write("x.npy", {2100, 256}, "float16");
  const Words qkv{"-q", "q.npy", "-k", "k.npy", "-v", "v.npy", "-o", "@/y.npy", "--lse", "@/l.npy"};
  check_same(joined(qkv, {"--bias", "b.npy", "--stats-out", "@/s.csv", "--stats-per", "column"}));
  check_same(joined(qkv, {"--mask", "b.npy", "--mask-type", "add", "--score", "cosine", "--empty-rows", "nan"}));
  check_same({"x.npy", "--heads", "4", "-o", "@/y.npy", "--residual", "--window", "200:0"});
}

TEST_CASE("fewer rows than ranks, and none at all") {
  const RingPlace place;
  RingPlace::write("one.npy", {1, 5});
  RingPlace::write("none.npy", {0, 5});
  check_same({"one.npy", "-o", "@/y.npy", "--lse", "@/l.npy"});
  check_same({"none.npy", "-o", "@/y.npy"});
  check_same({"-q", "one.npy", "-k", "none.npy", "-o", "@/y.npy"});
}

TEST_CASE("what fails on one rank fails on all, is said by rank 0, and leaves nothing") {
  const RingPlace place;
  const Words good{"x.npy", "-o", "y.npy"};
  std::string message;
  const auto before = names_in(".");
  CHECK(failed({good, good, {"gone.npy", "-o", "y.npy"}}, message) == Status::io);
  CHECK(message == "rank 2: gone.npy: there is no such file");
  CHECK(failed({{"gone.npy", "-o", "y.npy"}, {"gone.npy", "-o", "y.npy"}}, message) == Status::io);
  CHECK(message == "gone.npy: there is no such file");
  CHECK(failed({good, {"q.npy", "-o", "y.npy"}}, message) == Status::data);
  CHECK(message == "rank 1: sees other inputs than rank 0, or is another version of attn");
  CHECK(failed({{"x.npy", "-o", "no/y.npy"}, {"x.npy", "-o", "no/y.npy"}}, message) == Status::io);
  const Words empty{"x.npy", "-o", "y.npy", "--key-lengths", "0", "--empty-rows", "error"};
  CHECK(failed({empty, empty, empty}, message) == Status::data);
  CHECK(message.find("203 of 203 queries have no key left; the first is query 0") != std::string::npos);
  CHECK(failed({{"x.npy", "-o", "y.npy", "--max-memory", "1K"}, {"x.npy", "-o", "y.npy", "--max-memory", "1K"}}, message) ==
        Status::memory);
  // As on a disk that is full.
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  (void)::getrlimit(RLIMIT_FSIZE, &old);
  const rlimit limit{.rlim_cur = 4096, .rlim_max = old.rlim_max};
  (void)::setrlimit(RLIMIT_FSIZE, &limit);
  CHECK(failed({good, good, good}, message) == Status::io);
  (void)::setrlimit(RLIMIT_FSIZE, &old);
  (void)std::signal(SIGXFSZ, handler);
  CHECK(message.starts_with("y.npy: no room for"));
  CHECK(names_in(".") == before);
}

TEST_CASE("a rank that is to stop stops all") {
  const RingPlace place;
  const auto before = names_in(".");
  const std::atomic<bool> yes = true;
  const auto thrown = run_ranks(3, [&](Transport& transport) {
    (void)run_inside({"x.npy", "-o", "y.npy"}, &transport, transport.rank() == 1 ? &yes : nullptr);
  });
  for (const std::exception_ptr& one : thrown) {
    REQUIRE(one != nullptr);
    try {
      std::rethrow_exception(one);
    } catch (const Error& error) {
      CHECK(error.status() == Status::interrupted);
    }
  }
  CHECK(names_in(".") == before);
}

TEST_CASE("what cannot be shared is refused by its name") {
  const RingPlace place;
  std::string message;
  const auto refused = [&](const Words& more) {
    const Words words = joined({"x.npy", "-o", "y.npy"}, more);
    return failed({words, words}, message) == Status::usage &&
           message.find("cannot be shared by several ranks") != std::string::npos;
  };
  CHECK(refused({"--engine", "reference"}));
  CHECK(refused({"--combine", "rows"}));
  CHECK(refused({"--present-key", "p.npy"}));
  CHECK(refused({"--mask", "-"}));
}

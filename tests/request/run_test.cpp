// Runs from files to files inside the test: the report, the plan, memory, names, layouts of outputs.
#include "request/run.hpp"

#include "conformance/command.hpp"
#include "conformance/generated_input.hpp"
#include "tools/errors.hpp"
#include "tools/working_directory.hpp"

#include <filesystem>
#include <optional>
#include <set>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

namespace {

using namespace attn;
using namespace attn::testing;
using Json = nlohmann::json;
namespace fs = std::filesystem;

/// A working directory with q, k and v of a shape.
class Place : public WorkingDirectory {
 public:
  void write(const std::string& name, const Shape& shape, const std::string& dtype = "float32") const {
    write_input(name, {.dtype = dtype, .shape = shape, .seed = 5, .amplitude = 2});
  }
  [[nodiscard]] std::set<std::string> names() const {
    std::set<std::string> found;
    for (const auto& entry : fs::directory_iterator(".")) found.insert(entry.path().filename().string());
    return found;
  }
};

std::optional<Status> refused(const Words& arguments) {
  return status_of([&] { (void)run_inside(arguments); });
}

}  // namespace

TEST_CASE("the report holds what the contract names") {
  const Place place;
  place.write("q.npy", {2, 4, 6});
  place.write("k.npy", {2, 5, 6}, "float16");
  (void)run_inside({"-q", "q.npy", "-k", "k.npy", "--heads", "2", "--causal", "--query-offset", "end", "-o", "y.npy", "--weights",
                    "w.npz:w", "--report", "r.json", "--threads", "2", "--temperature", "0.5"});
  const Json report = Json::parse(read_file("r.json"));
  for (const char* key : {"options", "inputs", "outputs", "seconds", "peak_bytes", "threads", "isa", "version"}) {
    INFO(key);
    CHECK(report.contains(key));
  }
  for (const char* key : {"read", "attend", "write", "total"}) CHECK(report["seconds"][key].get<double>() >= 0);
  CHECK(report["seconds"]["total"].get<double>() >= report["seconds"]["attend"].get<double>());
  CHECK(report["peak_bytes"].get<double>() > 100000);
  CHECK_EQ(report["threads"], 2);
  CHECK_FALSE(report["isa"].get<std::string>().empty());
  const Json& options = report["options"];
  CHECK_EQ(options["dtype"], "f32");
  CHECK_EQ(options["engine"], "tiled");
  CHECK_EQ(options["causal"], true);
  CHECK_EQ(options["alibi"], false);
  CHECK_EQ(options["query-offset"], "end");
  CHECK(options["scale"].get<double>() == doctest::Approx(1 / std::sqrt(3.0)));
  CHECK_EQ(options["temperature"], 0.5);
  CHECK_EQ(options["heads"], 2);
  CHECK(options["mask"].is_null());
  REQUIRE_EQ(report["inputs"].size(), 3);
  CHECK_EQ(report["inputs"][1]["file"], "k.npy");
  CHECK_EQ(report["inputs"][1]["shape"], Json({2, 5, 6}));
  CHECK_EQ(report["inputs"][1]["dtype"], "float16");
  REQUIRE_EQ(report["outputs"].size(), 2);
  CHECK_EQ(report["outputs"][0]["shape"], Json({2, 4, 6}));
  CHECK_EQ(report["outputs"][1]["file"], "w.npz:w");
  CHECK_EQ(report["outputs"][1]["shape"], Json({2, 2, 4, 5}));
  CHECK_EQ(report["outputs"][1]["dtype"], "float32");
}

TEST_CASE("a dry run prints the plan and leaves nothing behind") {
  const Place place;
  place.write("q.npy", {4, 6});
  request::RunRequest request;
  request.input = "q.npy";
  request.weights = "w.npy";
  request.report = "r.json";
  request.dry_run = true;
  std::string text;
  Listener listener;
  request::run(
      request,
      {.reporter = listener, .print = [&](std::string_view piece) { text += piece; }, .progress = {}, .cancelled = nullptr});
  for (const char* part : {"q_len 4", "head_dim 6", "w.npy [4, 4] float32, 64 bytes", "query q.npy [4, 6] float32",
                           "visible pairs: 16", "flops: 384", "expected seconds: ", "bytes: "}) {
    INFO(part);
    CHECK(text.find(part) != std::string::npos);
  }
  CHECK_EQ(place.names(), std::set<std::string>{"q.npy"});
}

TEST_CASE("too much memory is refused before anything is written") {
  const Place place;
  place.write("q.npy", {40, 8});
  CHECK(refused({"q.npy", "-o", "y.npy", "--max-memory", "1K"}) == Status::memory);
  CHECK_EQ(place.names(), std::set<std::string>{"q.npy"});
  CHECK_FALSE(refused({"q.npy", "-o", "y.npy", "--max-memory", "100M"}));
  // What was planned covers what is written.
  CHECK(refused({"q.npy", "-o", "none", "--weights", "w.npy", "--max-memory", "6000"}) == Status::memory);
}

TEST_CASE("outputs have the query's layout, and pairs lack the axes that it lacks") {
  const Place place;
  struct Layout {
    Shape query, key, value;
    Words heads;
    Shape output, weights, rows, lse;
  };
  const std::vector<Layout> layouts{
      {{4, 6}, {5, 6}, {5, 3}, {}, {4, 3}, {4, 5}, {4, 5, 3}, {4}},
      {{6}, {5, 6}, {5, 3}, {}, {1, 3}, {1, 5}, {1, 5, 3}, {1}},
      {{4, 6}, {5, 3}, {5, 4}, {"--heads", "2", "--kv-heads", "1"}, {4, 8}, {2, 4, 5}, {2, 4, 5, 4}, {2, 4}},
      {{3, 4, 6}, {3, 5, 6}, {3, 5, 2}, {}, {3, 4, 2}, {3, 4, 5}, {3, 4, 5, 2}, {3, 4}},
      {{3, 4, 6}, {3, 5, 6}, {3, 5, 2}, {"--heads", "2"}, {3, 4, 2}, {3, 2, 4, 5}, {3, 2, 4, 5, 1}, {3, 2, 4}},
      {{1, 4, 4, 6}, {1, 2, 5, 6}, {1, 2, 5, 2}, {}, {1, 4, 4, 2}, {1, 4, 4, 5}, {1, 4, 4, 5, 2}, {1, 4, 4}}};
  for (const Layout& l : layouts) {
    INFO(to_string(l.query));
    place.write("q.npy", l.query);
    place.write("k.npy", l.key);
    place.write("v.npy", l.value);
    const Words inputs = joined({"-q", "q.npy", "-k", "k.npy", "-v", "v.npy"}, l.heads);
    for (const std::string engine : {"reference", "tiled"}) {
      (void)run_inside(joined(inputs, {"--engine", engine, "-o", "y.npy", "--weights", "w.npy", "--scores", "s.npy", "--lse",
                                       "l.npy", "--present-key", "pk.npy"}));
      CHECK_EQ(read_result("y.npy").shape(), l.output);
      CHECK_EQ(read_result("w.npy").shape(), l.weights);
      CHECK_EQ(read_result("s.npy").shape(), l.weights);
      CHECK_EQ(read_result("l.npy").shape(), l.lse);
      CHECK_EQ(read_result("pk.npy").shape().size(), 4);
      (void)run_inside(joined(inputs, {"--engine", engine, "--combine", "rows", "-o", "y.npy"}));
      CHECK_EQ(read_result("y.npy").shape(), l.rows);
    }
  }
}

TEST_CASE("what is computed and written is float64 when an input file holds it") {
  const Place place;
  place.write("f.npy", {4, 6});
  place.write("d.npy", {4, 6}, "float64");
  place.write("i.npy", {4, 6}, "int32");
  const auto type_of = [&](const Words& words) {
    (void)run_inside(joined(words, {"-o", "y.npy"}));
    return read_result("y.npy").dtype();
  };
  CHECK(type_of({"f.npy"}) == DType::f32);
  CHECK(type_of({"i.npy"}) == DType::f32);
  CHECK(type_of({"d.npy"}) == DType::f64);
  CHECK(type_of({"-q", "f.npy", "-k", "d.npy"}) == DType::f64);
  CHECK(type_of({"d.npy", "--dtype", "f32"}) == DType::f32);
  CHECK(type_of({"f.npy", "--dtype", "f64"}) == DType::f64);
  CHECK(type_of({"f.npy", "--engine", "reference"}) == DType::f32);
}

TEST_CASE("a failed run leaves no file behind, and an existing one as it was") {
  const Place place;
  place.write("q.npy", {4, 6});
  write_file("y.npy", "old");
  CHECK(refused({"q.npy", "-o", "y.npy", "--weights", "w.npy", "--causal", "--query-offset", "-1", "--empty-rows", "error"}) ==
        Status::data);
  CHECK_EQ(read_file("y.npy"), "old");
  CHECK(refused({"q.npy", "-o", "y.npy", "--lse", "no/such/folder.npy"}) == Status::io);
  CHECK(refused({"q.npy", "-o", "q.npy"}) == Status::usage);
  CHECK_EQ(place.names(), std::set<std::string>{"q.npy", "y.npy"});
  CHECK_EQ(read_file("y.npy"), "old");
}

TEST_CASE("a cancelled run ends as interrupted and leaves nothing behind") {
  const Place place;
  place.write("q.npy", {600, 16});
  for (const auto engine : {request::EngineChoice::tiled, request::EngineChoice::reference}) {
    request::RunRequest request;
    request.input = "q.npy";
    request.output = "y.npy";
    request.engine = engine;
    const std::atomic<bool> cancelled = true;
    Listener listener;
    const auto run = [&] { request::run(request, {.reporter = listener, .print = {}, .progress = {}, .cancelled = &cancelled}); };
    CHECK(status_of(run) == Status::interrupted);
    CHECK_EQ(place.names(), std::set<std::string>{"q.npy"});
  }
}

TEST_CASE("empty sizes give empty arrays") {
  const Place place;
  place.write("none.npy", {0, 6});
  place.write("q.npy", {4, 6});
  for (const std::string engine : {"reference", "tiled"}) {
    (void)run_inside({"-q", "none.npy", "-k", "q.npy", "-o", "y.npy", "--weights", "w.npy", "--engine", engine});
    CHECK_EQ(read_result("y.npy").shape(), Shape{0, 6});
    CHECK_EQ(read_result("w.npy").shape(), Shape{0, 4});
    const auto warnings = run_inside({"-q", "q.npy", "-k", "none.npy", "-o", "y.npy", "--lse", "l.npy", "--engine", engine});
    CHECK_EQ(read_result("y.npy").shape(), Shape{4, 6});
    CHECK_EQ(read_result("y.npy").at_flat(5), 0);
    CHECK_EQ(read_result("l.npy").at_flat(3), -std::numeric_limits<double>::infinity());
    REQUIRE_EQ(warnings.size(), 1);
    CHECK(warnings[0].find("4 of 4 queries have no key left") == 0);
  }
}

// Sweeps from specification to ledger: what is run, what is not run again, what fails, and that results are those of single runs.
#include "sweep/sweep.hpp"

#include "request/layer.hpp"
#include "request/run.hpp"
#include "sweep/place.hpp"
#include "sweep/worker.hpp"

#include <cmath>

#include <doctest/doctest.h>

namespace {

using namespace attn;
using namespace attn::sweep;
using namespace attn::testing;

constexpr const char* kSpec = R"([run]
query = "q.npy"
key = "k.npy"
[grid]
score = ["dot", "scaled", "cosine"]
temperature = [0.5, 1, 2]
[[case]]
causal = true
query-offset = "end"
[keep]
output = "{id}.npy"
weights = "w/{id}.npy"
metrics = ["entropy", "max"]
)";

void write_inputs() {
  SweepPlace::write("q.npy", 7, 5, 1);
  SweepPlace::write("k.npy", 11, 5, 2);
}

}  // namespace

TEST_CASE("outputs are the bytes of single runs, for any number of jobs") {
  SweepPlace place;
  write_inputs();
  SweepRequest request;
  CHECK(place.run(kSpec, request).progress.done == 10);
  request.folder = "three";
  request.jobs = 3;
  CHECK(place.run(kSpec, request).progress.done == 10);
  const auto outputs = outputs_in("out");
  CHECK(outputs.size() == 20);
  CHECK(outputs == outputs_in("three"));
  for (const auto& [id, record] : read_ledgers("out")) {
    request::RunRequest single;
    single.query = "q.npy";
    single.key = "k.npy";
    single.attention.temperature = record["options"]["temperature"];
    request::read_value("score", record["options"]["score"].get<std::string>(), single.attention.score);
    single.attention.causal = record["options"]["causal"];
    if (single.attention.causal) single.query_offset = "end";
    single.output = "single.npy";
    single.weights = "weights.npy";
    request::run(single, {.reporter = place.listener, .print = [](std::string_view) {}, .progress = {}});
    CHECK(outputs.at(id + ".npy") == read_file("single.npy"));
    CHECK(outputs.at("w/" + id + ".npy") == read_file("weights.npy"));
    CHECK(record["outputs"].size() == 2);
    CHECK(record["outputs"][0]["sha256"] == sha256(read_file("single.npy")));
    // Means from the weights themselves, in plain float64.
    const Array weights = read_array({"weights.npy", {}}, {}, place.listener).array;
    double entropy = 0;
    double largest = 0;
    for (std::size_t i = 0; i < 7; ++i) {
      double top = 0;
      for (std::size_t j = 0; j < 11; ++j) {
        const double w = weights.at_flat(i * 11 + j);
        entropy -= w > 0 ? w * std::log(w) / 7 : 0;
        top = std::max(top, w);
      }
      largest += top / 7;
    }
    CHECK(std::abs(record["metrics"]["entropy"].get<double>() - entropy) <= 1e-5);
    CHECK(std::abs(record["metrics"]["max"].get<double>() - largest) <= 1e-6);
  }
}

TEST_CASE("a second call runs what is missing: a lost output, a lost line, a changed input") {
  SweepPlace place;
  write_inputs();
  CHECK(place.run(kSpec).progress.done == 10);
  Outcome again = place.run(kSpec);
  CHECK(again.progress.done == 0);
  CHECK(again.skipped == 10);
  const auto before = outputs_in("out");
  std::filesystem::remove("out/" + before.begin()->first);
  CHECK(place.run(kSpec).progress.done == 1);
  CHECK(lines_of("out/runs.jsonl") == 10);
  const std::string ledger = read_file("out/runs.jsonl");
  write_file("out/runs.jsonl", ledger.substr(0, ledger.size() - 20));
  CHECK(place.run(kSpec).progress.done == 1);
  CHECK(read_ledgers("out").size() == 10);
  CHECK(outputs_in("out") == before);
  SweepPlace::write("k.npy", 11, 5, 3);
  CHECK(place.run(kSpec).progress.done == 10);
  CHECK(read_ledgers("out").size() == 20);
}

TEST_CASE("runs fail by themselves: a missing file, a broken one, too little memory") {
  SweepPlace place;
  write_inputs();
  write_file("broken.npy", "\x93NUMPY\x01");
  const std::string spec =
      "[run]\nkey = \"k.npy\"\n[grid]\nquery = [\"q.npy\", \"none.npy\", \"broken.npy\"]\n[[case]]\nquery = "
      "\"q.npy\"\nmax-memory = "
      "\"1K\"\n[keep]\noutput = \"{id}.npy\"\n";
  Outcome outcome = place.run(spec);
  CHECK(outcome.progress.done == 4);
  CHECK(outcome.progress.failed == 3);
  std::map<std::size_t, Json> by_number;
  for (const auto& [id, record] : read_ledgers("out")) by_number[record["number"]] = record;
  CHECK(by_number[0]["status"] == "ok");
  CHECK(by_number[1]["exit"] == 4);
  CHECK(by_number[1]["error"].get<std::string>().find("none.npy") != std::string::npos);
  CHECK(by_number[2]["exit"] == 3);
  CHECK(by_number[3]["exit"] == 5);
  CHECK(by_number[3]["error"].get<std::string>().find("--max-memory") != std::string::npos);
  CHECK(outputs_in("out").size() == 1);
  outcome = place.run(spec);
  CHECK(outcome.progress.done == 0);
  CHECK(outcome.failed_before == 3);
  // The file that was missing is another run when it is there: its identity is what is in it.
  SweepPlace::write("none.npy", 7, 5, 9);
  outcome = place.run(spec);
  CHECK(outcome.progress.done == 1);
  CHECK(outcome.progress.failed == 0);
  SweepRequest retry;
  retry.retry_failed = true;
  outcome = place.run(spec, retry);
  CHECK(outcome.progress.done == 2);
  CHECK(outcome.progress.failed == 2);
  CHECK(lines_of("out/runs.jsonl") == 5);
}

TEST_CASE("an output that cannot be written is a failure of its run") {
  SweepPlace place;
  write_inputs();
  std::filesystem::create_directories("out/lse-5");
  const Outcome outcome = place.run(
      "[run]\nquery = \"q.npy\"\nkey = \"k.npy\"\n[grid]\nheads = [1, 5]\n[keep]\noutput = \"{id}.npy\"\nlse = "
      "\"lse-{heads}\"\n");
  CHECK(outcome.progress.done == 2);
  CHECK(outcome.progress.failed == 1);
  CHECK(outputs_in("out").size() == 2);
}

TEST_CASE("outputs are compared with a file, or with the case that is the baseline") {
  SweepPlace place;
  write_inputs();
  const std::string head = "[run]\nquery = \"q.npy\"\nkey = \"k.npy\"\n[grid]\ntemperature = [1, 2]\n";
  CHECK(place
            .run(head +
                 "[[case]]\nengine = \"reference\"\nbaseline = true\n[keep]\noutput = \"{id}.npy\"\n[compare]\natol = 1e-6\n")
            .progress.failed == 0);
  std::map<std::size_t, Json> records;
  for (const auto& [id, record] : read_ledgers("out")) records[record["number"]] = record;
  REQUIRE(records.size() == 3);
  CHECK_FALSE(records[2].contains("compare"));
  CHECK(records[0]["compare"]["agree"] == true);
  CHECK(records[0]["compare"]["same_argmax"] == 1.0);
  CHECK(records[1]["compare"]["agree"] == false);
  const std::string baseline = "out/" + records[2]["outputs"][0]["file"].get<std::string>();
  std::filesystem::copy_file(baseline, "expected.npy");
  SweepRequest request;
  request.folder = "file";
  request.compare = "expected.npy";
  CHECK(place.run(head, request).progress.failed == 0);
  for (const auto& [id, record] : read_ledgers("file")) {
    CHECK(record["compare"]["max_abs"] == records[record["number"]]["compare"]["max_abs"]);
    CHECK(record["outputs"].empty());
  }
  CHECK(outputs_in("file").empty());
  SweepPlace::write("other.npy", 3, 5, 1);
  request.folder = "other";
  request.compare = "other.npy";
  CHECK(place.run(head, request).progress.failed == 0);
  for (const auto& [id, record] : read_ledgers("other")) CHECK(record["compare"]["expected_shape"] == Json::array({3, 5}));
}

TEST_CASE("a dry run lists what would be run, and leaves nothing") {
  SweepPlace place;
  write_inputs();
  SweepRequest request;
  request.dry_run = true;
  (void)place.run(kSpec, request);
  CHECK_FALSE(std::filesystem::exists("out"));
  CHECK(place.printed.find("score=cosine temperature=0.5") != std::string::npos);
  CHECK(place.printed.find("10 runs to do, 0 done before, 0 failed before") != std::string::npos);
}

TEST_CASE("parts of a sweep put together are the whole, and a part does not run what another has done") {
  SweepPlace place;
  write_inputs();
  (void)place.run(kSpec);
  const auto whole = outputs_in("out");
  SweepRequest request;
  request.folder = "parts";
  std::size_t done = 0;
  for (const char* part : {"1/3", "2/3", "3/3"}) {
    request.shard = part;
    done += place.run(kSpec, request).progress.done;
  }
  CHECK(done == 10);
  CHECK(lines_of("parts/runs-0-of-3.jsonl") == 4);
  CHECK(lines_of("parts/runs-1-of-3.jsonl") == 3);
  CHECK(lines_of("parts/summary.csv") == 11);
  CHECK(outputs_in("parts") == whole);
  request.shard = "";
  CHECK(place.run(kSpec, request).progress.done == 0);
}

TEST_CASE("projections that runs have in common are computed once and give the bytes of single runs") {
  SweepPlace place;
  SweepPlace::write("x.npy", 9, 6, 4);
  for (const char* name : {"Wq", "Wk", "Wv", "Wo"})
    SweepPlace::write(std::string(name) + ".npy", 6, 6, static_cast<std::size_t>(name[1]));
  Outputs file;
  for (const char* name : {"Wq", "Wk", "Wv", "Wo"}) {
    const Array matrix = read_array({std::string(name) + ".npy", {}}, {}, place.listener).array;
    std::byte* memory = file.add({"p.npz", name}, name, matrix.dtype(), matrix.shape(), {});
    std::copy_n(matrix.data(), matrix.bytes(), memory);
  }
  file.commit();
  const std::string spec =
      "[run]\nX = \"x.npy\"\nparams = \"p.npz\"\n[grid]\nheads = [1, 2, 3]\ntemperature = [1, 3]\nengine = [\"tiled\", "
      "\"reference\"]\n"
      "[keep]\noutput = \"{heads}-{temperature}-{engine}.npy\"\n";
  SweepRequest request;
  request.jobs = 2;
  CHECK(place.run(spec, request).progress.failed == 0);
  for (const std::size_t heads : {1U, 2U, 3U})
    for (const int temperature : {1, 3})
      for (const char* engine : {"tiled", "reference"}) {
        request::RunRequest single;
        single.input = "x.npy";
        single.params = "p.npz";
        single.heads = heads;
        single.attention.temperature = temperature;
        request::read_value("engine", engine, single.engine);
        single.output = "single.npy";
        request::run(single, {.reporter = place.listener, .print = [](std::string_view) {}, .progress = {}});
        const std::string name = std::to_string(heads) + "-" + std::to_string(temperature) + "-" + engine + ".npy";
        CHECK(read_file("out/" + name) == read_file("single.npy"));
      }
}

TEST_CASE("layers in a sweep give the bytes of single runs, and fail by themselves") {
  SweepPlace place;
  const std::string folder = std::string(ATTN_TEST_DATA) + "/layer/bert/";
  const std::string spec = "[run]\ncommand = \"layer\"\nX = \"" + folder + "io.npz:x\"\nparams = \"" + folder +
                           "model.safetensors\"\n[grid]\nparams-prefix = [\"bert.encoder.layer.1\", \"bert.encoder.layer.9\"]\n"
                           "engine = [\"tiled\", \"reference\"]\ntemperature = [1, 2]\n[keep]\noutput = \"{id}.npy\"\n";
  SweepRequest request;
  request.jobs = 2;
  const Outcome outcome = place.run(spec, request);
  CHECK(outcome.progress.done == 8);
  CHECK(outcome.progress.failed == 4);
  for (const auto& [id, record] : read_ledgers("out")) {
    if (record["options"]["params-prefix"] == "bert.encoder.layer.9") {
      CHECK(record["status"] == "failed");
      CHECK(record["error"].get<std::string>().find("bert.encoder.layer.9") != std::string::npos);
      continue;
    }
    REQUIRE(record["status"] == "ok");
    request::LayerRequest single;
    single.run.input = folder + "io.npz:x";
    single.run.params = folder + "model.safetensors";
    single.run.params_prefix = "bert.encoder.layer.1";
    single.run.attention.temperature = record["options"]["temperature"];
    request::read_value("engine", record["options"]["engine"].get<std::string>(), single.run.engine);
    single.run.output = "single.npy";
    request::run_layers(single, {.reporter = place.listener, .print = [](std::string_view) {}, .progress = {}});
    CHECK(read_file("out/" + id + ".npy") == read_file("single.npy"));
    CHECK(record["resolved"].contains("isa"));
  }
}

TEST_CASE("a default that is given is the run that has it anyway, and the ledger says what was decided") {
  SweepPlace place;
  write_inputs();
  const std::string head = "[run]\nquery = \"q.npy\"\nkey = \"k.npy\"\n";
  CHECK(place.run(head + "[grid]\ntemperature = [1, 2]\n").progress.done == 2);
  const Outcome again = place.run(head + "score = \"scaled\"\nnormalize = \"softmax\"\n[grid]\ntemperature = [1.0, 2]\n");
  CHECK(again.progress.done == 0);
  CHECK(again.skipped == 2);
  for (const auto& [id, record] : read_ledgers("out")) {
    CHECK(record["options"]["score"] == "scaled");
    CHECK(record["options"]["engine"] == "auto");
    const Json& resolved = record["resolved"];
    CHECK(resolved["engine"] == "tiled");
    CHECK(resolved["dtype"] == "f32");
    CHECK(resolved["threads"].get<int>() >= 1);
    // 1/sqrt(5), as the queries have 5 features; the temperature is an option of its own.
    CHECK(std::abs(resolved["scale"].get<double>() - 1 / std::sqrt(5.0)) <= 1e-12);
    CHECK(resolved["isa"] != "none");
    CHECK_FALSE(resolved.contains("score"));
  }
}

TEST_CASE("a sweep that is cancelled says so and keeps what was done") {
  SweepPlace place;
  write_inputs();
  write_file("spec.toml", kSpec);
  const std::atomic<bool> cancelled = true;
  SweepRequest request;
  request.folder = "out";
  SweepContext context{.reporter = place.listener, .print = [](std::string_view) {}, .progress = [](const Progress&) {}};
  context.cancelled = &cancelled;
  bool is_interrupted = false;
  try {
    (void)attn::sweep::sweep([&] { return read_spec("spec.toml"); }, request, context);
  } catch (const Error& error) {
    is_interrupted = error.status() == Status::interrupted;
  }
  CHECK(is_interrupted);
  CHECK(outputs_in("out").empty());
  CHECK(place.run(kSpec).progress.done == 10);
}

TEST_CASE("other commands: statistics, strongest keys") {
  SweepPlace place;
  write_inputs();
  SweepRequest request;
  CHECK(place
            .run("[run]\ncommand = \"stats\"\nquery = \"q.npy\"\nkey = \"k.npy\"\n[grid]\nper = [\"row\", "
                 "\"head\"]\n[keep]\noutput = "
                 "\"{per}.csv\"\nmetrics = [\"entropy\"]\n",
                 request)
            .progress.failed == 0);
  CHECK(lines_of("out/row.csv") == 8);
  CHECK(lines_of("out/head.csv") == 2);
  for (const auto& [id, record] : read_ledgers("out")) {
    std::vector<std::string> cells;
    const std::string line = read_file("out/head.csv").substr(read_file("out/head.csv").find('\n') + 1);
    const double entropy = std::stod(line.substr(line.find(',', line.find(',') + 1) + 1));
    CHECK(std::abs(record["metrics"]["entropy"].get<double>() - entropy) <= 1e-6);
  }
  request.folder = "topk";
  CHECK(place
            .run("[run]\ncommand = \"topk\"\nquery = \"q.npy\"\nkey = \"k.npy\"\n[grid]\nnumber = [1, 3]\n[keep]\noutput = "
                 "\"{number}-{id}.csv\"\n",
                 request)
            .progress.failed == 0);
  CHECK(outputs_in("topk").size() == 2);
}

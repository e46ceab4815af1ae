// A bench counts what it should: pairs, flops and bytes against closed forms, and results that agree with themselves.
#include "request/bench.hpp"

#include "tools/listener.hpp"

#include <cmath>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

using namespace attn;
using namespace attn::request;
using attn::testing::Listener;

namespace {

using Json = nlohmann::ordered_json;

/// Options as on the command line.
BenchRequest request_of(const std::vector<std::string>& arguments) {
  BenchRequest request;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    bool known = false;
    for (const Row<BenchRequest>& row : bench_table()) {
      if ("--" + row.option.name != arguments[i]) continue;
      row.set(request, row.option.is_switch() ? "" : arguments.at(++i));
      known = true;
      break;
    }
    REQUIRE(known);
  }
  return request;
}

BenchResult result_of(std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), {"--repeat", "2", "--warmup", "0"});
  Listener listener;
  const auto results = bench(request_of(arguments), {.reporter = listener, .progress = {}, .cores = 2});
  REQUIRE(results.size() == 1);
  CHECK(listener.warnings.empty());
  return results.front();
}

Status status_of(const std::vector<std::string>& arguments, std::uint64_t memory = std::uint64_t{1} << 30U) {
  Listener listener;
  try {
    (void)bench(request_of(arguments), {.reporter = listener, .progress = {}, .cores = 1, .memory = memory});
  } catch (const Error& error) {
    CHECK(std::string(error.what()).size() > 10);
    return error.status();
  }
  return Status::ok;
}

}  // namespace

TEST_CASE("pairs, flops and bytes are those of the formulas") {
  const BenchResult full = result_of({"--shape", "2,6,7,11,5,3", "--kv-heads", "2"});
  CHECK(full.visible_pairs == 2 * 6 * 7 * 11);
  CHECK(full.flops == 2 * 2 * 6 * 7 * 11 * (5 + 3));
  CHECK(full.bytes == 4 * (2 * 6 * 7 * (5 + 3) + 2 * 2 * 11 * (5 + 3)));
  CHECK(full.runs == 2);

  const BenchResult causal = result_of({"--shape", "1,3,65,65,8", "--causal", "--dtype", "f64"});
  CHECK(causal.visible_pairs == 3 * 65 * 66 / 2);
  CHECK(causal.bytes == 8 * (2 * 3 * 65 * 16));

  // Ten queries at positions 90..99 that look back five keys: keys 85..99 are read, and no others.
  const BenchResult window = result_of({"--shape", "1,2,10,100,8", "--window", "5:0", "--query-offset", "end"});
  CHECK(window.visible_pairs == 2 * 10 * 6);
  CHECK(window.bytes == 4 * (2 * 10 * 16 + 2 * 15 * 16));

  const BenchResult nothing = result_of({"--shape", "1,2,10,10,8", "--causal", "--query-offset", "-100"});
  CHECK(nothing.flops == 0);
  CHECK(nothing.flops_per_second() == 0);
}

TEST_CASE("JSON has the promised keys first, and its numbers agree with each other") {
  for (const std::string dtype : {"f32", "f64"}) {
    for (const std::string engine : {"tiled", "reference"}) {
      for (const bool packed : {false, true}) {
        CAPTURE(dtype);
        CAPTURE(engine);
        CAPTURE(packed);
        std::vector<std::string> arguments{"--shape", "2,4,33,33,17,9", "--dtype", dtype,        "--engine",
                                           engine,    "--threads",      "2",       "--kv-heads", "2"};
        if (packed) arguments.emplace_back("--packed");
        const BenchResult result = result_of(arguments);
        const Json json = Json::parse(bench_json({result}, false));
        std::vector<std::string> keys;
        for (const auto& entry : json.items()) keys.push_back(entry.key());
        REQUIRE(keys.size() > 7);
        keys.resize(7);
        CHECK(keys == std::vector<std::string>{"seconds_min", "seconds_median", "gflops", "peak_gflops", "percent_of_peak",
                                               "threads", "isa"});
        const auto number = [&](const char* key) { return json.at(key).get<double>(); };
        CHECK(number("seconds_min") > 0);
        CHECK(number("seconds_median") >= number("seconds_min"));
        CHECK(number("gflops") * number("seconds_min") * 1e9 == doctest::Approx(number("flops")).epsilon(1e-12));
        CHECK(number("percent_of_peak") == doctest::Approx(100 * number("gflops") / number("peak_gflops")).epsilon(1e-12));
        CHECK(number("gigabytes_per_second") * number("seconds_min") * 1e9 == doctest::Approx(number("bytes")).epsilon(1e-12));
        CHECK(number("flops") == 2 * number("visible_pairs") * (17 + 9));
        CHECK(number("threads") == 2);
        CHECK((json.at("isa") == "none") == (engine == "reference"));
        CHECK(json.at("shape") == Json({2, 4, 33, 33, 17, 9}));
        CHECK(Json::parse(bench_json({result, result}, true)).size() == 2);
      }
    }
  }
}

TEST_CASE("the median of an even number of runs lies between the middle two, and CSV has as many cells as names") {
  const BenchResult result = result_of({"--shape", "1,2,16,16,8"});
  CHECK(result.seconds_median >= result.seconds_min);
  const std::string csv = bench_csv({result, result});
  const auto commas = [](std::string_view line) { return std::count(line.begin(), line.end(), ','); };
  const std::size_t end = csv.find('\n');
  const std::size_t next = csv.find('\n', end + 1);
  CHECK(commas(csv.substr(0, end)) == commas(csv.substr(end + 1, next - end - 1)));
  CHECK(commas(csv.substr(0, end)) > 20);
  CHECK(std::count(csv.begin(), csv.end(), '\n') == 3);
}

TEST_CASE("shapes without meaning are wrong usage") {
  for (const std::string shape :
       {"1,2", "1,2,3,4", "1,2,3,4,5,6,7", "1,2,3,4,x", "1,2,3,4,", ",1,2,3,4", "0,1,1,1,1", "1,0,1,1,1", "1,1,0,1,1",
        "1,1,1,0,1", "1,1,1,1,0", "1,1,1,1,1,0", "1,1,1,1,-1", "1,1,1,1,1.5", "99999999999999999999,1,1,1,1"}) {
    CAPTURE(shape);
    CHECK(status_of({"--shape", shape}) == Status::usage);
  }
  CHECK(status_of({"--shape", "1,1,4,4,4", "--repeat", "0"}) == Status::usage);
  CHECK(status_of({"--shape", "1,1,4,4,4", "--isa", "sse9"}) == Status::usage);
  CHECK(status_of({"--shape", "1,1,4,4,4", "--isa", "portable", "--engine", "reference"}) == Status::usage);
  CHECK(status_of({"--shape", "1,3,4,4,4", "--kv-heads", "2"}) == Status::usage);
  CHECK(status_of({"--shape", "1,1,4,5,4", "--causal"}) == Status::usage);
  CHECK(status_of({"--causal"}) == Status::usage);
}

TEST_CASE("more memory than there is or is allowed is refused before anything is made") {
  CHECK(status_of({"--shape", "1,1,1,100000000000,64"}) == Status::memory);
  CHECK(status_of({"--shape", "1000000000000000000,1000000000000000000,1000000000000,1,1"}) == Status::memory);
  CHECK(status_of({"--shape", "18446744073709551615,1,1,1,1", "--packed"}) == Status::memory);
  CHECK(status_of({"--shape", "1,8,2048,2048,64", "--max-memory", "20M"}) == Status::memory);
  CHECK(status_of({"--shape", "1,1,4,4,4", "--repeat", "1", "--max-memory", "20M"}) == Status::ok);
}

TEST_CASE("standard shapes that do not fit are left out and named") {
  Listener listener;
  const auto results = bench(request_of({"--repeat", "1", "--warmup", "0"}),
                             {.reporter = listener, .progress = {}, .cores = 1, .memory = 13 << 20U});
  CHECK(results.size() + listener.warnings.size() == 12);
  CHECK(results.size() >= 1);
  CHECK(listener.warnings.size() >= 8);
  for (const BenchResult& result : results) CHECK(result.peak_flops == results.front().peak_flops);
  CHECK(Json::parse(bench_json(results, true)).size() == results.size());
}

TEST_CASE("a bench can be interrupted") {
  Listener listener;
  const std::atomic<bool> cancelled = true;
  CHECK_THROWS_WITH_AS((void)bench(request_of({"--shape", "1,1,8,8,8"}),
                                   {.reporter = listener, .progress = {}, .cancelled = &cancelled, .cores = 1}),
                       "interrupted", Error);
}

// Ledgers: whole lines only, one writer at a time, parts put together.
#include "sweep/ledger.hpp"

#include "sweep/place.hpp"
#include "sweep/summary.hpp"

#include <atomic>
#include <csignal>
#include <thread>

#include <doctest/doctest.h>
#include <sys/resource.h>

namespace {

using namespace attn;
using namespace attn::sweep;
using attn::testing::read_file;
using attn::testing::SweepPlace;
using attn::testing::write_file;

Json record(const std::string& id, std::size_t number, const std::string& status = "ok") {
  return {{"id", id}, {"number", number}, {"status", status}, {"exit", status == "ok" ? 0 : 3}};
}

void no_wait() { FAIL("nobody else has this ledger"); }

}  // namespace

TEST_CASE("a part of a sweep may be counted from 0 or from 1") {
  CHECK(read_shard("0/3").index == 0);
  CHECK(read_shard("3/3").index == 0);
  CHECK(read_shard("1/3").index == 1);
  CHECK(read_shard("2/3").index == 2);
  CHECK(read_shard("1/1").file_name() == "runs.jsonl");
  CHECK(read_shard("5/4096").file_name() == "runs-5-of-4096.jsonl");
  for (const char* bad : {"", "3", "/", "1/", "/2", "4/3", "1/0", "-1/3", "a/b", "1/3/5", "1.5/3", " 1/3"})
    CHECK_THROWS_AS((void)read_shard(bad), Error);
  for (std::size_t run = 0; run < 20; ++run) {
    std::size_t owners = 0;
    for (std::size_t part = 1; part <= 3; ++part) owners += read_shard(std::to_string(part) + "/3").has(run) ? 1U : 0U;
    CHECK(owners == 1);
  }
}

TEST_CASE("half a line of a killed process is ignored, and the next line begins on its own") {
  const SweepPlace place;
  { Ledger(".", {}, no_wait).append(record("aa", 0)); }
  write_file("runs.jsonl", read_file("runs.jsonl") + R"({"id":"bb","number":1,"sta)");
  CHECK(read_ledgers(".").size() == 1);
  {
    Ledger ledger(".", {}, no_wait);
    ledger.append(record("bb", 1));
    ledger.flush();
  }
  const auto records = read_ledgers(".");
  CHECK(records.size() == 2);
  CHECK(records.at("bb")["status"] == "ok");
}

TEST_CASE("lines that are no records are ignored") {
  const SweepPlace place;
  write_file("runs.jsonl",
             "\n[]\n{}\n{\"id\":3,\"status\":\"ok\"}\n{\"id\":\"aa\"}\nnonsense\n\xff\xfe\n{\"id\":\"aa\",\"status\":\"ok\"}\n");
  CHECK(read_ledgers(".").size() == 1);
  CHECK(read_ledgers("nowhere").empty());
  CHECK_THROWS_AS(write_summary("nowhere"), Error);
}

TEST_CASE("of two parts that both had a run, the one where it went well counts") {
  const SweepPlace place;
  write_file("runs-0-of-2.jsonl", record("aa", 0).dump() + "\n" + record("bb", 1, "failed").dump() + "\n");
  write_file("runs-1-of-2.jsonl", record("aa", 0, "failed").dump() + "\n" + record("bb", 1).dump() + "\n");
  for (const auto& [id, line] : read_ledgers(".")) CHECK(line["status"] == "ok");
}

TEST_CASE("a second writer waits until the first has closed its ledger, also when that put a new file in its place") {
  const SweepPlace place;
  auto first = std::make_unique<Ledger>(".", Shard{}, no_wait);
  first->append(record("aa", 0, "failed"));
  std::atomic<bool> waits = false;
  std::thread second([&] {
    Ledger ledger(".", {}, [&] { waits = true; });
    ledger.append(record("bb", 1));
  });
  while (!waits) std::this_thread::yield();
  first->forget({"aa"});
  first->append(record("aa", 0));
  CHECK(read_ledgers(".").size() == 1);
  first.reset();
  second.join();
  const auto records = read_ledgers(".");
  CHECK(records.size() == 2);
  CHECK(records.at("aa")["status"] == "ok");
  CHECK(read_file("runs.jsonl").find("failed") == std::string::npos);
}

TEST_CASE("who waits for a ledger can give up") {
  const SweepPlace place;
  const Ledger first(".", {}, no_wait);
  CHECK_THROWS_AS(Ledger(".", {}, [] { throw Error(Status::interrupted, "interrupted"); }), Error);
}

TEST_CASE("a line that a full disk does not take is kept, leaves no half, and is written when there is room") {
  const SweepPlace place;
  Ledger ledger(".", {}, no_wait);
  ledger.append(record("aa", 0));
  const std::string before = read_file("runs.jsonl");
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit tight{.rlim_cur = before.size() + 10, .rlim_max = old.rlim_max};
  setrlimit(RLIMIT_FSIZE, &tight);
  ledger.append(record("bb", 1));
  const std::string during = read_file("runs.jsonl");
  bool is_refused = false;
  try {
    ledger.flush();
  } catch (const Error& error) {
    is_refused = error.status() == Status::io;
  }
  setrlimit(RLIMIT_FSIZE, &old);
  CHECK(during == before);
  CHECK(is_refused);
  ledger.append(record("cc", 2));
  CHECK_NOTHROW(ledger.flush());
  CHECK(read_ledgers(".").size() == 3);
  (void)std::signal(SIGXFSZ, handler);
}

TEST_CASE("the summary has the options that differ, in the order of runs, with text quoted as CSV wants it") {
  const auto line = [](const char* id, std::size_t number, const char* score, const Json& error) {
    Json r = record(id, number, error.is_null() ? "ok" : "failed");
    r["options"] = {{"score", score}, {"heads", 1}};
    r["seconds"] = 0.25;
    if (!error.is_null()) r["error"] = error;
    return r;
  };
  std::map<std::string, Json> records{{"aa", line("aa", 10, "dot", "a \"bad\", sad\nday")},
                                      {"bb", line("bb", 2, "cosine", nullptr)}};
  records["bb"]["metrics"] = {{"entropy", 1.5}};
  records["bb"]["outputs"] = Json::array({{{"file", "a.npy"}}, {{"file", "b.npy"}}});
  CHECK(summary_csv(records) ==
        "number,id,status,exit,score,entropy,seconds,outputs,error\n"
        "2,bb,ok,0,cosine,1.5,0.25,a.npy b.npy,\n"
        "10,aa,failed,3,dot,,0.25,,\"a \"\"bad\"\", sad\nday\"\n");
}

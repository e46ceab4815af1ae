// The walk over query blocks and the choice of a vector target.
#include "engine/engine.hpp"

#include <attn/error.hpp>

#include <atomic>
#include <mutex>
#include <set>
#include <string>
#include <tuple>

#include <doctest/doctest.h>

namespace attn::engine::test {

TEST_CASE("every query is walked once, on any number of threads") {
  for (const std::size_t threads : {0U, 1U, 2U, 3U, 8U}) {
    for (const std::size_t length : {0U, 1U, 15U, 16U, 17U, 100U}) {
      Dims dims;
      dims.batch = 2;
      dims.heads = 3;
      dims.q_len = length;
      Execution execution;
      execution.threads = threads;
      std::mutex mutex;
      std::set<std::tuple<std::size_t, std::size_t, std::size_t>> seen;
      std::atomic<int> reports = 0;
      double last = 0;
      execution.progress = [&](double fraction) {
        ++reports;
        const std::scoped_lock lock(mutex);
        last = std::max(last, fraction);
      };
      for_each_query_block(dims, 16, execution, [&](std::size_t b, std::size_t h, std::size_t first, std::size_t count) {
        const std::scoped_lock lock(mutex);
        CHECK(first % 16 == 0);
        for (std::size_t i = first; i < first + count; ++i) CHECK(seen.emplace(b, h, i).second);
      });
      CHECK(seen.size() == 2 * 3 * length);
      if (length > 0) CHECK(last == 1.0);
      CHECK(reports == static_cast<int>(6 * ((length + 15) / 16)));
    }
  }
}

TEST_CASE("the first exception ends the walk") {
  Dims dims;
  dims.batch = 1;
  dims.heads = 1;
  dims.q_len = 100000;
  for (const std::size_t threads : {1U, 3U}) {
    Execution execution;
    execution.threads = threads;
    std::atomic<int> calls = 0;
    const auto body = [&](std::size_t, std::size_t, std::size_t, std::size_t) {
      ++calls;
      throw Error(Status::data, "no good");
    };
    CHECK_THROWS_WITH_AS(for_each_query_block(dims, 1, execution, body), "no good", Error);
    CHECK(calls <= static_cast<int>(threads));
  }
}

TEST_CASE("a cancelled walk throws") {
  Dims dims;
  dims.batch = 1;
  dims.heads = 1;
  dims.q_len = 1000;
  std::atomic<bool> cancelled = false;
  Execution execution;
  execution.cancelled = &cancelled;
  std::atomic<int> calls = 0;
  try {
    for_each_query_block(dims, 1, execution, [&](auto...) { cancelled = ++calls == 10; });
    FAIL("was not interrupted");
  } catch (const Error& error) {
    CHECK(error.status() == Status::interrupted);
  }
  CHECK(calls == 10);
}

TEST_CASE("vector targets have names, and only those there are can be forced") {
  const auto names = available_isas();
  REQUIRE_FALSE(names.empty());
  CHECK(names.back() == "portable");
  CHECK(selected_isa("") == names.front());
  for (const auto& name : names) CHECK(selected_isa(name) == name);
  try {
    static_cast<void>(selected_isa("mmx"));
    FAIL("mmx was accepted");
  } catch (const Error& error) {
    CHECK(error.status() == Status::usage);
    for (const auto& name : names) CHECK(std::string(error.what()).find(name) != std::string::npos);
  }
}

}  // namespace attn::engine::test

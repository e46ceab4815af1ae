// How the work of an engine is cut and handed out, and the choice of a vector target.
#include "engine/blocks.hpp"
#include "engine/engine.hpp"
#include "kernels/kernels.hpp"
#include "tools/errors.hpp"

#include <attn/error.hpp>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <set>
#include <string>
#include <tuple>

#include <doctest/doctest.h>

namespace attn::engine::test {

TEST_CASE("every task is done once, on any number of threads") {
  for (const std::size_t threads : {0U, 1U, 2U, 3U, 8U}) {
    for (const std::size_t count : {0U, 1U, 2U, 7U, 100U}) {
      Execution execution;
      execution.threads = threads;
      std::mutex mutex;
      std::set<std::size_t> seen;
      int reports = 0;
      double last = 0;
      execution.progress = [&](double fraction) {
        const std::scoped_lock lock(mutex);
        ++reports;
        last = std::max(last, fraction);
      };
      for_each_task(count, execution, [&](std::size_t task) {
        const std::scoped_lock lock(mutex);
        CHECK(task < count);
        CHECK(seen.insert(task).second);
      });
      CHECK(seen.size() == count);
      if (count > 0) CHECK(last == 1.0);
      CHECK(reports == static_cast<int>(count));
    }
  }
}

TEST_CASE("blocks hold every query once, and short queries of several heads side by side") {
  for (const std::size_t q_len : {0U, 1U, 2U, 5U, 31U, 32U, 33U, 63U, 64U, 65U, 200U}) {
    for (const std::size_t group : {1U, 2U, 3U, 8U, 70U}) {
      CAPTURE(q_len);
      CAPTURE(group);
      const Dims dims{2, 3 * group, 3, q_len, 10, 4, 4};
      const Blocks blocks(dims);
      std::set<std::tuple<std::size_t, std::size_t, std::size_t>> seen;
      std::size_t count = 0;
      for (std::size_t b = 0; b < dims.batch; ++b) {
        for (std::size_t kv_head = 0; kv_head < dims.kv_heads; ++kv_head) {
          for (std::size_t i = 0; i < blocks.in_kv_head(); ++i, ++count) {
            const BlockPlace place = blocks.place(b, kv_head, i);
            CHECK(place.batch == b);
            CHECK(place.lanes() >= 1);
            CHECK(place.lanes() <= kernels::kLanes);
            for (std::size_t lane = 0; lane < place.lanes(); ++lane) {
              CHECK(dims.kv_head(place.head_of(lane)) == kv_head);
              CHECK(place.query_of(lane) < q_len);
              CHECK(seen.emplace(b, place.head_of(lane), place.query_of(lane)).second);
            }
          }
        }
      }
      CHECK(count == blocks.count());
      CHECK(seen.size() == dims.batch * dims.heads * q_len);
      // As few blocks as there can be when one query of each head is at hand.
      if (q_len == 1) CHECK(blocks.in_kv_head() == (group + kernels::kLanes - 1) / kernels::kLanes);
    }
  }
}

TEST_CASE("spans are whole tiles, and fewer keys where rows are wide") {
  std::size_t last = 1 << 20;
  for (const std::size_t dim : {1U, 16U, 64U, 128U, 256U, 512U, 4096U}) {
    const std::size_t length = span_length({1, 1, 1, 1, 1, dim, dim}, 4);
    CHECK(length % kernels::kKeys == 0);
    CHECK(length >= kernels::kKeys);
    CHECK(length <= last);
    last = length;
  }
}

TEST_CASE("the first exception ends the walk") {
  for (const std::size_t threads : {1U, 3U}) {
    Execution execution;
    execution.threads = threads;
    std::atomic<int> calls = 0;
    const auto body = [&](std::size_t) {
      ++calls;
      throw Error(Status::data, "no good");
    };
    CHECK_THROWS_WITH_AS(for_each_task(100000, execution, body), "no good", Error);
    CHECK(calls <= static_cast<int>(threads));
  }
}

TEST_CASE("a cancelled walk throws") {
  std::atomic<bool> cancelled = false;
  Execution execution;
  execution.cancelled = &cancelled;
  std::atomic<int> calls = 0;
  const auto walk = [&] { for_each_task(1000, execution, [&](std::size_t) { cancelled = ++calls == 10; }); };
  CHECK(testing::status_of(walk) == Status::interrupted);
  CHECK(calls == 10);
}

TEST_CASE("vector targets have names, and only those there are can be forced") {
  const auto names = available_isas();
  REQUIRE_FALSE(names.empty());
  CHECK(names.back() == "portable");
  CHECK(selected_isa("") == names.front());
  for (const auto& name : names) CHECK(selected_isa(name) == name);
  for (const auto& name : names) testing::check_refused([] { (void)selected_isa("mmx"); }, Status::usage, name);
}

}  // namespace attn::engine::test

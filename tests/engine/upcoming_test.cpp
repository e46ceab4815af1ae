// What is dealt out of the rows to come: all of them, once, in order, and nothing beyond.
#include "engine/upcoming.hpp"

#include <vector>

#include <doctest/doctest.h>

namespace attn::engine::test {

TEST_CASE("rows to come are dealt out in order, each once, as many as a product has room for") {
  const std::vector<float> queries(100 * 7);
  const std::vector<float> keys(5 * 64);
  for (const std::size_t count : {0U, 1U, 3U, 40U, 96U, 1000U}) {
    CAPTURE(count);
    Upcoming<float> upcoming;
    upcoming.start(true);
    CHECK(upcoming.is_span_warm());
    upcoming.add({queries.data(), 7, 100, 7});
    upcoming.add({nullptr, 1, 3, 1});  // nothing
    upcoming.add({keys.data(), 64, 0, 64});
    upcoming.add({keys.data(), 64, 5, 64});
    const float* expected = queries.data();
    std::size_t rows = 0;
    for (auto piece = upcoming.take(count, 64); piece.rows != nullptr; piece = upcoming.take(count, 64)) {
      if (rows == 100) expected = keys.data();
      REQUIRE(piece.rows == expected);
      REQUIRE(piece.count > 0);
      CHECK((piece.count == 1 || piece.count * piece.dim <= count * 64));
      expected += piece.count * piece.stride;
      rows += piece.count;
      REQUIRE(rows <= 105);
    }
    CHECK(rows == 105);
    CHECK(expected == keys.data() + keys.size());
    upcoming.start(false);
    CHECK(!upcoming.is_span_warm());
    CHECK(upcoming.take(96, 64).rows == nullptr);
  }
}

TEST_CASE("rows without features are dealt out too") {
  const double none = 0;
  Upcoming<double> upcoming;
  upcoming.start(false);
  upcoming.add({&none, 0, 3, 0});
  std::size_t rows = 0;
  for (auto piece = upcoming.take(1, 2); piece.rows != nullptr && rows < 10; piece = upcoming.take(1, 2)) rows += piece.count;
  CHECK(rows == 3);
}

}  // namespace attn::engine::test

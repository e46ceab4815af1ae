// Lists of the strongest pairs, and the names of heads.
#include "analysis/strongest.hpp"

#include "analysis/by_value_norm.hpp"
#include "analysis/patterns.hpp"
#include "tools/errors.hpp"

#include <attn/error.hpp>

#include <algorithm>
#include <random>
#include <vector>

#include <doctest/doctest.h>

using namespace attn;
using namespace attn::analysis;

TEST_CASE("a queue keeps what a stable sort puts first, ties in the order of their numbers") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (const std::size_t most : {1U, 2U, 7U, 64U, 300U}) {
    CAPTURE(most);
    KeyQueue queue;
    std::vector<KeyWeight> all;
    for (std::size_t key = 0; key < 1000; ++key) {
      const KeyWeight entry{key, static_cast<double>(random() % 97)};
      if (entry.weight != 0) all.push_back(entry);
      if (entry.weight > queue.threshold()) queue.add(entry, most);
    }
    std::ranges::stable_sort(all, [](const KeyWeight& a, const KeyWeight& b) { return a.weight > b.weight; });
    const std::vector<KeyWeight> kept = queue.take(most);
    REQUIRE_EQ(kept.size(), std::min(most, all.size()));
    for (std::size_t n = 0; n < kept.size(); ++n) {
      CHECK_EQ(kept[n].key, all[n].key);
      CHECK(kept[n].weight == all[n].weight);
    }
  }
}

TEST_CASE("a table that outgrows its bound is refused while it grows") {
  Strongest found(3, 2, 4);
  found.append(0, {0, 0.5});
  found.append(0, {1, 0.25});
  found.insert(1, {0, 0.5});
  found.insert(1, {1, 0.25});
  // A stronger pair takes the place of another and no memory.
  CHECK_NOTHROW(found.insert(1, {2, 0.75}));
  CHECK_EQ(found.entries(1)[0].key, 2);
  CHECK(testing::status_of([&] { found.append(2, {0, 0.5}); }) == Status::memory);  // a fifth pair
}

TEST_CASE("heads are called by their clearest pattern") {
  const auto name = [](const HeadPattern& head) { return head.name(); };
  CHECK_EQ(name({.previous = 0.6, .first = 0.2, .self = 0.1, .band = 0.8, .uniform = 0.4}), "previous");
  CHECK_EQ(name({.previous = 0.1, .first = 0.9, .self = 0.05, .band = 0.2, .uniform = 0.1}), "first");
  CHECK_EQ(name({.previous = 0.1, .first = 0.1, .self = 0.5, .band = 0.8, .uniform = 0.4}), "self");
  CHECK_EQ(name({.previous = 0.2, .first = 0.1, .self = 0.2, .band = 0.75, .uniform = 0.6}), "band");
  CHECK_EQ(name({.previous = 0.2, .first = 0.1, .self = 0.2, .band = 0.7, .uniform = 0.9}), "mixed");
  // Two keys, each with half: that is everything there is.
  CHECK_EQ(name({.previous = 0.5, .first = 0.5, .self = 0.5, .band = 1, .uniform = 1}), "uniform");
  CHECK_EQ(name({}), "mixed");
  const HeadPattern band{.previous = 0.2, .first = 0.1, .self = 0.2, .band = 0.75, .uniform = 0.6};
  CHECK(band.score() == 0.75);
}

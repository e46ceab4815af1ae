// Products of 8-bit integers: against plain integer sums, and the same bits on every vector target.
#include "kernels/int8.hpp"

#include "kernels/kernel_support.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include <doctest/doctest.h>

namespace attn::kernels::test {

namespace {

struct Int8Size {
  std::size_t keys;
  std::size_t lanes;
  std::size_t quads;
};

const Int8Size kInt8Sizes[] = {{1, 1, 1},   {5, 3, 2},   {6, 16, 3},   {7, 17, 1},  {11, 31, 5},
                               {12, 33, 7}, {95, 63, 2}, {96, 64, 16}, {9, 49, 33}, {10, 8, 128}};

/// Every way of every target of the processor; the first is the portable one.
std::vector<const Int8Kernels*> all_kernels() {
  std::vector<const Int8Kernels*> found;
  const auto tables = available<float>();
  for (std::size_t i = tables.size(); i-- > 0;) {
    found.push_back(&int8_kernels(tables[i]->isa, false));
    if (has_vnni()) found.push_back(&int8_kernels(tables[i]->isa, true));
  }
  return found;
}

/// Integers from all of the range, its ends more often than by chance.
std::int8_t any_int8(Random& random) {
  const std::size_t draw = random.below(8);
  if (draw == 0) return 127;
  if (draw == 1) return -127;
  return static_cast<std::int8_t>(static_cast<int>(random.below(255)) - 127);
}

template <class T>
struct Aligned {
  explicit Aligned(std::size_t bytes) : memory(bytes / kLanes / sizeof(float) + 1, 0.0F) {}
  [[nodiscard]] T* get() { return reinterpret_cast<T*>(memory.get()); }
  Lanes<float> memory;
};

}  // namespace

TEST_CASE("integer scores are exact sums times both scales") {
  for (const Int8Size& size : kInt8Sizes) {
    CAPTURE(size.keys);
    CAPTURE(size.lanes);
    CAPTURE(size.quads);
    Random random(size.keys * 100 + size.quads);
    const std::size_t dim = size.quads * kQuad;
    std::vector<std::int8_t> keys(size.keys * dim);
    std::vector<float> scale(size.keys);
    std::vector<std::int32_t> offset(size.keys, 0);
    for (std::size_t j = 0; j < size.keys; ++j) {
      scale[j] = static_cast<float>(random.uniform() + 0.01);
      for (std::size_t d = 0; d < dim; ++d) offset[j] -= 128 * (keys[j * dim + d] = any_int8(random));
    }
    Aligned<std::uint8_t> query(kLanes * dim);
    for (std::size_t n = 0; n < kLanes * dim; ++n) query.get()[n] = static_cast<std::uint8_t>(any_int8(random) + 128);
    Lanes<float> query_scale(1, 0.5F);
    query_scale.at(0, 0) = 0.25F;
    const Int8Rows rows{.data = keys.data(), .quads = size.quads, .scale = scale.data(), .offset = offset.data()};
    for (const Int8Kernels* kernels : all_kernels()) {
      Lanes<float> tile(size.keys);
      Lanes<float> top(1, 0.125F);
      kernels->score(rows, size.keys, query.get(), query_scale.get(), size.lanes, tile.get(), top.get());
      for (std::size_t i = 0; i < size.lanes; ++i) {
        float largest = 0.125F;
        for (std::size_t j = 0; j < size.keys; ++j) {
          std::int64_t sum = 0;
          for (std::size_t d = 0; d < dim; ++d)
            sum += (query.get()[(d / kQuad * kLanes + i) * kQuad + d % kQuad] - 128) * keys[j * dim + d];
          const float wanted = static_cast<float>(sum) * scale[j] * query_scale.at(0, i);
          CHECK(tile.at(j, i) == wanted);
          largest = std::max(largest, wanted);
        }
        CHECK(top.at(0, i) == largest);
      }
    }
  }
}

TEST_CASE("weights become integers with one unit for a lane, and weigh values in exact sums") {
  for (const Int8Size& size : kInt8Sizes) {
    for (std::size_t lead = 0; lead < kQuad; ++lead) {
      CAPTURE(size.keys);
      CAPTURE(size.lanes);
      CAPTURE(lead);
      Random random(size.keys * 10 + lead);
      const std::size_t dim = size.quads + 2;
      const std::size_t quads = (lead + size.keys + kQuad - 1) / kQuad;
      Lanes<float> weights(size.keys);
      std::vector<float> scale(size.keys);
      for (std::size_t j = 0; j < size.keys; ++j) {
        scale[j] = static_cast<float>(random.uniform() + 0.01);
        for (std::size_t i = 0; i < kLanes; ++i)
          weights.at(j, i) = random.below(4) == 0 ? 0.0F : static_cast<float>(random.uniform());
      }
      std::vector<std::int8_t> values(quads * dim * kQuad);
      for (std::int8_t& value : values) value = any_int8(random);
      Lanes<float> rescale(1, 0.75F);
      for (const Int8Kernels* kernels : all_kernels()) {
        Aligned<std::uint8_t> packed(quads * kLanes * kQuad);
        Lanes<float> unit(1);
        Lanes<float> output(dim, 3.0F);
        kernels->pack_weights(weights.get(), scale.data(), size.keys, lead, size.lanes, packed.get(), unit.get());
        kernels->add_values(packed.get(), values.data(), quads, dim, size.lanes, unit.get(), rescale.get(), output.get());
        for (std::size_t i = 0; i < size.lanes; ++i) {
          float largest = 0;
          for (std::size_t j = 0; j < size.keys; ++j) largest = std::max(largest, weights.at(j, i) * scale[j]);
          CHECK(unit.at(0, i) == largest / 255.0F);
          std::vector<std::int64_t> sums(dim, 0);
          for (std::size_t p = 0; p < quads * kQuad; ++p) {
            const int got = packed.get()[(p / kQuad * kLanes + i) * kQuad + p % kQuad];
            const bool is_row = p >= lead && p - lead < size.keys;
            const double exact = is_row && largest > 0
                                     ? static_cast<double>(weights.at(p - lead, i)) * static_cast<double>(scale[p - lead]) *
                                           255.0 / static_cast<double>(largest)
                                     : 0.0;
            CHECK(std::abs(got - exact) <= 0.5001);
            for (std::size_t f = 0; f < dim; ++f) sums[f] += got * values[(p / kQuad * dim + f) * kQuad + p % kQuad];
          }
          for (std::size_t f = 0; f < dim; ++f)
            CHECK(output.at(f, i) == std::fma(3.0F, 0.75F, static_cast<float>(sums[f]) * unit.at(0, i)));
        }
      }
    }
  }
}

namespace {

/// Keys, queries and what bounds their errors, all at random.
struct BoundCase {
  BoundCase(const Int8Size& size, Random& random)
      : dim(size.quads * kQuad),
        keys((size.keys + kGroupRoom) * dim + 64),
        scale(size.keys),
        offset(size.keys + kGroupRoom, 0),
        query(kLanes * dim),
        lost(size.keys / kGroup + 1),
        longest(lost.size()) {
    for (std::size_t j = 0; j < size.keys; ++j) {
      // Keys of a group share a scale.
      scale[j] = j % kGroup != 0 ? scale[j - 1] : static_cast<float>(random.uniform() / 50);
      for (std::size_t d = 0; d < dim; ++d) offset[j] -= 128 * (keys[j * dim + d] = any_int8(random));
    }
    for (std::size_t n = 0; n < kLanes * dim; ++n) query.get()[n] = static_cast<std::uint8_t>(any_int8(random) + 128);
    for (std::size_t i = 0; i < kLanes; ++i) {
      query_scale.at(0, i) = 0.015F;
      norm.at(0, i) = static_cast<float>(random.uniform());
      query_lost.at(0, i) = static_cast<float>(random.uniform() / 8);
    }
    for (std::size_t g = 0; g < lost.size(); ++g) {
      lost[g] = static_cast<float>(random.uniform() / 8);
      longest[g] = static_cast<float>(random.uniform());
    }
  }
  [[nodiscard]] Int8Rows rows(const Int8Size& size) const {
    return {.data = keys.data(), .quads = size.quads, .scale = scale.data(), .offset = offset.data()};
  }
  [[nodiscard]] Int8Queries queries() { return {query.get(), query_scale.get(), norm.get(), query_lost.get()}; }
  [[nodiscard]] KeyErrors errors() const { return {lost.data(), longest.data()}; }
  [[nodiscard]] std::int32_t sum(std::size_t j, std::size_t i) {
    std::int32_t total = 0;
    for (std::size_t d = 0; d < dim; ++d)
      total += (query.get()[(d / kQuad * kLanes + i) * kQuad + d % kQuad] - 128) * keys[j * dim + d];
    return total;
  }
  [[nodiscard]] float own(std::size_t group, std::size_t i) {
    return std::fma(norm.at(0, i), lost[group], query_lost.at(0, i) * longest[group]);
  }

  std::size_t dim;
  std::vector<std::int8_t> keys;
  std::vector<float> scale;
  std::vector<std::int32_t> offset;
  Aligned<std::uint8_t> query;
  std::vector<float> lost;
  std::vector<float> longest;
  Lanes<float> query_scale = Lanes<float>(1);
  Lanes<float> norm = Lanes<float>(1);
  Lanes<float> query_lost = Lanes<float>(1);
};

float from_bfloat16(std::uint16_t x) { return std::bit_cast<float>(std::uint32_t{x} << 16U); }

/// True when `bound` is the least bfloat16 that is not below x.
bool is_next_above(float x, std::uint16_t bound) {
  const float got = from_bfloat16(bound);
  const float below = from_bfloat16(static_cast<std::uint16_t>(got > 0 ? bound - 1 : bound + 1));
  return got >= x && (got == 0 || below < x);
}

}  // namespace

TEST_CASE("peaks are bounds on the largest scores of groups, from integers and from a tile") {
  for (const Int8Size& size : kInt8Sizes) {
    CAPTURE(size.keys);
    CAPTURE(size.lanes);
    Random random(size.keys * 100 + size.lanes);
    BoundCase c(size, random);
    const std::size_t groups = (size.keys + kGroup - 1) / kGroup;
    Lanes<float> scores(size.keys);
    all_kernels().front()->score(c.rows(size), size.keys, c.query.get(), c.query_scale.get(), size.lanes, scores.get(), nullptr);
    for (const Int8Kernels* kernels : all_kernels()) {
      for (const bool is_tile : {false, true}) {
        CAPTURE(is_tile);
        std::vector<std::uint16_t> peaks(groups * kLanes, 0);
        Lanes<float> top(1, -kInf<float>);
        if (is_tile)
          kernels->peaks_of(scores.get(), size.keys, c.errors(), c.queries(), size.lanes, peaks.data(), top.get());
        else
          kernels->peaks(c.rows(size), size.keys, c.errors(), c.queries(), size.lanes, peaks.data(), top.get());
        for (std::size_t i = 0; i < size.lanes; ++i) {
          float highest = -kInf<float>;
          for (std::size_t g = 0; g < groups; ++g) {
            float largest = -kInf<float>;
            for (std::size_t j = g * kGroup; j < std::min((g + 1) * kGroup, size.keys); ++j) {
              const float product = static_cast<float>(c.sum(j, i)) * c.scale[j];
              largest = std::max(largest, is_tile ? product * 0.015F + c.own(g, i) : std::fma(product, 0.015F, c.own(g, i)));
            }
            CHECK(is_next_above(largest, peaks[g * kLanes + i]));
            highest = std::max(highest, largest);
          }
          // A group in two pieces has the larger of their bounds.
          CHECK(top.at(0, i) >= highest);
          CHECK(top.at(0, i) <= highest + std::abs(highest) * 0x1p-7F);
        }
      }
    }
  }
}

TEST_CASE("a peak is NaN where a score is, wherever in the group") {
  for (std::size_t bad = 0; bad < 2 * kGroup; ++bad) {
    Lanes<float> tile(2 * kGroup, 1.0F);
    tile.at(bad, 3) = std::numeric_limits<float>::quiet_NaN();
    Lanes<float> zero(1, 0.0F);
    const float none[2] = {0, 0};
    for (const Int8Kernels* kernels : all_kernels()) {
      std::vector<std::uint16_t> peaks(2 * kLanes);
      Lanes<float> top(1, -kInf<float>);
      kernels->peaks_of(tile.get(), 2 * kGroup, {none, none}, {nullptr, nullptr, zero.get(), zero.get()}, 5, peaks.data(),
                        top.get());
      for (std::size_t g = 0; g < 2; ++g) {
        CHECK(std::isnan(from_bfloat16(peaks[g * kLanes + 3])) == (g == bad / kGroup));
        CHECK(from_bfloat16(peaks[g * kLanes + 2]) == 1);
      }
      CHECK(top.at(0, 3) == 1);
    }
  }
}

TEST_CASE("sifting and summing bounds separates them as one at a time would") {
  for (const Int8Size& size : kInt8Sizes) {
    CAPTURE(size.keys);
    CAPTURE(size.lanes);
    Random random(size.keys * 10 + size.lanes);
    Lanes<float> shift(1);
    Lanes<float> limit(1);
    Lanes<float> limits(kTails);
    for (std::size_t i = 0; i < kLanes; ++i) {
      shift.at(0, i) = static_cast<float>(random.normal() * 2) * kSiftStep + 127 * 0x1p23F;
      limit.at(0, i) = static_cast<float>(random.normal() * 3) * kSiftStep + 127 * 0x1p23F;
      for (std::size_t n = 0; n < kTails; ++n) limits.at(n, i) = static_cast<float>(random.normal() * 3);
    }
    limit.at(0, 0) = -kInf<float>;  // keeps all
    std::vector<std::uint16_t> bounds(size.keys * kLanes);
    for (std::uint16_t& bound : bounds)
      bound = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(static_cast<float>(random.normal() * 4)) >> 16U);
    bounds[0] = 0x7FC0;                                   // NaN is never left out
    if (size.lanes > 1) bounds[size.lanes - 1] = 0xFF80;  // -infinity
    for (const Int8Kernels* kernels : all_kernels()) {
      std::vector<std::int32_t> found(size.keys * kLanes + 1);
      Lanes<float> sum(1, 0.25F);
      Lanes<float> sums(kTails, 0.5F);
      const Sieve sieve{.shift = shift.get(), .limit = limit.get(), .sum = sum.get(), .found = found.data()};
      const std::size_t count = kernels->sift(bounds.data(), size.keys, size.lanes, sieve);
      kernels->tails(bounds.data(), size.keys, size.lanes, kSiftStep, shift.get(), limits.get(), sums.get());
      std::vector<std::int32_t> wanted;
      Lanes<float> wanted_sum(1, 0.25F);
      Lanes<float> wanted_sums(kTails, 0.5F);
      for (std::size_t j = 0; j < size.keys; ++j)
        for (std::size_t i = 0; i < size.lanes; ++i) {
          const float bound = from_bfloat16(bounds[j * kLanes + i]);
          float y = std::fma(bound, kSiftStep, shift.at(0, i));
          if (y < kSiftLeast) y = kSiftLeast;
          const float number = y < kSiftMost ? std::bit_cast<float>(static_cast<std::int32_t>(y)) : 0x1p127F;
          if (y < limit.at(0, i))
            wanted_sum.at(0, i) += number;
          else
            wanted.push_back(static_cast<std::int32_t>(j * kLanes + i));
          for (std::size_t n = 0; n < kTails; ++n)
            if (bound < limits.at(n, i)) wanted_sums.at(n, i) += number;
        }
      REQUIRE(count == wanted.size());
      CHECK(std::equal(wanted.begin(), wanted.end(), found.begin()));
      for (std::size_t i = 0; i < size.lanes; ++i) {
        CHECK(sum.at(0, i) == wanted_sum.at(0, i));
        for (std::size_t n = 0; n < kTails; ++n) CHECK(sums.at(n, i) == wanted_sums.at(n, i));
      }
      Lanes<float> counts(kTails, 0.0F);
      Lanes<float> ones(1, 127 * 0x1p23F);
      kernels->tails(bounds.data(), size.keys, size.lanes, 0, ones.get(), limits.get(), counts.get());
      for (std::size_t i = 0; i < size.lanes; ++i) {
        float number = 0;
        for (std::size_t j = 0; j < size.keys; ++j)
          number += from_bfloat16(bounds[j * kLanes + i]) < limits.at(1, i) ? 1.0F : 0.0F;
        CHECK(counts.at(1, i) == number);
      }
    }
  }
}

TEST_CASE("groups of keys taken apart have the scores of their keys, and are picked from as one at a time would") {
  for (const Int8Size& size : kInt8Sizes) {
    CAPTURE(size.keys);
    CAPTURE(size.quads);
    Random random(size.keys * 30 + size.quads);
    BoundCase c(size, random);
    const std::size_t lane = size.lanes - 1;
    const unsigned bits = fine_bits(c.dim);
    Aligned<std::uint8_t> high((c.dim + 63) / 64 * 64);
    Aligned<std::uint8_t> low((c.dim + 63) / 64 * 64);
    for (std::size_t n = 0; n < (c.dim + 63) / 64 * 64; ++n) {
      high.get()[n] = n < c.dim ? c.query.get()[(n / kQuad * kLanes + lane) * kQuad + n % kQuad] : std::uint8_t{0};
      low.get()[n] = n < c.dim ? static_cast<std::uint8_t>(random.below(std::size_t{1} << bits)) : std::uint8_t{0};
    }
    const Int8FineQuery query{high.get(), low.get(), bits, 0.015F};
    const auto sum_of = [&](std::size_t j) {
      std::int32_t total = c.sum(j, lane) * (1 << bits);
      for (std::size_t d = 0; d < c.dim; ++d) total += low.get()[d] * c.keys[j * c.dim + d];
      return total;
    };
    std::vector<std::uint32_t> first;
    for (std::size_t j = 0; j < size.keys; j += kGroup) first.push_back(static_cast<std::uint32_t>(j));
    std::vector<float> own(first.size());
    for (float& x : own) x = static_cast<float>(random.uniform());
    const PickLimits limits{.least = static_cast<float>(random.normal()), .shift = 127 * 0x1p23F};
    for (const Int8Kernels* kernels : all_kernels()) {
      Lanes<float> scores(first.size());
      kernels->dots(c.rows(size), first.data(), first.size(), query, scores.get());
      std::vector<std::int32_t> wanted;
      alignas(64) float wanted_sums[kGroupRoom] = {};
      std::vector<float> bounds(first.size() * kGroupRoom);
      for (std::size_t n = 0; n < first.size(); ++n)
        for (std::size_t r = 0; r < kGroupRoom; ++r) {
          const std::size_t j = first[n] + r;
          const float score = scores.get()[n * kGroupRoom + r];
          if (r >= kGroup) CHECK(score == -kInf<float>);
          if (r < kGroup && j < size.keys) CHECK(score == static_cast<float>(sum_of(j)) * (c.scale[first[n]] * 0.015F));
          const float bound = bounds[n * kGroupRoom + r] = score + own[n];
          const float y = std::max(std::fma(bound, kSiftStep, limits.shift), kSiftLeast);
          if (bound < limits.least)
            wanted_sums[r] += std::bit_cast<float>(static_cast<std::int32_t>(std::min(y, kSiftMost)));
          else
            wanted.push_back(static_cast<std::int32_t>(n * kGroupRoom + r));
        }
      std::vector<std::int32_t> found(bounds.size() + 1);
      alignas(64) float sums[kGroupRoom] = {};
      const std::size_t count = kernels->pick(scores.get(), own.data(), first.size(), limits, found.data(), sums);
      REQUIRE(count == wanted.size());
      CHECK(std::equal(wanted.begin(), wanted.end(), found.begin()));
      CHECK(std::equal(bounds.begin(), bounds.end(), scores.get()));
      CHECK(std::equal(std::begin(sums), std::end(sums), std::begin(wanted_sums)));
    }
  }
}

TEST_CASE("a value that is not finite shows where its weight is not 0, and only there") {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::quiet_NaN(),
                          std::numeric_limits<float>::infinity()}) {
    Lanes<float> weights(3, 0.5F);
    weights.at(1, 0) = 0;
    const std::vector<float> scale{1.0F, bad, 2.0F};
    for (const Int8Kernels* kernels : all_kernels()) {
      Aligned<std::uint8_t> packed(kLanes * kQuad);
      Lanes<float> unit(1);
      kernels->pack_weights(weights.get(), scale.data(), 3, 0, 2, packed.get(), unit.get());
      CHECK(unit.at(0, 0) == 1.0F / 255.0F);
      CHECK(packed.get()[1] == 0);
      CHECK_FALSE(std::isfinite(unit.at(0, 1)));
    }
  }
}

}  // namespace attn::kernels::test

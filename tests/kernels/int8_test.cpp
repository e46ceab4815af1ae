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

/// What sifting leaves, one pair after the other.
struct Sifted {
  std::vector<float> tile;  ///< [count][kLanes], the first lanes of each
  std::vector<float> sum = std::vector<float>(kLanes, 0.25F);
  std::vector<std::int32_t> found;
};

/// y = max(fma(x, step, shift), kSiftLeast), found where it is not below the limit, else summed as the bits of a float.
void sift_pair(float x, float step, std::size_t j, std::size_t i, Lanes<float>& shift, Lanes<float>& limit, Sifted& sifted) {
  float y = std::fma(x, step, shift.at(0, i));
  if (y < kSiftLeast) y = kSiftLeast;
  sifted.tile[j * kLanes + i] = y;
  if (y < limit.at(0, i)) {
    sifted.sum[i] += std::bit_cast<float>(static_cast<std::int32_t>(y));
  } else {
    sifted.found.push_back(static_cast<std::int32_t>(j * kLanes + i));
  }
}

void check_sifted(const Sifted& wanted, const Lanes<float>& tile, Lanes<float>& sum, const std::vector<std::int32_t>& found,
                  std::size_t count, const Int8Size& size) {
  REQUIRE(count == wanted.found.size());
  CHECK(std::equal(wanted.found.begin(), wanted.found.end(), found.begin()));
  for (std::size_t i = 0; i < size.lanes; ++i) CHECK(sum.at(0, i) == wanted.sum[i]);
  for (std::size_t j = 0; j < size.keys; ++j)
    CHECK(same_numbers(tile.get() + j * kLanes, wanted.tile.data() + j * kLanes, size.lanes));
}

}  // namespace

TEST_CASE("sifting separates pairs as one at a time would, from scores and from integers") {
  for (const Int8Size& size : kInt8Sizes) {
    CAPTURE(size.keys);
    CAPTURE(size.lanes);
    Random random(size.keys * 100 + size.lanes);
    const std::size_t dim = size.quads * kQuad;
    std::vector<std::int8_t> keys(size.keys * dim);
    std::vector<float> scale(size.keys);
    std::vector<std::int32_t> offset(size.keys, 0);
    for (std::size_t j = 0; j < size.keys; ++j) {
      scale[j] = j == 4 ? std::numeric_limits<float>::quiet_NaN() : static_cast<float>(random.uniform() / 50);
      for (std::size_t d = 0; d < dim; ++d) offset[j] -= 128 * (keys[j * dim + d] = any_int8(random));
    }
    Aligned<std::uint8_t> query(kLanes * dim);
    for (std::size_t n = 0; n < kLanes * dim; ++n) query.get()[n] = static_cast<std::uint8_t>(any_int8(random) + 128);
    Lanes<float> query_scale(1, 0.015F);
    Lanes<float> shift(1);
    Lanes<float> limit(1);
    for (std::size_t i = 0; i < kLanes; ++i) {
      shift.at(0, i) = static_cast<float>(random.normal() * 2) * kSiftStep + 127 * 0x1p23F;
      limit.at(0, i) = static_cast<float>(random.normal() * 3 + 4) * kSiftStep + 127 * 0x1p23F;
    }
    limit.at(0, 0) = -kInf<float>;  // keeps all
    const Int8Rows rows{.data = keys.data(), .quads = size.quads, .scale = scale.data(), .offset = offset.data()};
    Lanes<float> scores(size.keys);
    all_kernels().front()->score(rows, size.keys, query.get(), query_scale.get(), size.lanes, scores.get(), nullptr);
    Sifted of_scores{.tile = std::vector<float>(size.keys * kLanes), .found = {}};
    Sifted of_integers = of_scores;
    for (std::size_t j = 0; j < size.keys; ++j)
      for (std::size_t i = 0; i < size.lanes; ++i) {
        std::int32_t sum = 0;
        for (std::size_t d = 0; d < dim; ++d)
          sum += (query.get()[(d / kQuad * kLanes + i) * kQuad + d % kQuad] - 128) * keys[j * dim + d];
        sift_pair(scores.at(j, i), kSiftStep, j, i, shift, limit, of_scores);
        sift_pair(static_cast<float>(sum) * scale[j], query_scale.at(0, i) * kSiftStep, j, i, shift, limit, of_integers);
      }
    for (const Int8Kernels* kernels : all_kernels()) {
      std::vector<std::int32_t> found(size.keys * kLanes + 1);
      Lanes<float> tile(scores);
      Lanes<float> sum(1, 0.25F);
      Sieve sieve{.shift = shift.get(), .limit = limit.get(), .sum = sum.get(), .tile = tile.get(), .found = found.data()};
      std::size_t count = kernels->sift(size.keys, size.lanes, sieve);
      check_sifted(of_scores, tile, sum, found, count, size);
      Lanes<float> fresh(size.keys);
      Lanes<float> fresh_sum(1, 0.25F);
      sieve.tile = fresh.get();
      sieve.sum = fresh_sum.get();
      count = kernels->score_sift(rows, size.keys, query.get(), query_scale.get(), size.lanes, sieve);
      check_sifted(of_integers, fresh, fresh_sum, found, count, size);
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

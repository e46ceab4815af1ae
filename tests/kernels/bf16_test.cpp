// bfloat16: rounding against arithmetic in double, and every way to multiply pairs against sums in double.
#include "kernels/bf16.hpp"

#include "kernels/emulated_tiles.hpp"
#include "kernels/kernel_support.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace attn::kernels::test {

namespace {

constexpr double kBf16Infinity = std::numeric_limits<double>::infinity();

float half_as_float(std::uint16_t half) { return std::bit_cast<float>(std::uint32_t{half} << 16U); }

/// The number of 8 bits nearest to x, ties to even, and no finer than 2^-133; worked out in double.
double nearest_bf16(double x) {
  if (x == 0 || !std::isfinite(x)) return x;
  const double unit = std::ldexp(1.0, std::max(std::ilogb(x), -126) - 7);
  const double rounded = std::nearbyint(x / unit) * unit;
  return std::abs(rounded) < 0x1p128 ? rounded : std::copysign(kBf16Infinity, x);
}

/// The sum of two parts; of numbers that round to infinity the first 8 bits and the next 8 that are not 0.
double nearest_split(double x) {
  if (!std::isfinite(x)) return x;
  if (std::isfinite(nearest_bf16(x))) return nearest_bf16(x) + nearest_bf16(x - nearest_bf16(x));
  const double high = std::copysign(0x1.FEp127, x);
  const double unit = std::ldexp(1.0, std::ilogb(x - high) - 7);
  return high + std::trunc((x - high) / unit) * unit;
}

bool same_number(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

/// Numbers of all sizes, ties, NaN with a payload in its lower half only, the largest ones, and what is near 0.
std::vector<float> all_kinds(Random& random, std::size_t count) {
  const std::uint32_t special[] = {0x00000000U, 0x80000000U, 0x7F800000U, 0xFF800000U, 0x7F800001U, 0xFF80FFFFU,
                                   0x7FFFFFFFU, 0x7F7FFFFFU, 0xFF7FFFFFU, 0x7F7F8000U, 0x7F7F7FFFU, 0x00000001U,
                                   0x80008000U, 0x00018000U, 0x3F808000U, 0x3F818000U, 0x3F808001U, 0x007FFFFFU};
  std::vector<float> numbers(count);
  for (float& x : numbers) {
    const std::size_t draw = random.below(4);
    const auto bits = static_cast<std::uint32_t>(random.bits());
    x = draw == 0   ? std::bit_cast<float>(special[random.below(std::size(special))])
        : draw == 1 ? std::bit_cast<float>((bits & 0xFFFF0000U) | 0x8000U)
                    : std::bit_cast<float>(bits);
  }
  return numbers;
}

struct Way {
  std::string name;
  const PairProduct* product;
  bool splits;
};

/// Those of this processor, and emulated tiles.
std::vector<Way> all_ways() {
  std::vector<Way> ways{{"emulated tiles", &kTileProduct<EmulatedTiles>, true}};
  const auto best = available<float>().front()->isa;
  if (vector_pairs(best) != nullptr) ways.push_back({"vectors", vector_pairs(best), false});
  if (tile_pairs(best) != nullptr) ways.push_back({"tiles", tile_pairs(best), true});
  return ways;
}

/// Random words and the numbers in them, [rows][pairs] or [pairs][lanes].
struct Halves {
  Halves(Random& random, std::size_t count) : words(count) {
    for (std::uint32_t& word : words) {
      const auto half = [&] { return std::bit_cast<std::uint32_t>(static_cast<float>(random.normal())) >> 16U; };
      word = half() | half() << 16U;
    }
  }
  [[nodiscard]] double at(std::size_t word, std::size_t half) const {
    return static_cast<double>(half_as_float(static_cast<std::uint16_t>(words[word] >> 16U * half)));
  }
  std::vector<std::uint32_t> words;
};

struct PairSize {
  std::size_t count;
  std::size_t lanes;
  std::size_t groups;
};

constexpr PairSize kPairSizes[] = {{1, 1, 1},   {2, 64, 3},  {15, 15, 1}, {16, 16, 2}, {17, 17, 1}, {31, 33, 2},
                                   {33, 31, 1}, {48, 63, 2}, {65, 32, 1}, {95, 49, 3}, {96, 64, 2}, {257, 8, 1}};

void check_products(const Way& way, const PairSize& size, Random& random, bool split) {
  const std::size_t pairs = size.groups * way.product->pairs;
  const std::size_t stride = pairs + 3;
  const std::size_t rows = (size.count + way.product->rows - 1) / way.product->rows * way.product->rows;
  const Halves row_high(random, rows * stride - 3);  // the last row ends where memory does
  const Halves row_low(random, rows * stride - 3);
  const Halves lane_high(random, pairs * kLanes);
  const Halves lane_low(random, pairs * kLanes);
  const Fenced<std::uint32_t> rows_at_end(row_high.words);
  const Fenced<std::uint32_t> low_at_end(row_low.words);
  Lanes<std::uint32_t> high(pairs, 0);
  Lanes<std::uint32_t> low(pairs, 0);
  std::copy_n(lane_high.words.data(), pairs * kLanes, high.get());
  std::copy_n(lane_low.words.data(), pairs * kLanes, low.get());
  Lanes<float> sums(rows);
  way.product->product({rows_at_end.get(), split ? low_at_end.get() : nullptr, stride}, size.count, pairs,
                       {high.get(), split ? low.get() : nullptr}, size.lanes, sums.get());
  for (std::size_t r = 0; r < size.count; ++r) {
    for (std::size_t i = 0; i < size.lanes; ++i) {
      double wanted = 0;
      double magnitude = 0;
      for (std::size_t n = 0; n < 2 * pairs; ++n) {
        const std::size_t a = r * stride + n / 2;
        const std::size_t b = n / 2 * kLanes + i;
        const double high_high = row_high.at(a, n % 2) * lane_high.at(b, n % 2);
        const double low_high = split ? row_low.at(a, n % 2) * lane_high.at(b, n % 2) : 0;
        const double high_low = split ? row_high.at(a, n % 2) * lane_low.at(b, n % 2) : 0;
        wanted += high_high + low_high + high_low;
        magnitude += std::abs(high_high) + std::abs(low_high) + std::abs(high_low);
      }
      const double off = std::abs(static_cast<double>(sums.at(r, i)) - wanted);
      if (!(off <= static_cast<double>(6 * pairs + 4) * 0x1p-25 * magnitude)) FAIL_CHECK("row " << r << ", lane " << i);
    }
  }
}

}  // namespace

TEST_CASE("numbers become the nearest bfloat16, or the sum of two") {
  const std::uint64_t seed = 71;
  CAPTURE(seed);
  Random random(seed);
  for (const auto* table : available<float>()) {
    const Bf16Kernels& kernels = bf16_kernels(table->isa);
    CAPTURE(table->isa);
    for (const std::size_t count : std::initializer_list<std::size_t>{0, 1, 2, 7, 15, 16, 17, 31, 64, 1009}) {
      const std::vector<float> row = all_kinds(random, count);
      const Fenced<float> fenced(row);
      std::vector<float> one(count + 1, 7.0F);
      std::vector<float> two(count + 1, 7.0F);
      std::vector<std::uint16_t> alone(count + 1, 9);
      std::vector<std::uint16_t> high(count + 1, 9);
      std::vector<std::uint16_t> low(count + 1, 9);
      kernels.round_row(fenced.get(), count, false, one.data());
      kernels.round_row(fenced.get(), count, true, two.data());
      kernels.halve_row(fenced.get(), count, alone.data(), nullptr);
      kernels.halve_row(fenced.get(), count, high.data(), low.data());
      CHECK(one[count] == 7.0F);
      CHECK(two[count] == 7.0F);
      CHECK((alone[count] == 9 && high[count] == 9 && low[count] == 9));
      for (std::size_t n = 0; n < count; ++n) {
        const auto x = static_cast<double>(row[n]);
        CAPTURE(x);
        CHECK(same_number(static_cast<double>(one[n]), nearest_bf16(x)));
        CHECK(same_number(static_cast<double>(half_as_float(alone[n])), nearest_bf16(x)));
        CHECK(same_number(static_cast<double>(two[n]), nearest_split(x)));
        CHECK(same_number(static_cast<double>(half_as_float(high[n])) + static_cast<double>(half_as_float(low[n])),
                          nearest_split(x)));
        if (std::isfinite(x) && std::abs(x) >= 0x1p-100) CHECK(std::abs(nearest_split(x) - x) <= 0x1p-16 * std::abs(x));
      }
    }
  }
}

TEST_CASE("weights are rounded, and packed in pairs of rows, alike on all targets") {
  Random random(72);
  for (const auto& [count, lanes, lead] : std::vector<std::array<std::size_t, 3>>{
           {1, 1, 0}, {1, 64, 1}, {5, 3, 2}, {31, 17, 1}, {32, 16, 0}, {65, 33, 31}, {96, 64, 0}, {95, 63, 1}}) {
    CAPTURE(count);
    CAPTURE(lead);
    Lanes<float> weights(count);
    for (std::size_t j = 0; j < count; ++j)
      for (std::size_t i = 0; i < kLanes; ++i)
        weights.at(j, i) =
            random.below(5) == 0 ? 0.0F : static_cast<float>(random.uniform() * std::exp2(-double(random.below(80))));
    weights.at(count / 2, 0) = std::numeric_limits<float>::quiet_NaN();
    const std::size_t pairs = (lead + count + 1) / 2 + 1;
    for (const auto* table : available<float>()) {
      const Bf16Kernels& kernels = bf16_kernels(table->isa);
      Lanes<float> one(count);
      Lanes<float> two(count);
      Lanes<std::uint32_t> alone(pairs, 0);
      Lanes<std::uint32_t> high(pairs, 0);
      Lanes<std::uint32_t> low(pairs, 0);
      kernels.round(weights.get(), count, lanes, false, one.get());
      kernels.round(weights.get(), count, lanes, true, two.get());
      kernels.pack(weights.get(), count, lead, pairs, lanes, alone.get(), nullptr);
      kernels.pack(weights.get(), count, lead, pairs, lanes, high.get(), low.get());
      for (std::size_t i = 0; i < lanes; ++i) {
        for (std::size_t n = 0; n < 2 * pairs; ++n) {
          const bool is_row = n >= lead && n < lead + count;
          const double x = is_row ? static_cast<double>(weights.at(n - lead, i)) : 0;
          const auto in = [&](Lanes<std::uint32_t>& words) {
            return static_cast<double>(half_as_float(static_cast<std::uint16_t>(words.at(n / 2, i) >> 16U * (n % 2))));
          };
          const bool packed = same_number(in(alone), nearest_bf16(x)) && same_number(in(high) + in(low), nearest_split(x));
          const bool rounded = !is_row || (same_number(static_cast<double>(one.at(n - lead, i)), nearest_bf16(x)) &&
                                           same_number(static_cast<double>(two.at(n - lead, i)), nearest_split(x)));
          if (!packed || !rounded) FAIL_CHECK("weight " << n << " of lane " << i);
        }
      }
    }
  }
}

TEST_CASE("products of pairs are sums in float32, by every way") {
  for (const Way& way : all_ways()) {
    CAPTURE(way.name);
    for (const PairSize& size : kPairSizes) {
      CAPTURE(size.count);
      CAPTURE(size.lanes);
      CAPTURE(size.groups);
      Random random(size.count * 100 + size.lanes);
      check_products(way, size, random, false);
      if (way.splits) check_products(way, size, random, true);
    }
  }
}

TEST_CASE("NaN and infinity in pairs stay in their row and lane") {
  for (const Way& way : all_ways()) {
    CAPTURE(way.name);
    const std::size_t pairs = way.product->pairs;
    std::vector<std::uint32_t> rows(kTileRows * pairs, 0x3F803F80U);  // 1 and 1
    Lanes<std::uint32_t> lanes(pairs, 0x3F803F80U);
    rows[0] = 0x3F807F80U;          // row 0 begins with infinity
    rows[2 * pairs] = 0x7FC03F80U;  // and row 2 with 1, NaN
    lanes.at(0, 3) = 0x3F80BF80U;   // lane 3 with -1, 1
    Lanes<float> sums(kTileRows);
    way.product->product({rows.data(), nullptr, pairs}, 4, pairs, {lanes.get(), nullptr}, 5, sums.get());
    const auto all = static_cast<float>(2 * pairs);
    for (std::size_t i = 0; i < 5; ++i) {
      CHECK(sums.at(0, i) == (i == 3 ? -kInf<float> : kInf<float>));
      CHECK(sums.at(1, i) == (i == 3 ? all - 2 : all));
      CHECK(std::isnan(sums.at(2, i)));
      CHECK(sums.at(3, i) == (i == 3 ? all - 2 : all));
    }
  }
}

TEST_CASE("sums are scaled and joined alike on all targets") {
  Random random(73);
  for (const std::size_t lanes : std::initializer_list<std::size_t>{1, 15, 16, 17, 64}) {
    for (const auto* table : available<float>()) {
      const Bf16Kernels& kernels = bf16_kernels(table->isa);
      Lanes<float> tile(5);
      Lanes<float> output(5);
      Lanes<float> rescale(1, 0.75F);
      for (std::size_t n = 0; n < 5 * kLanes; ++n) tile.get()[n] = output.get()[n] = static_cast<float>(random.normal());
      tile.at(4, 0) = std::numeric_limits<float>::quiet_NaN();
      Lanes<float> scaled(tile);
      Lanes<float> joined(output);
      Lanes<float> top(1, -0.5F);
      kernels.scale(scaled.get(), 5, lanes, 0.3F, top.get());
      kernels.join(tile.get(), 5, lanes, rescale.get(), joined.get());
      for (std::size_t i = 0; i < lanes; ++i) {
        float largest = -0.5F;
        for (std::size_t j = 0; j < 5; ++j) {
          CHECK(same_number(static_cast<double>(scaled.at(j, i)), static_cast<double>(tile.at(j, i) * 0.3F)));
          CHECK(same_number(static_cast<double>(joined.at(j, i)),
                            static_cast<double>(std::fma(output.at(j, i), 0.75F, tile.at(j, i)))));
          largest = std::max(largest, scaled.at(j, i));
        }
        CHECK(top.at(0, i) == largest);
      }
    }
  }
}

TEST_CASE("tiles of the processor do what the emulated ones do") {
  const PairProduct* tiles = tile_pairs(available<float>().front()->isa);
  if (tiles == nullptr) {
    MESSAGE("this processor has no AMX tiles, or the system does not lend them: nothing to compare");
    return;
  }
  Random random(74);
  const std::size_t pairs = 3 * kTilePairs;
  const Halves rows(random, 96 * pairs);
  const Halves lane_words(random, pairs * kLanes);
  Lanes<std::uint32_t> lanes(pairs, 0);
  std::copy_n(lane_words.words.data(), pairs * kLanes, lanes.get());
  Lanes<float> real(96);
  Lanes<float> emulated(96);
  for (const bool split : {false, true}) {
    const PairRows from{rows.words.data(), split ? rows.words.data() : nullptr, pairs};
    const PairLanes with{lanes.get(), split ? lanes.get() : nullptr};
    tiles->product(from, 96, pairs, with, kLanes, real.get());
    tile_product<EmulatedTiles>(from, 96, pairs, with, kLanes, emulated.get());
    for (std::size_t n = 0; n < 96 * kLanes; ++n)
      CHECK(std::abs(real.get()[n] - emulated.get()[n]) <= 1e-5F * (1 + std::abs(emulated.get()[n])));
  }
}

}  // namespace attn::kernels::test

// Random bits as a function of a key and a counter: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy
// as 1, 2, 3", SC 2011). Element i of an array needs no element before it, and integers give the same bits on every machine.
#pragma once

#include <array>
#include <cstdint>

namespace attn {

using PhiloxCounter = std::array<std::uint32_t, 4>;
using PhiloxKey = std::array<std::uint32_t, 2>;

/// Four words of random bits for a counter, by ten rounds.
[[nodiscard]] constexpr PhiloxCounter philox(PhiloxCounter counter, PhiloxKey key) noexcept {
  constexpr int rounds = 10;
  constexpr std::uint64_t multiplier0 = 0xD2511F53;
  constexpr std::uint64_t multiplier1 = 0xCD9E8D57;
  constexpr std::uint32_t weyl0 = 0x9E3779B9;  // the golden ratio
  constexpr std::uint32_t weyl1 = 0xBB67AE85;  // sqrt(3) - 1
  for (int round = 0; round < rounds; ++round) {
    const std::uint64_t product0 = multiplier0 * counter[0];
    const std::uint64_t product1 = multiplier1 * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32U) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32U) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(product0)};
    key[0] += weyl0;
    key[1] += weyl1;
  }
  return counter;
}

/// A stream of 64-bit words that can be read anywhere. Streams of one seed with different numbers do not overlap.
class RandomWords {
 public:
  constexpr RandomWords(std::uint64_t seed, std::uint32_t stream) noexcept
      : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32U)}, stream_(stream) {}

  /// Words 2 * block and 2 * block + 1 of the stream, of one of 2^32 alternative draws.
  [[nodiscard]] constexpr std::array<std::uint64_t, 2> pair(std::uint64_t block, std::uint32_t draw = 0) const noexcept {
    const PhiloxCounter bits =
        philox({static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32U), stream_, draw}, key_);
    return {bits[0] | (std::uint64_t{bits[1]} << 32U), bits[2] | (std::uint64_t{bits[3]} << 32U)};
  }

 private:
  PhiloxKey key_;
  std::uint32_t stream_;
};

}  // namespace attn

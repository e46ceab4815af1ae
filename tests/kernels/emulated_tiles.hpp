// AMX tiles in plain C++, after the operation that Intel's manual gives for each instruction.
#pragma once

#include "kernels/tiles.hpp"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>

namespace attn::kernels::test {

/// What tile_product asks of tiles. Sums of TDPBF16PS: for each element, one chain of the first numbers of all pairs and one of
/// the second ones, from 0, each step rounded once to the nearest; both are added, then that to the element. Subnormal numbers
/// are 0, before and after each step.
class EmulatedTiles {
 public:
  static void begin() {
    if (ready_) throw std::logic_error("tiles are configured twice");
    ready_ = true;
    for (auto& tile : tiles_)
      for (auto& word : tile) word = 0xFFFFFFFFU;  // NaN: what is read must have been written
  }
  static void end() { ready_ = false; }
  template <int kTile>
  static void zero() {
    for (auto& word : tile<kTile>()) word = 0;
  }
  /// begin() must have been called.
  template <int kTile>
  static void load(const std::uint32_t* from, std::size_t stride) {
    if (!ready_) throw std::logic_error("tiles are not configured");
    for (std::size_t n = 0; n < kTileRows * kTilePairs; ++n) tile<kTile>()[n] = from[n / kTilePairs * stride + n % kTilePairs];
  }
  template <int kTile>
  static void store(float* to, std::size_t stride) {
    for (std::size_t n = 0; n < kTileRows * kTilePairs; ++n)
      to[n / kTilePairs * stride + n % kTilePairs] = std::bit_cast<float>(tile<kTile>()[n]);
  }
  template <int kSums, int kRows, int kColumns>
  static void dot() {
    for (std::size_t m = 0; m < kTileRows; ++m) {
      for (std::size_t n = 0; n < kTilePairs; ++n) {
        float sum[2] = {0, 0};
        for (std::size_t k = 0; k < kTilePairs; ++k) {
          for (const unsigned half : {0U, 1U}) {
            const float a = number(tile<kRows>()[m * kTilePairs + k], half);
            const float b = number(tile<kColumns>()[k * kTilePairs + n], half);
            sum[half] = flushed(std::fma(a, b, sum[half]));
          }
        }
        std::uint32_t& element = tile<kSums>()[m * kTilePairs + n];
        element = std::bit_cast<std::uint32_t>(flushed(flushed(std::bit_cast<float>(element)) + flushed(sum[0] + sum[1])));
      }
    }
  }

 private:
  static float flushed(float x) { return std::abs(x) < std::numeric_limits<float>::min() ? std::copysign(0.0F, x) : x; }
  static float number(std::uint32_t word, unsigned half) { return flushed(std::bit_cast<float>(word >> 16U * half << 16U)); }
  template <int kTile>
  static std::uint32_t (&tile())[kTileRows * kTilePairs] {
    static_assert(kTile >= 0 && kTile < 8);
    return tiles_[kTile];
  }

  static inline thread_local bool ready_ = false;
  static inline thread_local std::uint32_t tiles_[8][kTileRows * kTilePairs] = {};
};

}  // namespace attn::kernels::test

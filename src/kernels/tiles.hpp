// The product of pairs by tiles of 16 rows of 16 words: blocks of two by two tiles of sums.
#pragma once

#include "kernels/bf16.hpp"
#include "kernels/kernels.hpp"

#include <algorithm>

namespace attn::kernels {

/// M x N tiles of sums over `pairs` pairs. Tiles 0 to 3 hold sums, 4 and 5 rows, 6 and 7 lanes.
template <class Tiles, std::size_t M, std::size_t N>
class TileBlock {
 public:
  static void run(const PairRows& rows, std::size_t pairs, const PairLanes& lanes_of, float* sums) {
    Tiles::template zero<0>();
    if constexpr (N == 2) Tiles::template zero<1>();
    if constexpr (M == 2) Tiles::template zero<2>();
    if constexpr (M == 2 && N == 2) Tiles::template zero<3>();
    if (rows.low != nullptr) {
      add(rows.low, rows.stride, pairs, lanes_of.high);
      add(rows.high, rows.stride, pairs, lanes_of.low);
    }
    add(rows.high, rows.stride, pairs, lanes_of.high);
    constexpr std::size_t below = kTileRows * kLanes;
    Tiles::template store<0>(sums, kLanes);
    if constexpr (N == 2) Tiles::template store<1>(sums + kTilePairs, kLanes);
    if constexpr (M == 2) Tiles::template store<2>(sums + below, kLanes);
    if constexpr (M == 2 && N == 2) Tiles::template store<3>(sums + below + kTilePairs, kLanes);
  }

 private:
  static void add(const std::uint32_t* rows, std::size_t stride, std::size_t pairs, const std::uint32_t* lanes) {
    for (std::size_t t = 0; t < pairs; t += kTilePairs) {
      Tiles::template load<6>(lanes + t * kLanes, kLanes);
      if constexpr (N == 2) Tiles::template load<7>(lanes + t * kLanes + kTilePairs, kLanes);
      Tiles::template load<4>(rows + t, stride);
      Tiles::template dot<0, 4, 6>();
      if constexpr (N == 2) Tiles::template dot<1, 4, 7>();
      if constexpr (M == 2) {
        Tiles::template load<5>(rows + kTileRows * stride + t, stride);
        Tiles::template dot<2, 5, 6>();
        if constexpr (N == 2) Tiles::template dot<3, 5, 7>();
      }
    }
  }
};

/// PairProduct::product by tiles, which `Tiles` has: begin() makes eight tiles of 16 rows of 64 bytes ready, end() gives them
/// back, zero<t>, load<t> and store<t> clear a tile, read and write its rows (strides count words), dot<c, a, b> adds to tile c
/// the products of the pairs of tile a's rows with tile b's columns.
template <class Tiles>
void tile_product(const PairRows& rows, std::size_t count, std::size_t pairs, const PairLanes& lanes_of, std::size_t lanes,
                  float* sums) {
  Tiles::begin();
  for (std::size_t lane = 0; lane < lanes; lane += 2 * kTilePairs) {
    const bool wide = lanes - lane > kTilePairs;
    const PairLanes from{lanes_of.high + lane, lanes_of.low == nullptr ? nullptr : lanes_of.low + lane};
    for (std::size_t row = 0; row < count; row += 2 * kTileRows) {
      const bool high = count - row > kTileRows;
      const std::size_t at = row * rows.stride;
      const PairRows these{rows.high + at, rows.low == nullptr ? nullptr : rows.low + at, rows.stride};
      const auto run = high ? (wide ? TileBlock<Tiles, 2, 2>::run : TileBlock<Tiles, 2, 1>::run)
                            : (wide ? TileBlock<Tiles, 1, 2>::run : TileBlock<Tiles, 1, 1>::run);
      run(these, pairs, from, sums + row * kLanes + lane);
    }
  }
  Tiles::end();
}

template <class Tiles>
inline constexpr PairProduct kTileProduct = {.rows = kTileRows, .pairs = kTilePairs, .product = tile_product<Tiles>};

}  // namespace attn::kernels

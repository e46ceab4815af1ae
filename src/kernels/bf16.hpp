// Products of bfloat16 numbers for tiles of attention, and of float32 numbers split in two of them.
//
// A number becomes `high`, the bfloat16 nearest to it (ties to even), and where more is wanted `low`, the bfloat16 nearest to
// what is left: high + low has 16 bits of it and is a float32 itself. Two neighbouring numbers of a row stand in one 32-bit word,
// the first in its low half, as processors multiply them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace attn::kernels {

inline constexpr std::size_t kTileRows = 16;   ///< rows of an AMX tile
inline constexpr std::size_t kTilePairs = 16;  ///< words of its rows

/// Rows of pairs, which run along a row: word t of row r is high[r * stride + t]. `low` is null where there is one part only.
struct PairRows {
  const std::uint32_t* high = nullptr;
  const std::uint32_t* low = nullptr;
  std::size_t stride = 0;
};

/// Pairs of rows with a lane for each query, [pairs][kLanes]. `low` is null where there is one part only.
struct PairLanes {
  const std::uint32_t* high = nullptr;
  const std::uint32_t* low = nullptr;
};

/// A way to multiply pairs. Subnormal numbers count as 0.
struct PairProduct {
  std::size_t rows;   ///< sums are written for whole groups of as many rows, which are read
  std::size_t pairs;  ///< whole groups of as many pairs are summed

  /// sums[r][i] = sum over t < pairs of the two products of row word (r, t) with lane word (t, i), for r < count, with [kLanes]
  /// in a row of sums. With two parts: low * high + high * low + high * high. `pairs` is a multiple of this->pairs. Sums are in
  /// float32, in an order that depends on the way, and only on it.
  void (*product)(const PairRows& rows, std::size_t count, std::size_t pairs, const PairLanes& lanes_of, std::size_t lanes,
                  float* sums);
};

/// What goes with both products on each vector target. The same bits on all of them.
struct Bf16Kernels {
  /// out[n] = high (with `two` parts high + low) of row[n]. In one part, what is above the largest bfloat16 by half a unit or
  /// more becomes infinite; in two parts only infinity is. A row may be rounded in place.
  void (*round_row)(const float* row, std::size_t count, bool two, float* out);
  /// The same as halves of words. `low` may be null: then there is one part.
  void (*halve_row)(const float* row, std::size_t count, std::uint16_t* high, std::uint16_t* low);
  /// For weights, which are not above 2^127: out[j][i] = high (with `two` parts high + low) of tile[j][i].
  void (*round)(const float* tile, std::size_t count, std::size_t lanes, bool two, float* out);
  /// Words of pairs of rows: row j of `weights` becomes row lead + j, in as many rows as `pairs` hold, 0 where there is none.
  /// `low` may be null. Rows of words are [kLanes].
  void (*pack)(const float* weights, std::size_t count, std::size_t lead, std::size_t pairs, std::size_t lanes,
               std::uint32_t* high, std::uint32_t* low);
  /// tile[j][i] *= factor; `maximum`, when given, becomes max(maximum, tile) of each lane.
  void (*scale)(float* tile, std::size_t count, std::size_t lanes, float factor, float* maximum);
  /// output[f][i] = output[f][i] * rescale[i] + sums[f][i] for f < rows.
  void (*join)(const float* sums, std::size_t rows, std::size_t lanes, const float* rescale, float* output);
};

/// The kernels of the target that KernelTable<T>::isa calls `isa`, which must be one of those this processor runs.
[[nodiscard]] const Bf16Kernels& bf16_kernels(std::string_view isa) noexcept;

/// Products by one instruction for two pairs of each lane (AVX-512 BF16), under the target "avx512" of a processor that has it;
/// else null.
[[nodiscard]] const PairProduct* vector_pairs(std::string_view isa) noexcept;
/// Whether that is faster than float32 here. It is meant to be twice as fast on AMD's processors (Zen 4 and later); Intel's take
/// two cycles for it, in which they multiply and add as many float32 numbers twice.
[[nodiscard]] bool vector_pairs_pay() noexcept;

/// Products by AMX tiles under the target "avx512", where the processor has them and the system lends them to this process, which
/// the first call asks for; else null.
[[nodiscard]] const PairProduct* tile_pairs(std::string_view isa) noexcept;

}  // namespace attn::kernels

// Products of 8-bit integers for tiles of attention, for each vector target.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace attn::kernels {

/// Numbers that are summed by one instruction where there is one: rows of 8-bit integers are cut into groups of as many.
inline constexpr std::size_t kQuad = 4;

/// Rows of features as signed integers, and what turns sums of their products back into numbers.
struct Int8Rows {
  const std::int8_t* data = nullptr;     ///< [rows][quads * kQuad], 0 beyond the features
  std::size_t quads = 0;                 ///< groups of kQuad features in a row
  const float* scale = nullptr;          ///< [rows]: a feature is about data * scale; NaN where a row is not finite
  const std::int32_t* offset = nullptr;  ///< [rows]: -128 times the sum of a row's integers
};

/// Where keys are separated: see Int8Kernels::sift. kLanes numbers each but for tile, which is a tile, and found.
struct Sieve {
  const float* shift = nullptr;
  const float* limit = nullptr;
  float* sum = nullptr;
  float* tile = nullptr;
  std::int32_t* found = nullptr;
};

/// Integer sums are exact in any order, and what is done in float is done alike on all targets: the same bits on all. The
/// operand with a lane for each query is unsigned, as processors want it; queries are stored with 128 added.
struct Int8Kernels {
  /// tile[j][i] = scale[j] * query_scale[i] * sum_d data[j][d] * (query[d][i] - 128) for j < count. `query` is
  /// [quads][kLanes][kQuad]. `maximum`, when given, becomes max(maximum, tile) of each lane.
  void (*score)(const Int8Rows& keys, std::size_t count, const std::uint8_t* query, const float* query_scale, std::size_t lanes,
                float* tile, float* maximum) = nullptr;

  /// packed[(lead + j) / kQuad][i][(lead + j) % kQuad] = weights[j][i] * value_scale[j] / unit[i] to the nearest integer, where
  /// unit[i] is the largest product of the lane over 255; 0 for what lies beyond the rows, up to whole groups. A weight of 0 is
  /// 0 whatever the scale. unit[i] is NaN or infinite where a product is, and 0 where all are below 2^-118. lead < kQuad.
  void (*pack_weights)(const float* weights, const float* value_scale, std::size_t count, std::size_t lead, std::size_t lanes,
                       std::uint8_t* packed, float* unit) = nullptr;

  /// output[f][i] = output[f][i] * rescale[i] + unit[i] * sum_j packed[j][i] * values[j][f], for f < dim and j in `quads` groups.
  /// `values` is [quads][dim][kQuad].
  void (*add_values)(const std::uint8_t* packed, const std::int8_t* values, std::size_t quads, std::size_t dim, std::size_t lanes,
                     const float* unit, const float* rescale, float* output) = nullptr;

  /// Separates keys that may matter from those that do not. y = tile[j][i] * kSiftStep + shift[i], at least kSiftLeast, takes the
  /// place of tile[j][i] and is taken for the bits of a float, which is never below 2^(y / 2^23 - 127): a chord lies above a
  /// convex curve. Where y >= limit[i], or is NaN, j * kLanes + i is written to `found` (room for all pairs and one more), in
  /// ascending order; where it is not, the float is added to sum[i], a sum of at most kKeys numbers. Returns how
  /// many were found.
  std::size_t (*sift)(std::size_t count, std::size_t lanes, const Sieve& sieve) = nullptr;

  /// `score` and `sift` in one, without a tile of scores in between: y = scale[j] * sum * (query_scale[i] * kSiftStep) +
  /// shift[i].
  std::size_t (*score_sift)(const Int8Rows& keys, std::size_t count, const std::uint8_t* query, const float* query_scale,
                            std::size_t lanes, const Sieve& sieve) = nullptr;
};

inline constexpr float kSiftStep = 0x1.715476p+23F;  ///< log2(e) * 2^23: natural logits to the exponents of floats
inline constexpr float kSiftLeast = 0x1p23F;         ///< the bits of the smallest normal number, 2^-126

/// The most features of a row: sums of 255 * 127 each stay below 2^31.
inline constexpr std::size_t kInt8Features = 65536;

/// Whether this processor multiplies and adds four 8-bit integers by one instruction (AVX-512 VNNI).
[[nodiscard]] bool has_vnni() noexcept;

/// The kernels of the target that KernelTable<T>::isa calls `isa`, which must be one of those this processor runs. `vnni` asks
/// for the instruction of has_vnni(), which must then be true; other targets than avx512 take no notice of it.
[[nodiscard]] const Int8Kernels& int8_kernels(std::string_view isa, bool vnni) noexcept;

}  // namespace attn::kernels

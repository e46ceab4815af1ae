// Products of 8-bit integers for tiles of attention, for each vector target.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace attn::kernels {

/// Numbers that are summed by one instruction where there is one: rows of 8-bit integers are cut into groups of as many.
inline constexpr std::size_t kQuad = 4;

/// Rows whose largest score stands for all of them: those that are multiplied side by side.
inline constexpr std::size_t kGroup = 6;

/// Numbers that are kept for each of them where they are taken apart.
inline constexpr std::size_t kGroupRoom = 8;

/// Sums that Int8Kernels::tails makes at once.
inline constexpr std::size_t kTails = 4;

/// Rows of features as signed integers, and what turns sums of their products back into numbers.
struct Int8Rows {
  const std::int8_t* data = nullptr;     ///< [rows][quads * kQuad], 0 beyond the features
  std::size_t quads = 0;                 ///< groups of kQuad features in a row
  const float* scale = nullptr;          ///< [rows]: a feature is about data * scale; NaN where a row is not finite
  const std::int32_t* offset = nullptr;  ///< [rows]: -128 times the sum of a row's integers
};

/// Queries of a block, [quads][kLanes][kQuad] with 128 added, and kLanes numbers of each of the others.
struct Int8Queries {
  const std::uint8_t* data = nullptr;
  const float* scale = nullptr;
  const float* norm = nullptr;  ///< what the errors of keys are multiplied by
  const float* lost = nullptr;  ///< the error of a query: what the lengths of keys are multiplied by
};

/// One query in integers of up to 16 bits: feature d is about scale * ((high[d] - 128) * 2^low_bits + low[d]).
struct Int8FineQuery {
  const std::uint8_t* high = nullptr;  ///< [quads * kQuad], and zeros (not 128) up to a whole number of 64 bytes; aligned to 64
  const std::uint8_t* low = nullptr;   ///< likewise, each below 2^low_bits
  unsigned low_bits = 0;
  float scale = 0;
};

/// As many low bits, at most 8, as leave sums of `features` products of a fine query and a row in 32 bits.
[[nodiscard]] constexpr unsigned fine_bits(std::size_t features) noexcept {
  constexpr std::size_t most = (std::size_t{1} << 31U) / (std::size_t{256} * 127);
  unsigned bits = 0;
  while (bits < 8 && features << (bits + 1) <= most) ++bits;
  return bits;
}

/// For each group of kGroup keys: what bounds the errors of its scores.
struct KeyErrors {
  const float* lost = nullptr;
  const float* longest = nullptr;
};

/// Where bounds are separated: see Int8Kernels::sift. kLanes numbers each but for found.
struct Sieve {
  const float* shift = nullptr;
  const float* limit = nullptr;
  float* sum = nullptr;
  std::int32_t* found = nullptr;
};

/// Where the keys of one query are separated: see Int8Kernels::pick.
struct PickLimits {
  float least = 0;
  float shift = 0;
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

  /// Bounds on the scores of groups of kGroup rows, which have one scale: peaks[j / kGroup][i] = scale[j] * query.scale[i] * the
  /// largest of the group's integer sums + (query.norm[i] * errors.lost[j / kGroup] + query.lost[i] * errors.longest[j /
  /// kGroup]). `maximum` becomes max(maximum, peaks) of each lane. The last group may have fewer rows.
  void (*peaks)(const Int8Rows& keys, std::size_t count, const KeyErrors& errors, const Int8Queries& queries, std::size_t lanes,
                std::uint16_t* peaks, float* maximum) = nullptr;

  /// The same of a tile of scores; NaN where one of the group is.
  void (*peaks_of)(const float* tile, std::size_t count, const KeyErrors& errors, const Int8Queries& queries, std::size_t lanes,
                   std::uint16_t* peaks, float* maximum) = nullptr;

  /// Separates what may matter from what does not. y = bounds[j][i] * kSiftStep + shift[i], at least kSiftLeast, is taken for the
  /// bits of a float, which is never below 2^(y / 2^23 - 127): a chord lies above a convex curve. Where y >= limit[i], or is NaN,
  /// j * kLanes + i is written to `found` (room for all pairs and one more), in ascending order; where it is not, the float is
  /// added to sum[i]. count <= kKeys; limit[i] <= kSiftMost. Returns how many were found.
  std::size_t (*sift)(const std::uint16_t* bounds, std::size_t count, std::size_t lanes, const Sieve& sieve) = nullptr;

  /// Several sums at once of the same floats, with `step` in the place of kSiftStep: sums[n][i] += those of bounds[j][i] <
  /// limits[n][i], n < kTails. With a step of 0 and a shift of 127 * 2^23 it counts them.
  void (*tails)(const std::uint16_t* bounds, std::size_t count, std::size_t lanes, float step, const float* shift,
                const float* limits, float* sums) = nullptr;

  /// scores[n][r] = scale[first[n]] * query.scale * the integer sum of row first[n] + r and a query, r < kGroup; -infinity from
  /// there to kGroupRoom. Sums must fit in 32 bits, as they do with fine_bits(). kGroupRoom more rows, and 64 bytes, of `keys`
  /// must be readable.
  void (*dots)(const Int8Rows& keys, const std::uint32_t* first, std::size_t count, const Int8FineQuery& query,
               float* scores) = nullptr;

  /// scores[n][r] += own[n]; where that is below limits.least, the float of `sift` is added to sums[r], else n * kGroupRoom + r
  /// is written to `found`, in ascending order. Returns how many were found.
  std::size_t (*pick)(float* scores, const float* own, std::size_t count, const PickLimits& limits, std::int32_t* found,
                      float* sums) = nullptr;
};

inline constexpr float kSiftStep = 0x1.715476p+23F;  ///< log2(e) * 2^23: natural logits to the exponents of floats
inline constexpr float kSiftLeast = 0x1p23F;         ///< the bits of the smallest normal number, 2^-126
inline constexpr float kSiftMost = 254 * 0x1p23F;    ///< of 2^127

/// The most features of a row: sums of 255 * 127 each stay below 2^31.
inline constexpr std::size_t kInt8Features = 65536;

/// Whether this processor multiplies and adds four 8-bit integers by one instruction (AVX-512 VNNI).
[[nodiscard]] bool has_vnni() noexcept;

/// The kernels of the target that KernelTable<T>::isa calls `isa`, which must be one of those this processor runs. `vnni` asks
/// for the instruction of has_vnni(), which must then be true; other targets than avx512 take no notice of it.
[[nodiscard]] const Int8Kernels& int8_kernels(std::string_view isa, bool vnni) noexcept;

}  // namespace attn::kernels

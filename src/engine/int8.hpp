// Attention in 8-bit integers: queries, keys, values and weights rounded with one scale for each row.
//
// A row x becomes integers x_d / s rounded to the nearest, s = max_d |x_d| / 127, so each feature is at most s / 2 off. Scores
// are exact sums of integer products times both scales. The weights of a query over a tile of keys, each times the scale of its
// value, become integers of 0 to 255 with one scale for the query and tile; sums over tiles are in float32 (compare Wang et al.
// 2024, INT-FlashAttention, and Zhang et al. 2025, SageAttention, which scale by rows or blocks likewise).
#pragma once

#include "engine/engine.hpp"
#include "engine/tiled_workspace.hpp"
#include "kernels/int8.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace attn::engine {

/// Rows of [batch, kv_heads, length, dim] as integers, four features in a group, and what was lost.
struct Int8Matrix {
  std::size_t quads = 0;             ///< groups of a row
  std::vector<std::int8_t> data;     ///< [batch, kv_heads, length, quads, 4]
  std::vector<float> scale;          ///< [batch, kv_heads, length]; NaN where a row is not finite
  std::vector<std::int32_t> offset;  ///< likewise: -128 times the sum of the row's integers
};

/// One row to integers: out[d] = row[d] / scale, rounded to the nearest, and 0 up to whole groups. Returns the scale: NaN (and
/// zeros) where the row is not finite, 0 where all features are below 2^-118.
[[nodiscard]] float quantize_row(const float* row, std::size_t dim, std::int8_t* out);
/// The same with the largest magnitude of several rows, as largest_magnitude() gives it, in the place of this one's.
[[nodiscard]] float quantize_row(const float* row, std::size_t dim, float largest, std::int8_t* out);
/// NaN or infinite where a number is.
[[nodiscard]] float largest_magnitude(const float* row, std::size_t dim);
/// Of the rows from `first` to before `end`.
[[nodiscard]] float largest_magnitude(const RowSpan<float>& rows, std::size_t first, std::size_t end, std::size_t dim);

/// A query in integers of up to 16 bits, a byte for the high and one for the low part of each.
class FineQuery {
 public:
  explicit FineQuery(std::size_t dim);

  /// The query `row` times `factor`.
  void load(const float* row, float factor);
  [[nodiscard]] kernels::Int8FineQuery get() const noexcept;
  /// Not below |row - what its integers stand for| * |factor|; NaN where the row is not finite.
  [[nodiscard]] float lost() const noexcept { return lost_; }

 private:
  const std::size_t dim_;
  const std::size_t padded_;  ///< features and zeros up to whole vectors
  AlignedArray<std::uint8_t> bytes_;
  float scale_ = 0;
  float lost_ = 0;
};

enum class Int8Use { attention, bounds };

/// The products of the tiled engine in 8-bit integers. Same bits on all targets and for all numbers of threads.
class Int8Products : public Products<float> {
 public:
  /// Rounds all keys and values, on execution.threads threads: a quarter of their float32 bytes, and 12 for each key. Throws
  /// Error(usage) for what int8_refusal() says. For bounds kernels::kGroup keys in a row share a scale, and there are no values.
  Int8Products(const Plan& plan, const Operands<float>& operands, const Execution& execution, Int8Use use = Int8Use::attention);

  /// The same without the instruction of kernels::has_vnni(), for comparison.
  void avoid_vnni() { kernels_ = &kernels::int8_kernels(isa_, false); }

  [[nodiscard]] std::size_t query_bytes() const override;
  [[nodiscard]] std::size_t scratch_bytes() const override;
  void load_queries(const float* rows, std::size_t stride, std::size_t lanes, float factor, std::byte* queries) const override;
  void score(const ProductKeys& keys, const std::byte* queries, std::size_t lanes, float* tile, float* maximum,
             std::byte* scratch) const override;
  void add_values(const ProductKeys& keys, const float* weights, std::size_t lanes, const float* rescale, float* output,
                  std::byte* scratch) const override;
  /// Of Int8Use::bounds, for a tile from its first key on: see kernels::Int8Kernels::peaks. `norm` and `lost` are [kLanes].
  void peaks(const ProductKeys& keys, const std::byte* queries, const float* norm, const float* lost,
             const kernels::KeyErrors& errors, std::size_t lanes, std::uint16_t* peaks, float* maximum) const;
  /// The scores of one query with groups of keys, the first of each in `first`: see kernels::Int8Kernels::dots.
  void dots(std::size_t batch, std::size_t kv_head, std::span<const std::uint32_t> first, const FineQuery& query,
            float* scores) const;
  [[nodiscard]] const kernels::Int8Kernels& kernels() const noexcept { return *kernels_; }

 private:
  void take_keys(const Operands<float>& operands, std::size_t batch, std::size_t kv_head, const KeyRange& keys, Int8Use use);
  [[nodiscard]] kernels::Int8Rows rows_of(const ProductKeys& keys) const noexcept;
  [[nodiscard]] const float* scales(const std::byte* queries) const noexcept;
  void take_values(const Operands<float>& operands, std::size_t batch, std::size_t kv_head, const KeyRange& keys);
  [[nodiscard]] std::size_t head_of(const ProductKeys& keys) const noexcept { return keys.batch * dims_.kv_heads + keys.kv_head; }

  const Dims dims_;
  const std::string isa_;
  const kernels::Int8Kernels* kernels_;
  Int8Matrix keys_;
  std::size_t value_quads_;          ///< groups of four keys
  std::vector<std::int8_t> values_;  ///< [batch, kv_heads, value_quads, value_dim, 4]: four keys in a group
  std::vector<float> value_scale_;   ///< [batch, kv_heads, kv_len]
};

/// Why other products than the kernels' cannot serve the plan, or nothing: scores must be products, weights never negative.
[[nodiscard]] std::string products_refusal(const Plan& plan);
/// The same for Int8Products.
[[nodiscard]] std::string int8_refusal(const Plan& plan);

/// Bytes that Int8Products hold for a plan, whatever the threads.
[[nodiscard]] std::uint64_t int8_bytes(const Dims& dims, Int8Use use = Int8Use::attention) noexcept;

}  // namespace attn::engine

// Attention in bfloat16 products: queries, keys, values and weights rounded to bfloat16, or split in two of them.
//
// One part: x becomes the bfloat16 nearest to it, and products are summed in float32. Two parts: x becomes high + low, 16 bits of
// it, and a product is high * high + high * low + low * high, summed in float32 (compare Henry, Tang, Heinecke 2019, "Leveraging
// the bfloat16 Artificial Intelligence Datatype For Higher-Precision Computations"). Three ways to compute it, which agree within
// rounding: AMX tiles, vectors of pairs (AVX-512 BF16), and the kernels of float32 on rounded numbers; the latter multiply high +
// low as they are, so that low * low is in it, too.
#pragma once

#include "engine/engine.hpp"
#include "kernels/bf16.hpp"
#include "kernels/kernels.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace attn::engine {

/// Parts that a number is split in.
enum class Bf16Parts : std::uint8_t { one = 1, two = 2 };

/// What all ways share: how numbers are rounded, and where the tiles of keys lie, [batch, kv_heads, tiles].
class Bf16Products : public Products<float> {
 protected:
  /// Throws Error(usage) for what products_refusal() says.
  Bf16Products(const Plan& plan, const Execution& execution, Bf16Parts parts);

  /// Calls take(head, keys) for each tile, `head` of [batch, kv_heads], on execution.threads threads.
  void take_tiles(const Execution& execution, const std::function<void(std::size_t, const KeyRange&)>& take) const;
  [[nodiscard]] std::size_t all_tiles() const noexcept { return dims_.batch * dims_.kv_heads * tiles_; }
  [[nodiscard]] std::size_t tile_of(std::size_t head, const KeyRange& keys) const noexcept;
  [[nodiscard]] std::size_t tile_of(const ProductKeys& keys) const noexcept { return tile_of(head_of(keys), keys.keys); }
  [[nodiscard]] std::size_t head_of(const ProductKeys& keys) const noexcept { return keys.batch * dims_.kv_heads + keys.kv_head; }
  /// Of the first of `keys`, among the rows of [batch, kv_heads, kv_len].
  [[nodiscard]] std::size_t row_of(const ProductKeys& keys) const noexcept {
    return head_of(keys) * dims_.kv_len + keys.keys.begin;
  }
  [[nodiscard]] bool is_split() const noexcept { return parts_ == Bf16Parts::two; }

  const Dims dims_;
  const Bf16Parts parts_;
  const std::size_t tiles_;  ///< of a head
  const kernels::KernelTable<float>& k_;
  const kernels::Bf16Kernels& rounding_;
};

/// Rounded numbers as float32, and the engine's own kernels. The same bits on all vector targets.
class RoundedProducts : public Bf16Products {
 public:
  /// Rounds all keys and values, on execution.threads threads. Throws Error(usage) for what products_refusal() says.
  RoundedProducts(const Plan& plan, const Operands<float>& operands, const Execution& execution, Bf16Parts parts);

  [[nodiscard]] std::size_t query_bytes() const override;
  [[nodiscard]] std::size_t scratch_bytes() const override;
  void load_queries(const float* rows, std::size_t stride, std::size_t lanes, float factor, std::byte* queries) const override;
  void score(const ProductKeys& keys, const std::byte* queries, std::size_t lanes, float* tile, float* maximum,
             std::byte* scratch) const override;
  void add_values(const ProductKeys& keys, const float* weights, std::size_t lanes, const float* rescale, float* output,
                  std::byte* scratch) const override;

 private:
  void take(const RowSource<float>& source, std::size_t head, const KeyRange& keys, std::vector<float>& to) const;

  std::vector<float> keys_;               ///< [batch, kv_heads, kv_len, head_dim]
  std::vector<float> values_;             ///< [batch, kv_heads, kv_len, value_dim]
  std::vector<std::uint8_t> not_finite_;  ///< [batch, kv_heads, tiles]: whether any value of a tile's keys is NaN or infinite
};

/// Pairs of bfloat16 numbers, and a product of them. Subnormal numbers count as 0.
class PairProducts : public Bf16Products {
 public:
  /// Packs all keys and values, on execution.threads threads. `way` must outlive this. Throws as RoundedProducts does.
  PairProducts(const Plan& plan, const Operands<float>& operands, const Execution& execution, Bf16Parts parts,
               const kernels::PairProduct& way);

  [[nodiscard]] std::size_t query_bytes() const override;
  [[nodiscard]] std::size_t scratch_bytes() const override;
  void load_queries(const float* rows, std::size_t stride, std::size_t lanes, float factor, std::byte* queries) const override;
  void score(const ProductKeys& keys, const std::byte* queries, std::size_t lanes, float* tile, float* maximum,
             std::byte* scratch) const override;
  void add_values(const ProductKeys& keys, const float* weights, std::size_t lanes, const float* rescale, float* output,
                  std::byte* scratch) const override;

 private:
  /// One or two arrays of words, as there are parts.
  struct Words {
    std::vector<std::uint32_t> high;
    std::vector<std::uint32_t> low;
  };
  void take_keys(const Operands<float>& operands, std::size_t head, const KeyRange& keys);
  void take_values(const Operands<float>& operands, std::size_t head, const KeyRange& keys);
  void mend_scores(const ProductKeys& keys, const std::uint32_t* query, std::size_t lanes, float* tile) const;
  void mend_values(const ProductKeys& keys, const float* weights, std::size_t lanes, float* output) const;
  [[nodiscard]] std::size_t query_words() const noexcept;

  const kernels::PairProduct& way_;
  const RowSource<float> value_;                 ///< for values that are not finite
  std::size_t key_pairs_;                        ///< words of a key: its features, 0 up to whole groups
  std::size_t value_rows_;                       ///< rows of a tile of values: features, up to whole groups
  Words keys_;                                   ///< [batch, kv_heads, kv_len, key_pairs], and rows up to a whole group
  Words values_;                                 ///< [batch, kv_heads, tiles, value_rows, kKeys / 2], 0 for what is not finite
  std::vector<std::uint8_t> keys_not_finite_;    ///< [batch, kv_heads, tiles]: whether any number of a tile's keys is
  std::vector<std::uint8_t> values_not_finite_;  ///< the same of values
};

/// The products for the best way that execution.isa leaves on this processor.
[[nodiscard]] std::unique_ptr<Products<float>> make_bf16_products(const Plan& plan, const Operands<float>& operands,
                                                                  const Execution& execution, Bf16Parts parts);

/// Bytes that any of them holds for a plan, at most, whatever the threads.
[[nodiscard]] std::uint64_t bf16_bytes(const Dims& dims, Bf16Parts parts) noexcept;

}  // namespace attn::engine

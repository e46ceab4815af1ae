// The two products of attention by other means than full-width kernels: the place where cheaper arithmetic joins the tiled
// engine.
#pragma once

#include "engine/plan.hpp"

#include <cstddef>

namespace attn::engine {

/// Keys [begin, end) of one key/value head, within one tile of kernels::kKeys.
struct ProductKeys {
  std::size_t batch = 0;
  std::size_t kv_head = 0;
  KeyRange keys;
};

/// What a tile's two products are computed by, instead of the kernels' own. Keys and values are held in whatever form suits; all
/// else (masks, normalizers, sums, observers) stays the engine's. Called from several threads at once. Results must depend on
/// the operands alone, never on the blocks or threads that ask. T is the type computed in.
template <class T>
class Products {
 public:
  Products() = default;
  Products(const Products&) = delete;
  Products& operator=(const Products&) = delete;
  virtual ~Products() = default;

  /// Bytes that a block's queries take in the form `load_queries` gives them, and those of a thread's workspace. Both are lent
  /// aligned to 64 bytes.
  [[nodiscard]] virtual std::size_t query_bytes() const = 0;
  [[nodiscard]] virtual std::size_t scratch_bytes() const = 0;

  /// Queries rows[i * stride ..] for i < lanes, times `factor`, to `queries`.
  virtual void load_queries(const T* rows, std::size_t stride, std::size_t lanes, T factor, std::byte* queries) const = 0;
  /// tile[j][i] is about query i times key keys.begin + j, as KernelTable::score_product has it; so is `maximum`.
  virtual void score(const ProductKeys& keys, const std::byte* queries, std::size_t lanes, T* tile, T* maximum,
                     std::byte* scratch) const = 0;
  /// output[f][i] = output[f][i] * rescale[i] + about the sum of value[keys.begin + j][f] * weights[j][i]. A weight of 0 leaves
  /// its value out, NaN or not. Weights are never negative.
  virtual void add_values(const ProductKeys& keys, const T* weights, std::size_t lanes, const T* rescale, T* output,
                          std::byte* scratch) const = 0;
};

}  // namespace attn::engine

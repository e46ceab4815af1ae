// Attention in bfloat16 by the kernels of float32 on rounded numbers, and the choice between ways.
#include "engine/bf16.hpp"

#include "base/groups.hpp"
#include "engine/blocks.hpp"
#include "engine/int8.hpp"
#include "engine/tiled_settings.hpp"

#include <attn/error.hpp>

#include <algorithm>

namespace attn::engine {

using kernels::kKeys;
using kernels::kLanes;

Bf16Products::Bf16Products(const Plan& plan, const Execution& execution, Bf16Parts parts)
    : dims_(plan.dims),
      parts_(parts),
      tiles_(tile_count(plan.dims.kv_len)),
      k_(kernels_for<float>(execution.isa)),
      rounding_(kernels::bf16_kernels(k_.isa)) {
  const std::string refusal = products_refusal(plan);
  if (!refusal.empty()) throw Error(Status::usage, "bfloat16 does not apply: " + refusal);
}

void Bf16Products::take_tiles(const Execution& execution, const std::function<void(std::size_t, const KeyRange&)>& take) const {
  for_each_task(all_tiles(), execution, [&](std::size_t task) {
    const std::size_t first = task % tiles_ * kKeys;
    take(task / tiles_, {first, std::min(first + kKeys, dims_.kv_len)});
  });
}

std::size_t Bf16Products::tile_of(std::size_t head, const KeyRange& keys) const noexcept {
  return head * tiles_ + keys.begin / kKeys;
}

RoundedProducts::RoundedProducts(const Plan& plan, const Operands<float>& operands, const Execution& execution, Bf16Parts parts)
    : Bf16Products(plan, execution, parts) {
  const std::size_t rows = dims_.batch * dims_.kv_heads * dims_.kv_len;
  keys_.resize(rows * dims_.head_dim);
  values_.resize(rows * dims_.value_dim);
  not_finite_.resize(all_tiles());
  take_tiles(execution, [&](std::size_t head, const KeyRange& keys) {
    take(operands.key, head, keys, keys_);
    take(operands.value, head, keys, values_);
    const float* values = values_.data() + (head * dims_.kv_len + keys.begin) * dims_.value_dim;
    const bool finite = k_.all_finite(values, dims_.value_dim, keys.end - keys.begin, dims_.value_dim);
    not_finite_[tile_of(head, keys)] = finite ? 0 : 1;
  });
}

void RoundedProducts::take(const RowSource<float>& source, std::size_t head, const KeyRange& keys, std::vector<float>& to) const {
  const std::size_t dim = source.dim();
  float* out = to.data() + (head * dims_.kv_len + keys.begin) * dim;
  source.make(head / dims_.kv_heads, head % dims_.kv_heads, keys.begin, keys.end - keys.begin, out);
  rounding_.round_row(out, (keys.end - keys.begin) * dim, is_split(), out);
}

std::size_t RoundedProducts::query_bytes() const { return dims_.head_dim * kLanes * sizeof(float); }

std::size_t RoundedProducts::scratch_bytes() const { return kKeys * kLanes * sizeof(float); }

void RoundedProducts::load_queries(const float* rows, std::size_t stride, std::size_t lanes, float factor,
                                   std::byte* queries) const {
  const std::size_t dim = dims_.head_dim;
  std::vector<float> rounded(lanes * dim);
  for (std::size_t i = 0; i < lanes; ++i) rounding_.round_row(rows + i * stride, dim, is_split(), rounded.data() + i * dim);
  k_.load_queries(rounded.data(), dim, lanes, dim, factor, reinterpret_cast<float*>(queries));
}

void RoundedProducts::score(const ProductKeys& keys, const std::byte* queries, std::size_t lanes, float* tile, float* maximum,
                            std::byte* /*scratch*/) const {
  const std::size_t row = row_of(keys);
  const std::size_t count = keys.keys.end - keys.keys.begin;
  const kernels::Ahead<float> ahead{values_.data() + row * dims_.value_dim, dims_.value_dim, count, dims_.value_dim};
  k_.score_product(keys_.data() + row * dims_.head_dim, dims_.head_dim, count, dims_.head_dim,
                   reinterpret_cast<const float*>(queries), lanes, tile, maximum, ahead);
}

void RoundedProducts::add_values(const ProductKeys& keys, const float* weights, std::size_t lanes, const float* rescale,
                                 float* output, std::byte* scratch) const {
  const std::size_t count = keys.keys.end - keys.keys.begin;
  const std::size_t dim = dims_.value_dim;
  auto* const rounded = reinterpret_cast<float*>(scratch);
  rounding_.round(weights, count, lanes, is_split(), rounded);
  const float* values = values_.data() + row_of(keys) * dim;
  if (not_finite_[tile_of(keys)] != 0)
    return k_.value_product_select(rounded, rounded, values, dim, count, dim, lanes, rescale, output);
  const std::size_t left = std::min(kKeys, dims_.kv_len - keys.keys.end);
  const kernels::Ahead<float> ahead{keys_.data() + (row_of(keys) + count) * dims_.head_dim, dims_.head_dim, left, dims_.head_dim};
  k_.value_product(rounded, values, dim, count, dim, lanes, rescale, output, ahead);
}

std::unique_ptr<Products<float>> make_bf16_products(const Plan& plan, const Operands<float>& operands, const Execution& execution,
                                                    Bf16Parts parts) {
  const std::string isa = selected_isa(execution.isa);
  // Three products by vectors would take longer than one of float32, which is as near.
  const kernels::PairProduct* way = kernels::tile_pairs(isa);
  if (way == nullptr && parts == Bf16Parts::one && kernels::vector_pairs_pay()) way = kernels::vector_pairs(isa);
  if (way == nullptr) return std::make_unique<RoundedProducts>(plan, operands, execution, parts);
  return std::make_unique<PairProducts>(plan, operands, execution, parts, *way);
}

std::uint64_t bf16_bytes(const Dims& d, Bf16Parts parts) noexcept {
  const std::uint64_t heads = d.batch * d.kv_heads;
  const std::uint64_t tiles = heads * tile_count(d.kv_len);
  const std::uint64_t floats = heads * d.kv_len * (d.head_dim + d.value_dim) * sizeof(float);
  const std::uint64_t keys = (heads * d.kv_len + kernels::kTileRows) * whole_groups(d.head_dim, 2 * kernels::kTilePairs);
  const std::uint64_t values = tiles * kKeys * whole_groups(d.value_dim, kernels::kTileRows);
  const std::uint64_t halves = (keys + values) * sizeof(std::uint16_t) * static_cast<std::uint64_t>(parts);
  return std::max(floats, halves) + 2 * tiles;
}

}  // namespace attn::engine

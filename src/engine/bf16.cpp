// Attention in bfloat16 by the kernels of float32 on rounded numbers, and the choice between ways.
#include "engine/bf16.hpp"

#include "engine/int8.hpp"
#include "engine/tiled_settings.hpp"

#include <attn/error.hpp>

#include <algorithm>

namespace attn::engine {

using kernels::kKeys;
using kernels::kLanes;

namespace {

std::size_t tiles_of(const Dims& d) noexcept { return (d.kv_len + kKeys - 1) / kKeys; }

}  // namespace

RoundedProducts::RoundedProducts(const Plan& plan, const Operands<float>& operands, const Execution& execution, Bf16Parts parts)
    : dims_(plan.dims), parts_(parts), k_(kernels_for<float>(execution.isa)), rounding_(kernels::bf16_kernels(k_.isa)) {
  const std::string refusal = products_refusal(plan);
  if (!refusal.empty()) throw Error(Status::usage, "bfloat16 does not apply: " + refusal);
  const std::size_t heads = dims_.batch * dims_.kv_heads;
  const std::size_t tiles = tiles_of(dims_);
  keys_.resize(heads * dims_.kv_len * dims_.head_dim);
  values_.resize(heads * dims_.kv_len * dims_.value_dim);
  not_finite_.resize(heads * tiles);
  for_each_task(heads * tiles, execution, [&](std::size_t task) {
    const std::size_t first = task % tiles * kKeys;
    const KeyRange keys{first, std::min(first + kKeys, dims_.kv_len)};
    take(operands.key, task / tiles, keys, keys_);
    take(operands.value, task / tiles, keys, values_);
    const float* values = values_.data() + (task / tiles * dims_.kv_len + first) * dims_.value_dim;
    not_finite_[task] = k_.all_finite(values, dims_.value_dim, keys.end - keys.begin, dims_.value_dim) ? 0 : 1;
  });
}

void RoundedProducts::take(const RowSource<float>& source, std::size_t head, const KeyRange& keys, std::vector<float>& to) const {
  const std::size_t dim = source.dim();
  float* out = to.data() + (head * dims_.kv_len + keys.begin) * dim;
  source.make(head / dims_.kv_heads, head % dims_.kv_heads, keys.begin, keys.end - keys.begin, out);
  rounding_.round_row(out, (keys.end - keys.begin) * dim, parts_ == Bf16Parts::two, out);
}

std::size_t RoundedProducts::row_of(const ProductKeys& keys) const noexcept {
  return (keys.batch * dims_.kv_heads + keys.kv_head) * dims_.kv_len + keys.keys.begin;
}

std::size_t RoundedProducts::query_bytes() const { return dims_.head_dim * kLanes * sizeof(float); }

std::size_t RoundedProducts::scratch_bytes() const { return kKeys * kLanes * sizeof(float); }

void RoundedProducts::load_queries(const float* rows, std::size_t stride, std::size_t lanes, float factor,
                                   std::byte* queries) const {
  const std::size_t dim = dims_.head_dim;
  std::vector<float> rounded(lanes * dim);
  for (std::size_t i = 0; i < lanes; ++i)
    rounding_.round_row(rows + i * stride, dim, parts_ == Bf16Parts::two, rounded.data() + i * dim);
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
  rounding_.round(weights, count, lanes, parts_ == Bf16Parts::two, rounded);
  const float* values = values_.data() + row_of(keys) * dim;
  const std::size_t head = keys.batch * dims_.kv_heads + keys.kv_head;
  if (not_finite_[head * tiles_of(dims_) + keys.keys.begin / kKeys] != 0)
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
  const auto whole = [](std::uint64_t n, std::uint64_t group) { return (n + group - 1) / group * group; };
  const std::uint64_t heads = d.batch * d.kv_heads;
  const std::uint64_t floats = heads * d.kv_len * (d.head_dim + d.value_dim) * sizeof(float);
  const std::uint64_t keys = (heads * d.kv_len + kernels::kTileRows) * whole(d.head_dim, 2 * kernels::kTilePairs);
  const std::uint64_t values = heads * tiles_of(d) * kKeys * whole(d.value_dim, kernels::kTileRows);
  const std::uint64_t halves = (keys + values) * sizeof(std::uint16_t) * static_cast<std::uint64_t>(parts);
  return std::max(floats, halves) + 2 * heads * tiles_of(d);
}

}  // namespace attn::engine

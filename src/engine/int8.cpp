// Attention in 8-bit integers: rounding rows, and the products of the tiled engine.
#include "engine/int8.hpp"

#include "base/groups.hpp"
#include "kernels/kernels.hpp"

#include <attn/error.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include <fmt/format.h>

namespace attn::engine {

using kernels::kKeys;
using kernels::kLanes;
using kernels::kQuad;

namespace {

constexpr std::size_t kVectorBytes = 64;         ///< of the widest vectors
constexpr std::size_t kRowsAtATime = 4 * kKeys;  ///< a whole number of tiles of keys

constexpr float kMost = 127;  ///< magnitude of a row's integers

std::size_t quads_of(std::size_t count) noexcept { return groups_of(count, kQuad); }

/// What integers of a row with this largest magnitude are multiplied by: NaN where it is not finite, 0 where it is tiny.
float scale_of(float largest) noexcept {
  constexpr float smallest = 0x1p-118F;
  if (!(largest <= std::numeric_limits<float>::max())) return std::numeric_limits<float>::quiet_NaN();
  return largest < smallest ? 0 : largest / kMost;
}

bool has_scale(float largest) noexcept { return scale_of(largest) > 0; }

/// The nearest integer's bits, the lowest 22 of which are right where |x| < 2^21.
std::uint32_t low_bits_of_nearest(float x) noexcept {
  constexpr float magic = 0x1.8p23F;  // adding it leaves the nearest integer in the low bits
  return std::bit_cast<std::uint32_t>(x + magic);
}

}  // namespace

float largest_magnitude(const float* row, std::size_t dim) {
  std::int32_t bits = 0;  // as integers, magnitudes have their order, infinity and NaN above all of them
  for (std::size_t d = 0; d < dim; ++d) bits = std::max(bits, std::bit_cast<std::int32_t>(row[d]) & 0x7FFFFFFF);
  return std::bit_cast<float>(bits);
}

float largest_magnitude(const RowSpan<float>& rows, std::size_t first, std::size_t end, std::size_t dim) {
  std::uint32_t bits = 0;
  for (std::size_t j = first; j < end; ++j)
    bits = std::max(bits, std::bit_cast<std::uint32_t>(largest_magnitude(rows.data + j * rows.stride, dim)));
  return std::bit_cast<float>(bits);
}

float quantize_row(const float* row, std::size_t dim, std::int8_t* out) {
  return quantize_row(row, dim, largest_magnitude(row, dim), out);
}

float quantize_row(const float* row, std::size_t dim, float largest, std::int8_t* out) {
  std::fill_n(out, quads_of(dim) * kQuad, std::int8_t{0});
  if (!has_scale(largest)) return scale_of(largest);
  const float inverse = kMost / largest;
  for (std::size_t d = 0; d < dim; ++d)
    out[d] = static_cast<std::int8_t>(static_cast<std::uint8_t>(low_bits_of_nearest(row[d] * inverse)));
  return scale_of(largest);
}

FineQuery::FineQuery(std::size_t dim) : dim_(dim), padded_(whole_groups(dim, kVectorBytes)), bytes_(2 * padded_) {}

void FineQuery::load(const float* row, float factor) {
  const float largest = largest_magnitude(row, dim_);
  const unsigned bits = kernels::fine_bits(dim_);
  const auto unit = static_cast<float>(1U << bits);
  scale_ = scale_of(largest) / unit * std::abs(factor);
  const bool is_tiny = scale_ < std::numeric_limits<float>::min();
  if (is_tiny) scale_ = 0;
  // Half a unit of each feature, and what rounding to float32 on the way there adds; or the whole row.
  lost_ = std::sqrt(static_cast<float>(dim_)) * (is_tiny ? largest * std::abs(factor) * (1 + 0x1p-20F) : scale_ * 0.51F);
  const float inverse = scale_ > 0 ? std::copysign(kMost / largest, factor) : 0;
  std::uint8_t* const high = bytes_.get();
  std::uint8_t* const low = high + padded_;
  for (std::size_t d = 0; d < dim_; ++d) {
    // With 128 units of the high part added, nothing is negative.
    const float number = inverse == 0 ? 0 : row[d] * inverse * unit;
    const std::uint32_t integer = low_bits_of_nearest(number) + (std::uint32_t{128} << bits);
    high[d] = static_cast<std::uint8_t>(integer >> bits);
    low[d] = static_cast<std::uint8_t>(integer & ((1U << bits) - 1));
  }
}

kernels::Int8FineQuery FineQuery::get() const noexcept {
  return {.high = bytes_.get(), .low = bytes_.get() + padded_, .low_bits = kernels::fine_bits(dim_), .scale = scale_};
}

std::string products_refusal(const Plan& plan) {
  const Score score = plan.options.score;
  if (score == Score::euclidean || score == Score::sqeuclidean) return "scores must be products, and distances are none";
  if (plan.options.normalize == Normalizer::none) return "weights must not be negative, and without a normalizer they may be";
  return "";
}

std::string int8_refusal(const Plan& plan) {
  if (plan.dims.head_dim > kernels::kInt8Features)
    return fmt::format("sums of more than {} features do not fit 32 bits", kernels::kInt8Features);
  return products_refusal(plan);
}

std::uint64_t int8_bytes(const Dims& d, Int8Use use) noexcept {
  const std::uint64_t heads = d.batch * d.kv_heads;
  const std::uint64_t values =
      use == Int8Use::attention ? d.kv_len * sizeof(float) + quads_of(d.kv_len) * kQuad * d.value_dim : 0;
  return heads * (d.kv_len * (quads_of(d.head_dim) * kQuad + 2 * sizeof(float)) + values);
}

Int8Products::Int8Products(const Plan& plan, const Operands<float>& operands, const Execution& execution, Int8Use use)
    : dims_(plan.dims),
      isa_(selected_isa(execution.isa)),
      kernels_(&kernels::int8_kernels(isa_, kernels::has_vnni())),
      value_quads_(quads_of(plan.dims.kv_len)) {
  const std::string refusal = int8_refusal(plan);
  if (!refusal.empty()) throw Error(Status::usage, "int8 does not apply: " + refusal);
  const std::size_t heads = dims_.batch * dims_.kv_heads;
  keys_.quads = quads_of(dims_.head_dim);
  const std::size_t beyond = use == Int8Use::bounds ? kernels::kGroupRoom : 0;
  keys_.data.resize((heads * dims_.kv_len + beyond) * keys_.quads * kQuad + (beyond == 0 ? 0 : kVectorBytes));
  keys_.scale.resize(heads * dims_.kv_len);
  keys_.offset.resize(heads * dims_.kv_len + beyond);
  const bool with_values = use == Int8Use::attention;
  values_.resize(with_values ? heads * value_quads_ * dims_.value_dim * kQuad : 0);
  value_scale_.resize(with_values ? heads * dims_.kv_len : 0);
  const std::size_t pieces = (dims_.kv_len + kRowsAtATime - 1) / kRowsAtATime;
  for_each_task(heads * pieces, execution, [&](std::size_t task) {
    const std::size_t head = task / pieces;
    const std::size_t first = task % pieces * kRowsAtATime;
    const KeyRange keys{first, std::min(first + kRowsAtATime, dims_.kv_len)};
    take_keys(operands, head / dims_.kv_heads, head % dims_.kv_heads, keys, use);
    if (with_values) take_values(operands, head / dims_.kv_heads, head % dims_.kv_heads, keys);
  });
}

void Int8Products::take_keys(const Operands<float>& operands, std::size_t batch, std::size_t kv_head, const KeyRange& keys,
                             Int8Use use) {
  const std::size_t dim = dims_.head_dim;
  std::vector<float> buffer(operands.key.is_direct() ? 0 : (keys.end - keys.begin) * dim);
  const RowSpan<float> rows = operands.key.rows(batch, kv_head, keys.begin, keys.end - keys.begin, buffer.data());
  const std::size_t shared = use == Int8Use::bounds ? kernels::kGroup : 1;  // rows with one scale
  for (std::size_t first = keys.begin; first < keys.end; first += shared) {
    const std::size_t end = std::min(first + shared, keys.end);
    const auto row = [&](std::size_t j) { return rows.data + (j - keys.begin) * rows.stride; };
    const float largest = largest_magnitude(rows, first - keys.begin, end - keys.begin, dim);
    for (std::size_t j = first; j < end; ++j) {
      const std::size_t at = (batch * dims_.kv_heads + kv_head) * dims_.kv_len + j;
      std::int8_t* out = keys_.data.data() + at * keys_.quads * kQuad;
      keys_.scale[at] = quantize_row(row(j), dim, largest, out);
      std::int32_t sum = 0;
      for (std::size_t d = 0; d < dim; ++d) sum += out[d];
      keys_.offset[at] = -128 * sum;
    }
  }
}

void Int8Products::take_values(const Operands<float>& operands, std::size_t batch, std::size_t kv_head, const KeyRange& keys) {
  const std::size_t dim = dims_.value_dim;
  std::vector<float> buffer(operands.value.is_direct() ? 0 : (keys.end - keys.begin) * dim);
  const RowSpan<float> rows = operands.value.rows(batch, kv_head, keys.begin, keys.end - keys.begin, buffer.data());
  std::vector<std::int8_t> integers(quads_of(dim) * kQuad);
  const std::size_t head = batch * dims_.kv_heads + kv_head;
  for (std::size_t j = keys.begin; j < keys.end; ++j) {
    value_scale_[head * dims_.kv_len + j] = quantize_row(rows.data + (j - keys.begin) * rows.stride, dim, integers.data());
    std::int8_t* out = values_.data() + (head * value_quads_ + j / kQuad) * dim * kQuad + j % kQuad;
    for (std::size_t f = 0; f < dim; ++f) out[f * kQuad] = integers[f];
  }
}

// A block's queries: [quads][kLanes][kQuad] integers with 128 added, then kLanes scales.
std::size_t Int8Products::query_bytes() const { return kLanes * (keys_.quads * kQuad + sizeof(float)); }

// A tile's weights, one group more than its keys fill where they begin in the middle of one; then a unit for each lane.
std::size_t Int8Products::scratch_bytes() const { return kLanes * (kKeys + kQuad + sizeof(float)); }

void Int8Products::load_queries(const float* rows, std::size_t stride, std::size_t lanes, float factor,
                                std::byte* queries) const {
  auto* const integers = reinterpret_cast<std::uint8_t*>(queries);
  auto* const scale = reinterpret_cast<float*>(queries + kLanes * keys_.quads * kQuad);
  std::fill_n(integers, kLanes * keys_.quads * kQuad, std::uint8_t{128});
  std::fill_n(scale, kLanes, 0.0F);
  std::vector<std::int8_t> row(keys_.quads * kQuad);
  for (std::size_t i = 0; i < lanes; ++i) {
    // The sign of the factor goes with the integers, so that the largest sum belongs to the largest score.
    scale[i] = quantize_row(rows + i * stride, dims_.head_dim, row.data()) * std::abs(factor);
    for (std::size_t d = 0; d < row.size(); ++d)
      integers[(d / kQuad * kLanes + i) * kQuad + d % kQuad] = static_cast<std::uint8_t>((factor < 0 ? -row[d] : row[d]) + 128);
  }
}

kernels::Int8Rows Int8Products::rows_of(const ProductKeys& keys) const noexcept {
  const std::size_t first = head_of(keys) * dims_.kv_len + keys.keys.begin;
  return {.data = keys_.data.data() + first * keys_.quads * kQuad,
          .quads = keys_.quads,
          .scale = keys_.scale.data() + first,
          .offset = keys_.offset.data() + first};
}

const float* Int8Products::scales(const std::byte* queries) const noexcept {
  return reinterpret_cast<const float*>(queries + kLanes * keys_.quads * kQuad);
}

void Int8Products::score(const ProductKeys& keys, const std::byte* queries, std::size_t lanes, float* tile, float* maximum,
                         std::byte* /*scratch*/) const {
  kernels_->score(rows_of(keys), keys.keys.end - keys.keys.begin, reinterpret_cast<const std::uint8_t*>(queries), scales(queries),
                  lanes, tile, maximum);
}

void Int8Products::peaks(const ProductKeys& keys, const std::byte* queries, const float* norm, const float* lost,
                         const kernels::KeyErrors& errors, std::size_t lanes, std::uint16_t* peaks, float* maximum) const {
  kernels_->peaks(rows_of(keys), keys.keys.end - keys.keys.begin, errors,
                  {reinterpret_cast<const std::uint8_t*>(queries), scales(queries), norm, lost}, lanes, peaks, maximum);
}

void Int8Products::dots(std::size_t batch, std::size_t kv_head, std::span<const std::uint32_t> first, const FineQuery& query,
                        float* scores) const {
  kernels_->dots(rows_of({batch, kv_head, {0, dims_.kv_len}}), first.data(), first.size(), query.get(), scores);
}

void Int8Products::add_values(const ProductKeys& keys, const float* weights, std::size_t lanes, const float* rescale,
                              float* output, std::byte* scratch) const {
  const std::size_t count = keys.keys.end - keys.keys.begin;
  const std::size_t lead = keys.keys.begin % kQuad;
  auto* const packed = reinterpret_cast<std::uint8_t*>(scratch);
  auto* const unit = reinterpret_cast<float*>(scratch + kLanes * (kKeys + kQuad));
  kernels_->pack_weights(weights, value_scale_.data() + head_of(keys) * dims_.kv_len + keys.keys.begin, count, lead, lanes,
                         packed, unit);
  const std::int8_t* values = values_.data() + (head_of(keys) * value_quads_ + keys.keys.begin / kQuad) * dims_.value_dim * kQuad;
  kernels_->add_values(packed, values, quads_of(lead + count), dims_.value_dim, lanes, unit, rescale, output);
}

}  // namespace attn::engine

// What is known of keys before they are looked at one by one.
#include "engine/prune_keys.hpp"

#include "engine/int8.hpp"
#include "kernels/kernels.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace attn::engine {

using kernels::kKeys;

namespace {

constexpr double kOutward = 1 + 0x1p-40;  ///< more than sums of float64 squares can round off below 2^10 features at a time

/// NaN and infinity to infinity.
double bounded(double x) { return x <= std::numeric_limits<double>::max() ? x : std::numeric_limits<double>::infinity(); }

}  // namespace

RowNorms row_norms(const float* row, std::size_t dim) { return row_norms(row, dim, largest_magnitude(row, dim)); }

RowNorms row_norms(const float* row, std::size_t dim, float largest) {
  constexpr std::size_t few = 256;
  std::int8_t own[few];
  const std::size_t room = (dim + kernels::kQuad - 1) / kernels::kQuad * kernels::kQuad;
  std::vector<std::int8_t> many(room > few ? room : 0);
  std::int8_t* const integers = room > few ? many.data() : own;
  const auto scale = static_cast<double>(quantize_row(row, dim, largest, integers));
  double rounded = 0;
  double lost = 0;
  for (std::size_t d = 0; d < dim; ++d) {
    const double near = scale * integers[d];
    const double off = static_cast<double>(row[d]) - near;
    rounded += near * near;
    lost += off * off;
  }
  return {bounded(std::sqrt(rounded) * kOutward), bounded(std::sqrt(lost) * kOutward)};
}

KeyBounds::KeyBounds(const Plan& plan, const Operands<float>& operands, const Execution& execution)
    : kv_heads_(plan.dims.kv_heads), tiles_((plan.dims.kv_len + kKeys - 1) / kKeys), head_dim_(plan.dims.head_dim) {
  const std::size_t heads = plan.dims.batch * kv_heads_;
  bounds_.resize(heads * tiles_);
  lost_.resize(heads * tiles_ * kGroups);
  longest_.resize(heads * tiles_ * kGroups);
  centres_.resize(heads * tiles_ * head_dim_);
  largest_value_.resize(heads);
  std::vector<double> largest(heads * tiles_);
  for_each_task(heads * tiles_, execution,
                [&](std::size_t task) { measure(operands, plan.dims, task / tiles_, task % tiles_, largest[task]); });
  for (std::size_t task = 0; task < heads * tiles_; ++task)
    largest_value_[task / tiles_] = std::max(largest_value_[task / tiles_], largest[task]);
}

void KeyBounds::measure(const Operands<float>& operands, const Dims& dims, std::size_t head, std::size_t tile,
                        double& largest_value) {
  const std::size_t first = tile * kKeys;
  const std::size_t count = std::min(kKeys, dims.kv_len - first);
  const std::size_t batch = head / dims.kv_heads;
  const std::size_t kv_head = head % dims.kv_heads;
  std::vector<float> buffer(count * std::max(dims.head_dim, dims.value_dim));
  const RowSpan<float> keys = operands.key.rows(batch, kv_head, first, count, buffer.data());
  TileBounds& bounds = bounds_[head * tiles_ + tile];
  float* const centre = centres_.data() + (head * tiles_ + tile) * head_dim_;
  std::vector<double> mean(head_dim_, 0.0);
  for (std::size_t first_of = 0; first_of < count; first_of += kernels::kGroup) {
    const std::size_t end = std::min(first_of + kernels::kGroup, count);
    const float magnitude = largest_magnitude(keys, first_of, end, head_dim_);
    double lost = 0;
    double longest = 0;
    for (std::size_t j = first_of; j < end; ++j) {
      const float* row = keys.data + j * keys.stride;
      const RowNorms norms = row_norms(row, head_dim_, magnitude);
      lost = std::max(lost, norms.lost);
      longest = std::max(longest, (norms.rounded + norms.lost) * kOutward);
      for (std::size_t d = 0; d < head_dim_; ++d) mean[d] += static_cast<double>(row[d]);
    }
    // What float32's own rounding is off goes with the lengths of both.
    const double slack = longest * static_cast<double>(slack_of(head_dim_));
    const std::size_t group = (head * tiles_ + tile) * kGroups + first_of / kernels::kGroup;
    lost_[group] = static_cast<float>((lost + slack) * (1 + 0x1p-20));
    longest_[group] = static_cast<float>((longest + slack) * (1 + 0x1p-20));
    bounds.lost = std::max(bounds.lost, lost_[group]);
    bounds.longest = std::max(bounds.longest, longest_[group]);
  }
  for (std::size_t d = 0; d < head_dim_; ++d) centre[d] = static_cast<float>(mean[d] / static_cast<double>(count));
  for (std::size_t j = 0; j < count; ++j) {
    double square = 0;
    for (std::size_t d = 0; d < head_dim_; ++d) {
      const double off = static_cast<double>(keys.data[j * keys.stride + d]) - static_cast<double>(centre[d]);
      square += off * off;
    }
    bounds.radius = std::max(bounds.radius, bounded(std::sqrt(square) * kOutward));
  }
  const RowSpan<float> values = operands.value.rows(batch, kv_head, first, count, buffer.data());
  for (std::size_t j = 0; j < count; ++j)
    for (std::size_t f = 0; f < dims.value_dim; ++f)
      largest_value = std::max(largest_value, bounded(std::abs(static_cast<double>(values.data[j * values.stride + f]))));
}

std::uint64_t KeyBounds::bytes(const Dims& d) noexcept {
  const std::uint64_t tiles = d.batch * d.kv_heads * ((d.kv_len + kKeys - 1) / kKeys);
  return tiles * (sizeof(TileBounds) + sizeof(double) + (d.head_dim + 2 * kGroups) * sizeof(float));
}

}  // namespace attn::engine

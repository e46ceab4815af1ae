// Which keys each query may see, and what is added to its logits.
#include "engine/plan.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace attn::engine {

namespace {

bool part_hides(const MaskPart& part, std::size_t b, std::size_t h, std::size_t i, std::size_t j) {
  if (j >= part.key_count) return true;
  const std::size_t at = part.offset(b, h, i) + j * part.stride[3];
  switch (part.kind) {
    case MaskKind::keep:
      return !part.array.values<bool>()[at];
    case MaskKind::block:
      return part.array.values<bool>()[at];
    case MaskKind::add: {
      const double value = part.array.at_flat(at);
      return std::isinf(value) && value < 0;
    }
  }
  return false;
}

/// Adds one additive part to the tile row of query i, or hides what the part hides.
template <class T>
void apply_row(const MaskPart& part, std::size_t row_offset, std::size_t key, std::size_t keys, T* tile, std::size_t stride) {
  constexpr T masked = -std::numeric_limits<T>::infinity();
  const std::size_t there = key >= part.key_count ? 0 : std::min(keys, part.key_count - key);
  const std::size_t step = part.stride[3];
  const std::size_t first = row_offset + key * step;
  if (part.kind == MaskKind::add) {
    const T* values = part.array.values<T>().data() + first;
    for (std::size_t j = 0; j < there; ++j) {
      const T value = values[j * step];
      // -inf hides the pair even where another part is NaN there.
      T& entry = tile[j * stride];
      entry = value == masked || entry == masked ? masked : entry + value;
    }
  } else {
    const bool hidden_value = part.kind == MaskKind::block;
    const bool* values = part.array.values<bool>().data() + first;
    for (std::size_t j = 0; j < there; ++j) {
      if (values[j * step] == hidden_value) tile[j * stride] = masked;
    }
  }
  for (std::size_t j = there; j < keys; ++j) tile[j * stride] = masked;
}

}  // namespace

KeyRange Plan::range(std::size_t b, std::size_t i) const noexcept {
  const std::int64_t p = position(b, i);
  std::int64_t begin = 0;
  auto end = static_cast<std::int64_t>(key_length[b]);
  if (options.causal) end = std::min(end, p + 1);
  if (options.window.left) begin = std::max(begin, p - *options.window.left);
  if (options.window.right) end = std::min(end, p + *options.window.right + 1);
  if (begin >= end) return {};
  return {static_cast<std::size_t>(begin), static_cast<std::size_t>(end)};
}

KeyRange Plan::range(std::size_t b, std::size_t first, std::size_t count) const noexcept {
  // Both ends never fall as i grows, but an empty range in between says nothing about its neighbours.
  KeyRange whole;
  for (std::size_t i = first; i < first + count; ++i) {
    const KeyRange one = range(b, i);
    if (one.empty()) continue;
    if (whole.empty()) whole = one;
    whole.begin = std::min(whole.begin, one.begin);
    whole.end = std::max(whole.end, one.end);
  }
  return whole;
}

bool Plan::visible(std::size_t b, std::size_t h, std::size_t i, std::size_t j) const {
  const KeyRange keys = range(b, i);
  if (j < keys.begin || j >= keys.end) return false;
  if (!segments.empty() && segments.query[b * segments.query_stride + i] != segments.key[b * segments.key_stride + j])
    return false;
  return std::ranges::none_of(masks, [&](const MaskPart& part) { return part_hides(part, b, h, i, j); });
}

double Plan::bias(std::size_t b, std::size_t h, std::size_t i, std::size_t j) const {
  double sum = 0;
  if (!slopes.empty()) sum -= slopes[h] * std::abs(static_cast<double>(position(b, i)) - static_cast<double>(j));
  for (const MaskPart& part : masks) {
    if (part.kind == MaskKind::add) sum += part.array.at_flat(part.offset(b, h, i) + j * part.stride[3]);
  }
  return sum;
}

template <class T>
void Plan::fill_bias(std::size_t b, std::size_t h, std::size_t query, std::size_t queries, std::size_t key, std::size_t keys,
                     T* tile, std::size_t stride) const {
  for (std::size_t i = 0; i < queries; ++i) {
    T* column = tile + i;
    if (slopes.empty()) {
      for (std::size_t j = 0; j < keys; ++j) column[j * stride] = 0;
    } else {
      const std::int64_t p = position(b, query + i) - static_cast<std::int64_t>(key);
      for (std::size_t j = 0; j < keys; ++j)
        column[j * stride] = static_cast<T>(-slopes[h] * std::abs(static_cast<double>(p - static_cast<std::int64_t>(j))));
    }
    if (!segments.empty()) {
      const std::int64_t own = segments.query[b * segments.query_stride + query + i];
      const std::int64_t* ids = segments.key.data() + b * segments.key_stride + key;
      for (std::size_t j = 0; j < keys; ++j) {
        if (ids[j] != own) column[j * stride] = -std::numeric_limits<T>::infinity();
      }
    }
    for (const MaskPart& part : masks) apply_row(part, part.offset(b, h, query + i), key, keys, column, stride);
  }
}

template void Plan::fill_bias(std::size_t, std::size_t, std::size_t, std::size_t, std::size_t, std::size_t, float*,
                              std::size_t) const;
template void Plan::fill_bias(std::size_t, std::size_t, std::size_t, std::size_t, std::size_t, std::size_t, double*,
                              std::size_t) const;

double Plan::visible_pairs() const {
  double pairs = 0;
  for (std::size_t b = 0; b < dims.batch; ++b) {
    for (std::size_t i = 0; i < dims.q_len; ++i) {
      const KeyRange keys = range(b, i);
      pairs += static_cast<double>(keys.end - keys.begin);
    }
  }
  return pairs * static_cast<double>(dims.heads);
}

std::vector<double> alibi_slopes(std::size_t heads) {
  const auto geometric = [](std::size_t n, std::size_t i) {
    return std::exp2(-8.0 * static_cast<double>(i + 1) / static_cast<double>(n));
  };
  const std::size_t whole = std::bit_floor(heads);
  std::vector<double> slopes;
  for (std::size_t i = 0; i < whole; ++i) slopes.push_back(geometric(whole, i));
  for (std::size_t i = 0; slopes.size() < heads; i += 2) slopes.push_back(geometric(2 * whole, i));
  return slopes;
}

}  // namespace attn::engine

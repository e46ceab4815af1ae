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

template <class T>
constexpr T masked() noexcept {
  return -std::numeric_limits<T>::infinity();
}

/// row[j] + values[j * step], masked where either is: -inf hides the pair even where another part is NaN there. Three loops, each
/// of which compilers turn into vector code when the step is known to be 1; as one they would not.
template <class T>
inline void add_row(const T* values, std::size_t step, std::size_t count, T* __restrict row) {
  constexpr std::size_t chunk = 96;
  T hidden[chunk];
  for (std::size_t first = 0; first < count; first += chunk) {
    const std::size_t size = std::min(chunk, count - first);
    const T* from = values + first * step;
    T* to = row + first;
    for (std::size_t j = 0; j < size; ++j)
      hidden[j] = (to[j] == masked<T>() ? T(1) : T(0)) + (from[j * step] == masked<T>() ? T(1) : T(0));
    for (std::size_t j = 0; j < size; ++j) to[j] += from[j * step];
    for (std::size_t j = 0; j < size; ++j) to[j] = hidden[j] != 0 ? masked<T>() : to[j];
  }
}

template <class T>
inline void hide_row(const bool* values, std::size_t step, std::size_t count, bool hidden, T* __restrict row) {
  for (std::size_t j = 0; j < count; ++j) row[j] = values[j * step] == hidden ? masked<T>() : row[j];
}

/// Adds one additive part to the row of a query, or hides what the part hides.
template <class T>
void apply_row(const MaskPart& part, std::size_t row_offset, std::size_t key, std::size_t keys, T* row) {
  const std::size_t there = key >= part.key_count ? 0 : std::min(keys, part.key_count - key);
  const std::size_t step = part.stride[3];
  const std::size_t first = row_offset + key * step;
  if (part.kind == MaskKind::add) {
    const T* values = part.array.values<T>().data() + first;
    step == 1 ? add_row(values, 1, there, row) : add_row(values, step, there, row);
  } else {
    const bool hidden = part.kind == MaskKind::block;
    const bool* values = part.array.values<bool>().data() + first;
    step == 1 ? hide_row(values, 1, there, hidden, row) : hide_row(values, step, there, hidden, row);
  }
  std::fill(row + there, row + keys, masked<T>());
}

}  // namespace

KeyRange Plan::range(std::size_t b, std::size_t i) const noexcept {
  const std::int64_t p = position(b, i);
  std::int64_t begin = 0;
  auto end = static_cast<std::int64_t>(key_length[b]);
  if (options.causal) end = std::min(end, p + 1);
  if (options.window.left) begin = std::max(begin, p - *options.window.left);
  const std::int64_t all = end;
  if (options.window.right) end = std::min(end, p + *options.window.right + 1);
  if (global_keys > 0) {
    const std::int64_t globals = std::min(static_cast<std::int64_t>(global_keys), all);
    if (begin >= end) end = globals;
    begin = 0;
    end = std::max(end, globals);
  }
  if (begin >= end) return {};
  return {static_cast<std::size_t>(begin), static_cast<std::size_t>(end)};
}

KeyRange Plan::gap(std::size_t b, std::size_t i) const noexcept {
  if (!has_gap()) return {};
  const KeyRange keys = range(b, i);
  const std::int64_t window = position(b, i) - *options.window.left;
  if (keys.empty() || window <= static_cast<std::int64_t>(global_keys)) return {};
  const KeyRange between{std::min(global_keys, keys.end), std::min(static_cast<std::size_t>(window), keys.end)};
  return between.empty() ? KeyRange{} : between;
}

KeyRange Plan::range(std::size_t b, std::size_t first, std::size_t count) const noexcept {
  // Both ends never fall as i grows, but an empty range in between says nothing about its neighbours.
  if (count > 0 && !options.causal && !options.window.left && !options.window.right) return range(b, first);
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
  if (const KeyRange hidden = gap(b, i); j >= hidden.begin && j < hidden.end) return false;
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
                     T* rows, std::size_t stride) const {
  for (std::size_t i = 0; i < queries; ++i) {
    T* row = rows + i * stride;
    if (slopes.empty()) {
      std::fill_n(row, keys, T(0));
    } else {
      const auto distance = static_cast<double>(position(b, query + i) - static_cast<std::int64_t>(key));
      const double slope = -slopes[h];
      for (int j = 0; j < static_cast<int>(keys); ++j) row[j] = static_cast<T>(slope * std::abs(distance - j));
    }
    if (!segments.empty()) {
      const std::int64_t own = segments.query[b * segments.query_stride + query + i];
      const std::int64_t* ids = segments.key.data() + b * segments.key_stride + key;
      for (std::size_t j = 0; j < keys; ++j) row[j] = ids[j] == own ? row[j] : masked<T>();
    }
    for (const MaskPart& part : masks) apply_row(part, part.offset(b, h, query + i), key, keys, row);
    const KeyRange hidden = gap(b, query + i);
    for (std::size_t j = std::max(key, hidden.begin); j < std::min(key + keys, hidden.end); ++j) row[j - key] = masked<T>();
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
      const KeyRange hidden = gap(b, i);
      pairs += static_cast<double>(keys.end - keys.begin - (hidden.end - hidden.begin));
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

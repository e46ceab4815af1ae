// Attention in pairs of bfloat16 numbers: packing them, and what NaN and infinity need besides.
#include "base/groups.hpp"
#include "engine/bf16.hpp"
#include "kernels/kernels.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace attn::engine {

using kernels::kKeys;
using kernels::kLanes;

namespace {

constexpr std::size_t kTileWords = kKeys / 2;  ///< words of a feature of a tile of values
constexpr std::size_t kHeaderBytes = 64;       ///< of a block's queries

/// What stands before the words of a block's queries.
struct QueryHeader {
  float factor = 1;
  std::uint64_t not_finite = 0;  ///< bit i: query i has a number that is NaN or infinite
};
static_assert(sizeof(QueryHeader) <= kHeaderBytes && kLanes <= 64);

/// The halves of words from `first` on; null where there are none.
std::uint16_t* halves(std::vector<std::uint32_t>& words, std::size_t first) noexcept {
  return words.empty() ? nullptr : reinterpret_cast<std::uint16_t*>(words.data() + first);
}

float half_of(std::uint32_t word, std::size_t half) noexcept { return std::bit_cast<float>(word >> 16 * half << 16); }

}  // namespace

PairProducts::PairProducts(const Plan& plan, const Operands<float>& operands, const Execution& execution, Bf16Parts parts,
                           const kernels::PairProduct& way)
    : Bf16Products(plan, execution, parts),
      way_(way),
      value_(operands.value),
      key_pairs_(whole_groups((plan.dims.head_dim + 1) / 2, way.pairs)),
      value_rows_(whole_groups(plan.dims.value_dim, way.rows)) {
  const std::size_t key_words = (dims_.batch * dims_.kv_heads * dims_.kv_len + way.rows - 1) * key_pairs_;
  const std::size_t value_words = all_tiles() * value_rows_ * kTileWords;
  keys_.high.resize(key_words);
  values_.high.resize(value_words);
  keys_.low.resize(is_split() ? key_words : 0);
  values_.low.resize(is_split() ? value_words : 0);
  keys_not_finite_.resize(all_tiles());
  values_not_finite_.resize(all_tiles());
  take_tiles(execution, [&](std::size_t head, const KeyRange& keys) {
    take_keys(operands, head, keys);
    take_values(operands, head, keys);
  });
}

void PairProducts::take_keys(const Operands<float>& operands, std::size_t head, const KeyRange& keys) {
  const std::size_t dim = dims_.head_dim;
  std::vector<float> buffer(operands.key.is_direct() ? 0 : (keys.end - keys.begin) * dim);
  const RowSpan<float> rows =
      operands.key.rows(head / dims_.kv_heads, head % dims_.kv_heads, keys.begin, keys.end - keys.begin, buffer.data());
  for (std::size_t j = keys.begin; j < keys.end; ++j) {
    const std::size_t word = (head * dims_.kv_len + j) * key_pairs_;
    rounding_.halve_row(rows.data + (j - keys.begin) * rows.stride, dim, halves(keys_.high, word), halves(keys_.low, word));
  }
  const bool finite = k_.all_finite(rows.data, rows.stride, keys.end - keys.begin, dim);
  keys_not_finite_[tile_of(head, keys)] = finite ? 0 : 1;
}

void PairProducts::take_values(const Operands<float>& operands, std::size_t head, const KeyRange& keys) {
  const std::size_t dim = dims_.value_dim;
  const std::size_t count = keys.end - keys.begin;
  const std::size_t tile = tile_of(head, keys);
  std::vector<float> rows(count * dim);
  operands.value.make(head / dims_.kv_heads, head % dims_.kv_heads, keys.begin, count, rows.data());
  const bool finite = k_.all_finite(rows.data(), dim, count, dim);
  values_not_finite_[tile] = finite ? 0 : 1;
  if (!finite)
    std::ranges::replace_if(
        rows, [](float x) { return !std::isfinite(x); }, 0.0F);
  const std::size_t parts = static_cast<std::size_t>(parts_);
  std::vector<std::uint16_t> row(parts * rows.size());
  rounding_.halve_row(rows.data(), rows.size(), row.data(), is_split() ? row.data() + rows.size() : nullptr);
  for (std::size_t part = 0; part < parts; ++part) {
    std::uint16_t* to = halves(part == 0 ? values_.high : values_.low, tile * value_rows_ * kTileWords);
    const std::uint16_t* from = row.data() + part * rows.size();
    for (std::size_t j = 0; j < count; ++j)
      for (std::size_t f = 0; f < dim; ++f) to[f * kKeys + j] = from[j * dim + f];
  }
}

std::size_t PairProducts::query_words() const noexcept { return key_pairs_ * kLanes; }

// A block's queries: what QueryHeader says, then words [key_pairs][kLanes] for each part.
std::size_t PairProducts::query_bytes() const {
  return kHeaderBytes + query_words() * sizeof(std::uint32_t) * static_cast<std::size_t>(parts_);
}

// A tile's weights as words for each part, then sums of all features.
std::size_t PairProducts::scratch_bytes() const {
  return kLanes * (kTileWords * sizeof(std::uint32_t) * static_cast<std::size_t>(parts_) + value_rows_ * sizeof(float));
}

void PairProducts::load_queries(const float* rows, std::size_t stride, std::size_t lanes, float factor,
                                std::byte* queries) const {
  auto* const high = reinterpret_cast<std::uint32_t*>(queries + kHeaderBytes);
  std::fill_n(high, query_words() * static_cast<std::size_t>(parts_), 0U);
  const std::size_t dim = dims_.head_dim;
  QueryHeader header{.factor = factor};
  std::vector<std::uint32_t> words(2 * key_pairs_);
  std::uint32_t* const low = is_split() ? words.data() + key_pairs_ : nullptr;
  for (std::size_t i = 0; i < lanes; ++i) {
    const float* row = rows + i * stride;
    rounding_.halve_row(row, dim, halves(words, 0), low == nullptr ? nullptr : halves(words, key_pairs_));
    for (std::size_t t = 0; t < key_pairs_; ++t) high[t * kLanes + i] = words[t];
    for (std::size_t t = 0; low != nullptr && t < key_pairs_; ++t) high[query_words() + t * kLanes + i] = low[t];
    if (!k_.all_finite(row, dim, 1, dim)) header.not_finite |= std::uint64_t{1} << i;
  }
  std::memcpy(queries, &header, sizeof header);
}

void PairProducts::score(const ProductKeys& keys, const std::byte* queries, std::size_t lanes, float* tile, float* maximum,
                         std::byte* /*scratch*/) const {
  const std::size_t first = row_of(keys) * key_pairs_;
  const std::size_t count = keys.keys.end - keys.keys.begin;
  const auto* const query = reinterpret_cast<const std::uint32_t*>(queries + kHeaderBytes);
  const kernels::PairRows rows{keys_.high.data() + first, is_split() ? keys_.low.data() + first : nullptr, key_pairs_};
  QueryHeader header;
  std::memcpy(&header, queries, sizeof header);
  way_.product(rows, count, key_pairs_, {query, is_split() ? query + query_words() : nullptr}, lanes, tile);
  const bool keys_finite = keys_not_finite_[tile_of(keys)] == 0;
  if (is_split() && (!keys_finite || header.not_finite != 0)) mend_scores(keys, query, lanes, tile);
  rounding_.scale(tile, count, lanes, header.factor, maximum);
}

/// Infinity times a low part is infinite with that part's sign, or NaN: a pair of rows of which one is not finite has the score
/// that high parts alone give it.
void PairProducts::mend_scores(const ProductKeys& keys, const std::uint32_t* query, std::size_t lanes, float* tile) const {
  for (std::size_t j = keys.keys.begin; j < keys.keys.end; ++j) {
    const std::uint32_t* key = keys_.high.data() + (head_of(keys) * dims_.kv_len + j) * key_pairs_;
    for (std::size_t i = 0; i < lanes; ++i) {
      float sum = 0;
      bool finite = true;
      for (std::size_t d = 0; d < dims_.head_dim; ++d) {
        const float x = half_of(key[d / 2], d % 2);
        const float y = half_of(query[d / 2 * kLanes + i], d % 2);
        finite = finite && std::isfinite(x) && std::isfinite(y);
        sum += x * y;
      }
      if (!finite) tile[(j - keys.keys.begin) * kLanes + i] = sum;
    }
  }
}

void PairProducts::add_values(const ProductKeys& keys, const float* weights, std::size_t lanes, const float* rescale,
                              float* output, std::byte* scratch) const {
  const std::size_t tile = tile_of(keys);
  const std::size_t group = 2 * way_.pairs;
  const std::size_t begin = keys.keys.begin % kKeys;
  const std::size_t count = keys.keys.end - keys.keys.begin;
  const std::size_t from = begin / group * group;
  const std::size_t pairs = whole_groups(begin - from + count, group) / 2;
  auto* const high = reinterpret_cast<std::uint32_t*>(scratch);
  std::uint32_t* const low = is_split() ? high + kTileWords * kLanes : nullptr;
  auto* const sums = reinterpret_cast<float*>(high + kTileWords * kLanes * static_cast<std::size_t>(parts_));
  rounding_.pack(weights, count, begin - from, pairs, lanes, high, low);
  const std::size_t word = tile * value_rows_ * kTileWords + from / 2;
  const kernels::PairRows rows{values_.high.data() + word, is_split() ? values_.low.data() + word : nullptr, kTileWords};
  way_.product(rows, dims_.value_dim, pairs, {high, low}, lanes, sums);
  rounding_.join(sums, dims_.value_dim, lanes, rescale, output);
  if (values_not_finite_[tile] != 0) mend_values(keys, weights, lanes, output);
}

/// Values that are not finite are 0 among the words, and added here where they have a weight.
void PairProducts::mend_values(const ProductKeys& keys, const float* weights, std::size_t lanes, float* output) const {
  std::vector<float> row(dims_.value_dim);
  for (std::size_t j = keys.keys.begin; j < keys.keys.end; ++j) {
    value_.make(keys.batch, keys.kv_head, j, 1, row.data());
    for (std::size_t f = 0; f < row.size(); ++f) {
      if (std::isfinite(row[f])) continue;
      for (std::size_t i = 0; i < lanes; ++i) {
        const float weight = weights[(j - keys.keys.begin) * kLanes + i];
        if (weight != 0) output[f * kLanes + i] += weight * row[f];
      }
    }
  }
}

}  // namespace attn::engine

// A tile's boolean masks and segments as bits: packed along the keys, as masks lie in memory, then transposed.
#include "engine/keep_bits.hpp"

#include "base/groups.hpp"
#include "kernels/kernels.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace attn::engine {

namespace {

using kernels::kKeys;
using kernels::kLanes;
using Word = std::uint64_t;
constexpr std::size_t kBits = 64;
constexpr std::size_t kWords = groups_of(kKeys, kBits);
static_assert(kLanes == kBits && std::endian::native == std::endian::little);

/// The keys of one query.
using Row = Word[kWords];

/// Bytes of 0 and 1 to bits, eight at a time: the product gathers their lowest bits in the highest byte.
void pack(const std::uint8_t* bytes, std::size_t count, Row& row) {
  for (Word& word : row) word = 0;
  std::size_t j = 0;
  for (; j + 8 <= count; j += 8) {
    Word eight = 0;
    std::memcpy(&eight, bytes + j, 8);
    row[j / kBits] |= (eight * 0x0102040810204080U >> 56U) << j % kBits;
  }
  for (; j < count; ++j) row[j / kBits] |= Word{bytes[j]} << j % kBits;
}

/// Row r, bit c and row c, bit r change places (Warren, Hacker's Delight, 7-3).
void transpose(Word (&rows)[kBits]) {
  Word mask = ~Word{0} >> kBits / 2;
  for (unsigned step = kBits / 2; step != 0; step /= 2, mask ^= mask << step) {
    for (std::size_t first = 0; first < kBits; first += std::size_t{2} * step) {
      for (std::size_t r = first; r < first + step; ++r) {
        const Word swap = (rows[r] >> step ^ rows[r + step]) & mask;
        rows[r] ^= swap << step;
        rows[r + step] ^= swap;
      }
    }
  }
}

/// Leaves in `row` what the part leaves.
void keep_row(const MaskPart& part, std::size_t row_offset, std::size_t key, std::size_t keys, Row& row) {
  const std::size_t there = key >= part.key_count ? 0 : std::min(keys, part.key_count - key);
  const std::size_t step = part.stride[3];
  // Bytes, since they are moved as such.
  const auto* values = reinterpret_cast<const std::uint8_t*>(part.array.values<bool>().data());  // NOLINT(*-reinterpret-cast)
  const std::uint8_t* first = values + row_offset + key * step;
  std::uint8_t copies[kKeys];
  if (step != 1) {
    for (std::size_t j = 0; j < there; ++j) copies[j] = first[j * step];
    first = copies;
  }
  Row own;
  pack(first, there, own);
  for (std::size_t w = 0; w < kWords; ++w) row[w] &= part.kind == MaskKind::keep ? own[w] : ~own[w];
  for (std::size_t j = there; j < keys; ++j) row[j / kBits] &= ~(Word{1} << j % kBits);
}

void keep_segment(const Segments& segments, std::size_t b, std::size_t query, std::size_t key, std::size_t keys, Row& row) {
  const std::int64_t own = segments.query[b * segments.query_stride + query];
  const std::int64_t* ids = segments.key.data() + b * segments.key_stride + key;
  std::uint8_t same[kKeys];
  for (std::size_t j = 0; j < keys; ++j) same[j] = ids[j] == own ? 1 : 0;
  Row mine;
  pack(same, keys, mine);
  for (std::size_t w = 0; w < kWords; ++w) row[w] &= mine[w];
}

}  // namespace

bool fill_keep_bits(const Plan& plan, std::size_t b, std::size_t h, std::size_t query, std::size_t queries, std::size_t key,
                    std::span<std::uint64_t> keep) {
  Word columns[kWords][kBits] = {};
  for (std::size_t i = 0; i < queries; ++i) {
    Row row = {};
    for (std::size_t j = 0; j < keep.size(); j += kBits) row[j / kBits] = ~Word{0} >> (kBits - std::min(kBits, keep.size() - j));
    if (!plan.segments.empty()) keep_segment(plan.segments, b, query + i, key, keep.size(), row);
    for (const MaskPart& part : plan.masks)
      if (part.kind != MaskKind::add) keep_row(part, part.offset(b, h, query + i), key, keep.size(), row);
    const KeyRange hidden = plan.gap(b, query + i);
    for (std::size_t j = std::max(key, hidden.begin); j < std::min(key + keep.size(), hidden.end); ++j)
      row[(j - key) / kBits] &= ~(Word{1} << (j - key) % kBits);
    for (std::size_t w = 0; w < kWords; ++w) columns[w][i] = row[w];
  }
  for (auto& square : columns) transpose(square);
  Word any = 0;
  for (std::size_t j = 0; j < keep.size(); ++j) {
    keep[j] = columns[j / kBits][j % kBits];
    any |= keep[j];
  }
  return any != 0;
}

}  // namespace attn::engine

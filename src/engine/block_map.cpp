// Which tiles of (query, key) pairs masks hide and which they leave open.
#include "engine/block_map.hpp"

#include "base/groups.hpp"
#include "engine/blocks.hpp"
#include "engine/engine.hpp"
#include "kernels/kernels.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <limits>
#include <span>
#include <utility>

namespace attn::engine {

namespace {

using Layer = BlockMap::Layer;
constexpr std::size_t kBlock = kernels::kLanes;
constexpr std::size_t kTile = kernels::kKeys;

/// Flags of a tile while its rows are read. With both, the rest of it need not be.
constexpr std::uint8_t kSomeVisible = 1;
constexpr std::uint8_t kSomeChanged = 2;  ///< hidden, or something is added
constexpr std::uint8_t kMixed = kSomeVisible | kSomeChanged;

/// How an entry that hides its pair looks, and one that leaves it as it is, in those bits that count.
template <class Bits>
struct Patterns {
  Bits hidden;
  Bits open;
  Bits open_bits;
};

Patterns<std::uint8_t> patterns_of(MaskKind kind) {
  const bool keeps = kind == MaskKind::keep;
  return {
      .hidden = static_cast<std::uint8_t>(keeps ? 0 : 1), .open = static_cast<std::uint8_t>(keeps ? 1 : 0), .open_bits = 0xFF};
}

/// Zero of either sign adds nothing; the sign's bit is the highest.
template <class Bits, class T>
Patterns<Bits> additive_patterns() {
  return {.hidden = std::bit_cast<Bits>(-std::numeric_limits<T>::infinity()),
          .open = 0,
          .open_bits = static_cast<Bits>(~Bits{0} >> 1)};
}

/// Flags of `count` entries in a row: differences from the patterns, joined by "or".
template <class Bits, class E>
std::uint8_t flags_of(const E* values, std::size_t count, const Patterns<Bits>& patterns) noexcept {
  Bits visible = 0;
  Bits changed = 0;
  for (std::size_t j = 0; j < count; ++j) {
    const Bits bits = std::bit_cast<Bits>(values[j]);
    visible |= bits ^ patterns.hidden;
    changed |= (bits ^ patterns.open) & patterns.open_bits;
  }
  return static_cast<std::uint8_t>((visible != 0 ? kSomeVisible : 0) | (changed != 0 ? kSomeChanged : 0));
}

/// The same for the entries of a whole tile, in words of several entries: as fast as memory.
template <class Bits, class E>
inline std::uint8_t tile_flags_of(const E* values, const Patterns<Bits>& patterns) noexcept {
  using Word = std::uint64_t;
  constexpr Word every = ~Word{0} / static_cast<Bits>(~Bits{0});
  const Word hidden = every * patterns.hidden;
  const Word open = every * patterns.open;
  const Word open_bits = every * patterns.open_bits;
  Word visible = 0;
  Word changed = 0;
  const char* bytes = reinterpret_cast<const char*>(values);  // NOLINT(*-reinterpret-cast)
  // The processor's own look-ahead is thrown off by the work between tiles: with this, 23 ms a 268 MB, without, 39.
  for (std::size_t at = 0; at < kTile * sizeof(E); at += 64) __builtin_prefetch(bytes + at + 4096);
  for (std::size_t at = 0; at < kTile * sizeof(E) / sizeof(Word); ++at) {
    Word bits = 0;
    std::memcpy(&bits, bytes + at * sizeof(Word), sizeof(Word));
    visible |= bits ^ hidden;
    changed |= (bits ^ open) & open_bits;
  }
  return static_cast<std::uint8_t>((visible != 0 ? kSomeVisible : 0) | (changed != 0 ? kSomeChanged : 0));
}

/// Reads rows [first, first + rows) of one plane over `keys`, all of which the mask has. flags[t] are those of tile t.
template <class Bits, class E>
void read_rows(const MaskPart& part, const E* plane, std::size_t first, std::size_t rows, KeyRange keys,
               const Patterns<Bits>& patterns, std::span<std::uint8_t> flags) {
  for (std::size_t i = first; i < first + rows; ++i) {
    const E* row = plane + i * part.stride[2];
    std::uint8_t settled = kMixed;
    for (std::size_t tile = keys.begin / kTile; tile * kTile < keys.end; ++tile) {
      if (flags[tile] == kMixed) continue;
      const std::size_t begin = std::max(tile * kTile, keys.begin);
      const std::size_t end = std::min((tile + 1) * kTile, keys.end);
      // A repeated key is one entry.
      flags[tile] |= part.stride[3] == 0    ? flags_of(row, 1, patterns)
                     : end - begin == kTile ? tile_flags_of(row + begin, patterns)
                                            : flags_of(row + begin, end - begin, patterns);
      settled &= flags[tile];
    }
    if (settled == kMixed) return;
  }
}

void read_rows(const MaskPart& part, std::size_t batch, std::size_t head, std::size_t first, std::size_t rows, KeyRange keys,
               std::span<std::uint8_t> flags) {
  const std::size_t plane = part.offset(batch, head, 0);
  if (part.kind != MaskKind::add) {
    // Bytes, since they are compared as bits.
    const auto* values = reinterpret_cast<const std::uint8_t*>(part.array.values<bool>().data());  // NOLINT(*-reinterpret-cast)
    return read_rows(part, values + plane, first, rows, keys, patterns_of(part.kind), flags);
  }
  if (part.array.dtype() == DType::f32)
    return read_rows(part, part.array.values<float>().data() + plane, first, rows, keys,
                     additive_patterns<std::uint32_t, float>(), flags);
  read_rows(part, part.array.values<double>().data() + plane, first, rows, keys, additive_patterns<std::uint64_t, double>(),
            flags);
}

/// The smallest interval that holds both.
KeyRange joined(KeyRange a, KeyRange b) {
  if (a.empty()) return b;
  if (b.empty()) return a;
  return {std::min(a.begin, b.begin), std::max(a.end, b.end)};
}

/// Blocks of queries that a map is made for; null: all.
using Wanted = const std::vector<bool>*;

/// Runs body(batch, head, first query, queries) for all that differs; a small mask is not worth waking threads for.
template <class Body>
void for_each_block(const Layer& layer, std::size_t entries, const Execution& execution, Wanted wanted, const Body& body) {
  constexpr std::size_t worth_a_thread = std::size_t{1} << 18;
  Execution quiet = execution;
  quiet.progress = {};
  if (entries < worth_a_thread) quiet.threads = 1;
  const Dims d = layer.distinct();
  const std::size_t in_head = groups_of(d.q_len, kBlock);
  const bool is_for_all = wanted == nullptr || in_head != wanted->size();
  for_each_task(d.batch * d.heads * in_head, quiet, [&](std::size_t task) {
    const std::size_t row = task / in_head;
    const std::size_t first = task % in_head * kBlock;
    if (is_for_all || (*wanted)[task % in_head]) body(row / d.heads, row % d.heads, first, std::min(kBlock, d.q_len - first));
  });
}

Layer mask_layer(const Plan& plan, const MaskPart& part, const Execution& execution, Wanted wanted) {
  Layer layer(plan.dims, part.stride[0] == 0, part.stride[1] == 0, part.stride[2] == 0);
  const Dims distinct = layer.distinct();
  for_each_block(layer, part.array.size(), execution, wanted,
                 [&](std::size_t b, std::size_t h, std::size_t first, std::size_t queries) {
                   // Every pair of the plan that these entries are for.
                   const std::size_t plan_first = part.stride[2] == 0 ? 0 : first;
                   const std::size_t plan_queries = part.stride[2] == 0 ? plan.dims.q_len : queries;
                   KeyRange keys;
                   for (std::size_t batch = b; batch < (distinct.batch == plan.dims.batch ? b + 1 : plan.dims.batch); ++batch)
                     keys = joined(keys, plan.range(batch, plan_first, plan_queries));
                   std::vector<std::uint8_t> flags(layer.tiles(), 0);
                   // Keys that the mask does not have are hidden.
                   for (std::size_t key = std::max(keys.begin, part.key_count); key < keys.end; key = (key / kTile + 1) * kTile)
                     flags[key / kTile] |= kSomeChanged;
                   // All that is in range may lie behind the mask's last key.
                   const KeyRange there{keys.begin, std::min(keys.end, part.key_count)};
                   if (!there.empty()) read_rows(part, b, h, first, queries, there, flags);
                   part.let_go(b, h, first, queries);
                   for (std::size_t tile = 0; tile < flags.size(); ++tile) {
                     const bool visible = (flags[tile] & kSomeVisible) != 0;
                     const bool changed = (flags[tile] & kSomeChanged) != 0;
                     layer.set(b, h, first / kBlock, tile, !visible ? Cover::hidden : changed ? Cover::mixed : Cover::open);
                   }
                 });
  return layer;
}

/// The ids of some queries or keys in brief.
struct Ids {
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  std::int64_t most = std::numeric_limits<std::int64_t>::min();
  std::uint64_t kinds = 0;  ///< a bit for each id, the same one for some: ids without a common bit have no common id

  explicit Ids(std::span<const std::int64_t> ids) {
    for (const std::int64_t id : ids) {
      least = std::min(least, id);
      most = std::max(most, id);
      // Fibonacci hashing (Knuth, volume 3, 6.4): neighbours fall on different bits.
      kinds |= std::uint64_t{1} << (static_cast<std::uint64_t>(id) * 0x9E3779B97F4A7C15U >> 58U);
    }
  }
};

Cover cover_of(const Ids& query, const Ids& key) {
  if (query.most < key.least || key.most < query.least || (query.kinds & key.kinds) == 0) return Cover::hidden;
  const bool one = query.least == query.most && key.least == key.most;
  return one ? Cover::open : Cover::mixed;
}

Layer segment_layer(const Plan& plan, const Execution& execution, Wanted wanted) {
  const Segments& s = plan.segments;
  const Dims& d = plan.dims;
  Layer layer(d, s.query_stride == 0 && s.key_stride == 0, true, false);
  std::vector<Ids> key_ids;
  for (std::size_t b = 0; b < layer.distinct().batch; ++b) {
    const std::span<const std::int64_t> keys(s.key.data() + b * s.key_stride, d.kv_len);
    for (std::size_t tile = 0; tile < layer.tiles(); ++tile)
      key_ids.emplace_back(keys.subspan(tile * kTile, std::min(kTile, d.kv_len - tile * kTile)));
  }
  for_each_block(layer, key_ids.size() * d.q_len, execution, wanted,
                 [&](std::size_t b, std::size_t h, std::size_t first, std::size_t queries) {
                   const Ids own({s.query.data() + b * s.query_stride + first, queries});
                   for (std::size_t tile = 0; tile < layer.tiles(); ++tile)
                     layer.set(b, h, first / kBlock, tile, cover_of(own, key_ids[b * layer.tiles() + tile]));
                 });
  return layer;
}

/// The gap between global keys and a window.
Layer gap_layer(const Plan& plan, const Execution& execution, Wanted wanted) {
  const auto all_alike = [](const auto& numbers) {
    return std::ranges::adjacent_find(numbers, std::ranges::not_equal_to{}) == numbers.end();
  };
  const bool same_everywhere = all_alike(plan.query_offset) && all_alike(plan.key_length);
  Layer layer(plan.dims, same_everywhere, true, false);
  for_each_block(layer, plan.dims.q_len * layer.tiles(), execution, wanted,
                 [&](std::size_t b, std::size_t h, std::size_t first, std::size_t queries) {
                   // The gaps of the block's queries begin together; what none of them has and what all of them have.
                   KeyRange any;
                   KeyRange all{0, plan.dims.kv_len};
                   for (std::size_t i = first; i < first + queries; ++i) {
                     const KeyRange own = plan.gap(b, i);
                     any = joined(any, own);
                     all = {std::max(all.begin, own.begin), std::min(all.end, own.end)};
                   }
                   for (std::size_t tile = 0; tile < layer.tiles(); ++tile) {
                     const KeyRange keys{tile * kTile, std::min((tile + 1) * kTile, plan.dims.kv_len)};
                     const bool open = any.empty() || keys.end <= any.begin || keys.begin >= any.end;
                     const bool hidden = !all.empty() && keys.begin >= all.begin && keys.end <= all.end;
                     layer.set(b, h, first / kBlock, tile, open ? Cover::open : hidden ? Cover::hidden : Cover::mixed);
                   }
                 });
  return layer;
}

/// What is known of two sets of pairs together.
Cover together(Cover a, Cover b) { return a == b ? a : Cover::mixed; }

}  // namespace

Layer::Layer(const Dims& dims, bool repeats_batch, bool repeats_heads, bool repeats_queries)
    : batch_(repeats_batch ? std::min<std::size_t>(dims.batch, 1) : dims.batch),
      heads_(repeats_heads ? std::min<std::size_t>(dims.heads, 1) : dims.heads),
      queries_(repeats_queries ? std::min<std::size_t>(dims.q_len, 1) : dims.q_len),
      blocks_(groups_of(queries_, kBlock)),
      tiles_(tile_count(dims.kv_len)),
      row_bytes_((tiles_ + 3) / 4),
      covers_(batch_ * heads_ * blocks_ * row_bytes_, 0) {}

Dims Layer::distinct() const noexcept { return {.batch = batch_, .heads = heads_, .kv_heads = heads_, .q_len = queries_}; }

std::size_t Layer::row(std::size_t batch, std::size_t head, std::size_t block) const noexcept {
  const std::size_t plane = (batch_ == 1 ? 0 : batch) * heads_ + (heads_ == 1 ? 0 : head);
  return (plane * blocks_ + (blocks_ == 1 ? 0 : block)) * row_bytes_;
}

void Layer::set(std::size_t batch, std::size_t head, std::size_t block, std::size_t tile, Cover cover) noexcept {
  std::uint8_t& byte = covers_[row(batch, head, block) + tile / 4];
  const auto shift = static_cast<unsigned>(tile % 4 * 2);
  byte = static_cast<std::uint8_t>((byte & ~(3U << shift)) | static_cast<unsigned>(cover) << shift);
}

Cover Layer::at(std::size_t batch, std::size_t head, std::size_t block, std::size_t tile) const noexcept {
  const unsigned byte = covers_[row(batch, head, block) + tile / 4];
  return static_cast<Cover>(byte >> tile % 4 * 2 & 3U);
}

Cover Layer::cover(std::size_t batch, std::size_t head, std::size_t query, std::size_t queries, KeyRange keys) const noexcept {
  const std::size_t block = query / kBlock;
  const std::size_t last_block = (query + queries - 1) / kBlock;
  const Cover first = at(batch, head, block, keys.begin / kTile);
  Cover all = first;
  for (std::size_t n = block; n <= (blocks_ == 1 ? block : last_block) && all == first; ++n) {
    for (std::size_t tile = keys.begin / kTile; tile * kTile < keys.end; ++tile) all = together(all, at(batch, head, n, tile));
  }
  return all;
}

BlockMap::BlockMap(const Plan& plan, const Execution& execution, const std::vector<bool>* wanted) : knows_(true) {
  for (const MaskPart& part : plan.masks) layers_.push_back(mask_layer(plan, part, execution, wanted));
  if (!plan.segments.empty()) layers_.push_back(segment_layer(plan, execution, wanted));
  if (plan.has_gap()) layers_.push_back(gap_layer(plan, execution, wanted));
}

void BlockMap::choose(Layer layer) {
  knows_ = true;
  is_chosen_ = true;
  layers_.push_back(std::move(layer));
}

Cover BlockMap::cover(std::size_t batch, std::size_t head, std::size_t heads, std::size_t query, std::size_t queries,
                      KeyRange keys) const noexcept {
  if (!knows_) return Cover::mixed;
  if (heads == 0 || queries == 0 || keys.empty()) return Cover::hidden;
  Cover all = Cover::open;
  for (const Layer& layer : layers_) {
    Cover one = layer.cover(batch, head, query, queries, keys);
    for (std::size_t h = head + 1; h < head + heads; ++h) one = together(one, layer.cover(batch, h, query, queries, keys));
    if (one == Cover::hidden) return Cover::hidden;
    if (one == Cover::mixed) all = Cover::mixed;
  }
  return all;
}

}  // namespace attn::engine

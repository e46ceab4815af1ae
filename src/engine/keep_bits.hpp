// A tile's boolean masks and segments as bits: what hides pairs and adds nothing needs no tile of numbers.
#pragma once

#include "engine/plan.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace attn::engine {

/// keep[j], bit i: boolean masks and segments leave key `key + j` to query `query + i` of head h; range() is not applied, and
/// additive masks are not looked at. Bits from `queries` on are 0. At most kLanes queries and keep.size() <= kKeys keys.
/// False when no pair is left.
bool fill_keep_bits(const Plan& plan, std::size_t b, std::size_t h, std::size_t query, std::size_t queries, std::size_t key,
                    std::span<std::uint64_t> keep);

}  // namespace attn::engine

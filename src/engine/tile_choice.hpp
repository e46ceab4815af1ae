// Block-sparse attention: each block of queries sees the tiles of keys that probably hold most of its weights.
//
// A block is up to 64 queries, a tile 96 keys. The mass of tile t for query i is estimated as that of the mean c_t of its keys,
// m_it = e^s(q_i, c_t) / sum_u e^s(q_i, c_u) with the score s as it is computed, over the tiles that the query's range reaches
// (compare Jiang et al. 2024, MInference, where queries are pooled, too). A block keeps the tiles with the largest sum of m_it
// over its queries, of equal ones those with the lower numbers, and among them always what the function below says.
#pragma once

#include "engine/block_map.hpp"
#include "engine/engine.hpp"

#include <cstdint>
#include <string>

namespace attn::engine {

/// Why tiles cannot be ranked for a plan, or nothing.
[[nodiscard]] std::string choice_refusal(const Plan& plan);

/// The covers of all blocks and tiles: `open` where a tile is kept, else `hidden`. Each block keeps `tiles` tiles, fewer where it
/// sees fewer and more only so that no query that sees a key is left without one. Under a causal mask the tiles of its queries'
/// own positions are among them, and the first it sees. What masks hide is never kept; biases and masks do not enter estimates.
/// The same for any number of threads and any vector target.
template <class T>
[[nodiscard]] BlockMap::Layer choose_tiles(const Plan& plan, const Operands<T>& operands, const Execution& execution,
                                           std::size_t tiles);

/// run_tiled with a map of what is hidden.
template <class T>
void run_mapped(const Plan& plan, const Operands<T>& operands, std::span<Observer<T>* const> observers,
                const Execution& execution, const BlockMap& map, const Products<T>* products = nullptr);

/// run_tiled over the chosen tiles alone: the same bits where all are kept. T is float or double. Throws Error(usage) for what
/// choice_refusal() says.
template <class T>
void run_chosen(const Plan& plan, const Operands<T>& operands, std::span<Observer<T>* const> observers,
                const Execution& execution, std::size_t tiles);

/// Bytes that run_chosen works in beside the tiled engine.
[[nodiscard]] std::uint64_t choice_bytes(const Dims& dims, std::size_t item_bytes, std::size_t threads) noexcept;

}  // namespace attn::engine

// What one row of weights says, read as it is: entropy, largest weight, distance, strongest keys.
#pragma once

#include "engine/observer.hpp"
#include "engine/plan.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace attn::analysis {

struct WeightRow {
  engine::RowFacts facts;
  std::vector<engine::KeyWeight> top;  ///< strongest first, of equal ones the key with the lowest number; no NaN
  bool is_empty = true;                ///< all weights are 0
  bool is_negative = false;            ///< some weight is
};

/// The weights of query i of batch entry b over all keys, and its `top` strongest keys. T is float or double.
template <class T>
[[nodiscard]] WeightRow read_weight_row(const engine::Plan& plan, std::size_t b, std::size_t i, std::span<const T> weights,
                                        std::size_t top);

}  // namespace attn::analysis

// What in the inputs deserves a word: which rows take part at all, and where a NaN that reaches the result came from.
#pragma once

#include "engine/inputs.hpp"

#include <cstddef>
#include <string>

namespace attn::engine {

/// True when some query of some head that reads kv_head sees key j of batch entry b.
[[nodiscard]] bool some_query_sees(const Plan& plan, std::size_t b, std::size_t kv_head, std::size_t j);

/// True when query i of head h sees some key.
[[nodiscard]] bool sees_some_key(const Plan& plan, std::size_t b, std::size_t h, std::size_t i);

/// The first NaN in query, key, value, additive mask or bias that no mask hides: "key k.npy: row 3, feature 7"; empty when there
/// is none.
[[nodiscard]] std::string first_visible_nan(const Plan& plan, const Inputs& inputs);

}  // namespace attn::engine

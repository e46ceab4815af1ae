// Weights as text, one line for each pair.
#pragma once

#include <attn/io.hpp>

#include <string>
#include <vector>

namespace attn::request {

/// Writes `batch,head,query,key,weight` rows of a [batch, heads, q_len, kv_len] array of f32 or f64. Names replace the indices
/// where given.
void write_long_weights(Outputs::TextSink& sink, const Array& weights, const std::vector<std::string>& ids,
                        const std::vector<std::string>& key_ids);

}  // namespace attn::request

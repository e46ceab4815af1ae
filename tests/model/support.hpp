// Parameter files made on the spot: names with shapes, all elements different.
#pragma once

#include "io/support.hpp"

#include <attn/io.hpp>

#include <string>
#include <utility>
#include <vector>

namespace attn::test {

using NamedShapes = std::vector<std::pair<std::string, Shape>>;

/// Writes float32 tensors to an NPZ or safetensors file, by its name.
inline void write_parameters(const std::string& path, const NamedShapes& tensors, DType type = DType::f32) {
  Outputs outputs;
  float next = -1;
  for (const auto& [name, shape] : tensors) {
    Array array(DType::f32, shape);
    for (float& x : array.mutable_values<float>()) x = next += 0.0625F;
    array.convert_to(type, outputs.add({path, name}, "x", type, shape, {}));
  }
  outputs.commit();
}

inline NamedShapes with_prefix(const std::string& prefix, NamedShapes tensors) {
  for (auto& tensor : tensors) tensor.first.insert(0, prefix);
  return tensors;
}

}  // namespace attn::test

// What the tests of the plan share: small named arrays, and errors.
#pragma once

#include "engine/inputs.hpp"
#include "tools/errors.hpp"

#include <optional>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace attn::engine::test {

using testing::error_of;

/// An array whose element n is n / 8, named "NAME NAME.npy".
template <class T>
NamedArray counted(const std::string& name, const Shape& shape) {
  std::vector<T> values(element_count(shape));
  for (std::size_t n = 0; n < values.size(); ++n) values[n] = static_cast<T>(static_cast<double>(n) / 8);
  return {Array::of<T>(shape, values), name + " " + name + ".npy"};
}

/// Inputs of float32 with these shapes.
inline Inputs inputs_of(const Shape& query, const Shape& key, const Shape& value) {
  Inputs inputs;
  inputs.query = counted<float>("query", query);
  inputs.key = counted<float>("key", key);
  inputs.value = counted<float>("value", value);
  return inputs;
}

inline void check_contains(const std::string& text, const std::vector<std::string>& parts) {
  INFO(text);
  for (const std::string& part : parts) {
    INFO("should contain: ", part);
    CHECK(text.find(part) != std::string::npos);
  }
}

}  // namespace attn::engine::test

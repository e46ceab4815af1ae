// What the tests of the plan share: small named arrays and caught errors.
#pragma once

#include "engine/inputs.hpp"

#include <attn/error.hpp>

#include <functional>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace attn::engine::test {

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

/// The error that `body` throws; fails the test when there is none.
inline Error caught(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  FAIL("no error was thrown");
  return {Status::defect, "none"};
}

inline void check_contains(const std::string& text, const std::vector<std::string>& parts) {
  INFO(text);
  for (const std::string& part : parts) {
    INFO("should contain: ", part);
    CHECK(text.find(part) != std::string::npos);
  }
}

}  // namespace attn::engine::test

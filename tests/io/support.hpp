// What the tests of files share: fixtures, and the rule of the sample values.
#pragma once

#include "tools/errors.hpp"
#include "tools/listener.hpp"
#include "tools/process.hpp"

#include <attn/array.hpp>
#include <attn/error.hpp>
#include <attn/io.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace attn::test {

using testing::error_of;
using testing::Listener;
using testing::read_file;
using testing::TemporaryDirectory;
using testing::write_file;

inline std::string fixture(const std::string& name) { return std::string(ATTN_TEST_DATA) + "/io/" + name; }

inline std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

inline Loaded read(const std::string& file, const ReadOptions& options = {}) {
  Listener reporter;
  return read_array(FileName::parse(file), options, reporter);
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// What element i of a fixture holds, see tests/data/make_io_fixtures.py.
inline double sample_value(DType type, std::size_t i) {
  const auto step = static_cast<double>(i % 7);
  if (is_floating(type)) return step - 2.5;
  if (type == DType::boolean) return i % 3 == 0 ? 1 : 0;
  const bool is_unsigned = type == DType::u8 || type == DType::u16 || type == DType::u32 || type == DType::u64;
  return is_unsigned ? step : step - 3;
}

/// Whether `array` is the sample of that type and shape; says where it is not.
inline void check_sample(const Array& array, DType type, const Shape& shape) {
  CHECK(array.dtype() == type);
  REQUIRE(array.shape() == shape);
  for (std::size_t i = 0; i < array.size(); ++i) {
    INFO("element " << i);
    REQUIRE(array.at_flat(i) == sample_value(type, i));
  }
}

inline Array sample_array(DType type, const Shape& shape) {
  std::vector<double> values(element_count(shape));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = sample_value(type, i);
  return Array::of<double>(shape, values).converted(type);
}

inline constexpr DType all_types[] = {DType::f16, DType::bf16, DType::f32, DType::f64, DType::i8,  DType::i16,    DType::i32,
                                      DType::i64, DType::u8,   DType::u16, DType::u32, DType::u64, DType::boolean};

}  // namespace attn::test

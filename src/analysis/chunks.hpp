// Walking any array as doubles, piece by piece, so that large mapped files are never held twice.
#pragma once

#include "analysis/rearrange.hpp"

#include <attn/array.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <vector>

namespace attn::analysis {

/// Reads pieces of an array as doubles. Widening is exact for all types but 64-bit integers beyond 2^53, which are rounded.
class DoubleReader {
 public:
  explicit DoubleReader(const Array& array) : array_(array) {}

  /// Elements [first, first + count), valid until the next call.
  [[nodiscard]] std::span<const double> read(std::size_t first, std::size_t count) {
    if (array_.dtype() == DType::f64) return array_.values<double>().subspan(first, count);
    if (buffer_.size() < count) buffer_.resize(count);
    flat_slice(array_, first, count).convert_to(DType::f64, reinterpret_cast<std::byte*>(buffer_.data()));
    return {buffer_.data(), count};
  }

 private:
  const Array& array_;
  std::vector<double> buffer_;
};

/// Elements in a piece: a few pages, which stay in cache between conversion and use.
inline constexpr std::size_t chunk_size = 4096;

/// Calls f(index of the first element, the elements as doubles) over all of the array in order.
template <class F>
void for_each_chunk(const Array& array, F&& f) {
  DoubleReader reader(array);
  for (std::size_t first = 0; first < array.size(); first += chunk_size)
    f(first, reader.read(first, std::min(chunk_size, array.size() - first)));
}

/// The indices, one for each axis, of element `flat` of the flattened array: "[3, 4]".
[[nodiscard]] inline std::vector<std::size_t> unravel(std::size_t flat, const Shape& shape) {
  std::vector<std::size_t> index(shape.size());
  for (std::size_t k = shape.size(); k-- > 0;) {
    index[k] = flat % shape[k];
    flat /= shape[k];
  }
  return index;
}

}  // namespace attn::analysis

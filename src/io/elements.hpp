// Turns the elements of a binary file, in whatever order they lie there, into an array.
#pragma once

#include <attn/array.hpp>

#include <cstddef>
#include <memory>
#include <span>

namespace attn {

/// How the elements of one array lie in a file.
struct ElementLayout {
  DType type = DType::f32;
  Shape shape;                ///< as NumPy shows it, at most 4 dimensions
  bool big_endian = false;    ///< most significant byte first
  bool column_major = false;  ///< the first index varies fastest (Fortran order)
};

/// The array of these elements. It is a view of `bytes`, which `owner` keeps alive, when they can serve as they are: aligned,
/// native byte order, row-major, every bool 0 or 1. Else it is a copy put in order. `bytes` holds exactly the elements.
[[nodiscard]] Array arrange_elements(const ElementLayout& layout, std::shared_ptr<const void> owner,
                                     std::span<const std::byte> bytes);

}  // namespace attn

// Seeded random and structured arrays, the same bytes on every machine.
#pragma once

#include <attn/array.hpp>

#include <cstdint>
#include <optional>

namespace attn::analysis {

enum class Kind {
  normal,      ///< mean + std * z, z standard normal
  uniform,     ///< low <= x < high
  integers,    ///< whole numbers, low to high, both included
  one_hot,     ///< in each row a 1 at a random class
  orthogonal,  ///< rows of unit length at right angles; columns where there are more rows than columns
  positions,   ///< sines and cosines of the row number (Vaswani et al. 2017, section 3.5)
  identity,    ///< 1 where row and column are equal
  range,       ///< 0, 1, 2, ... in row-major order
  zeros,
  ones,
};

/// What to generate. Ranges default to what suits the kind.
struct Recipe {
  Kind kind = Kind::normal;
  Shape shape = {};
  std::uint64_t seed = 0;
  double mean = 0;
  double std = 1;
  double low = 0;
  double high = 1;
  DType dtype = DType::f32;
};

/// The array of a recipe. Numbers are computed in double from integer random bits (Philox4x32-10, a stream for each kind) and
/// operations that IEEE 754 fixes to the last bit, and rounded once to `dtype`: the float32 array is the float64 array rounded.
/// The element with flat index i depends on seed, kind and i alone, so a longer array begins with the shorter one; orthogonal
/// rows depend on the whole matrix. Matrices are the last two axes. `uniform` never reaches `high`, not by rounding either
/// (float32 and float64). Throws Error(usage) for ranges without meaning and for integer types of numbers with
/// fractions, Error(data) for whole numbers out of the range of `dtype`, Error(memory) for shapes beyond all memory.
[[nodiscard]] Array generate(const Recipe& recipe);

}  // namespace attn::analysis

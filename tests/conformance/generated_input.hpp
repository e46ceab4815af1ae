// Input files made from a hash, so that tests need not store them; tests/data/generated_input.py makes the same numbers.
#pragma once

#include <attn/array.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace attn::testing {

/// splitmix64's finalizer of seed * 2^32 + index.
[[nodiscard]] std::uint64_t hash_of(std::uint64_t seed, std::uint64_t index) noexcept;

/// One input file. Floats are uniform in [-amplitude, amplitude) in steps that their type holds exactly.
struct InputSpec {
  /// A run of elements of the flattened array that get another value ("nan", "-inf", "3").
  struct Edit {
    std::size_t start = 0;
    std::size_t count = 0;
    std::string value;
  };

  std::string dtype = "float32";  ///< NumPy's name, or "bfloat16"
  Shape shape;
  std::uint64_t seed = 0;
  double amplitude = 1;
  bool is_binary = false;    ///< 0 or 1, as bool arrays always are
  std::uint64_t dense = 0;   ///< of 256 binary entries, about so many are 1
  std::uint64_t hidden = 0;  ///< of 256 entries, about so many are -inf
  std::vector<Edit> edits = {};
};

/// The elements as double, row-major.
[[nodiscard]] std::vector<double> generate(const InputSpec& spec);

/// Writes numbers that `dtype` holds exactly, by this test's own writers: `.csv`, `.safetensors` (the tensor "x") or NPY.
void write_input(const std::filesystem::path& path, const std::string& dtype, const Shape& shape,
                 const std::vector<double>& values);
inline void write_input(const std::filesystem::path& path, const InputSpec& spec) {
  write_input(path, spec.dtype, spec.shape, generate(spec));
}

}  // namespace attn::testing

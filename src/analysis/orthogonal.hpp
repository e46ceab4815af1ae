// Orthogonal rows or columns from any matrix, in a fixed order of operations.
#pragma once

#include <cstddef>
#include <span>

namespace attn::analysis {

/// Makes the rows of a row-major matrix orthonormal by the modified Gram-Schmidt process, done twice ("twice is enough": Giraud,
/// Langou, Rozloznik 2005), so that they are orthogonal to a few units in the last place; where there are more rows than columns,
/// the columns. Sums run in eight interleaved parts, whatever the machine's vectors are. The matrix must have full rank, as a
/// random one has.
void orthogonalize(std::span<double> matrix, std::size_t rows, std::size_t columns);

}  // namespace attn::analysis

// Rearranging arrays without touching their numbers: rows, columns, transposes, shapes, heads.
#pragma once

#include <attn/array.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace attn::analysis {

/// A run of rows, first to last, both included.
struct RowRun {
  std::size_t first = 0;
  std::size_t last = 0;
};

/// "0..99,200,500.." against an axis of `rows` rows. Rows count from 0, both ends of a range belong to it, an open end reaches to
/// the first or last row, and rows come in the order written. Throws Error(usage) for text without meaning and Error(data) for
/// rows that are not there.
[[nodiscard]] std::vector<RowRun> parse_rows(std::string_view text, std::size_t rows);

/// Elements [first, first + count) of the flattened array, sharing its memory, with shape [count].
[[nodiscard]] Array flat_slice(const Array& array, std::size_t first, std::size_t count);

/// Rows are the second-last axis. One run of a matrix shares the memory, everything else is a copy. Throws Error(data) for arrays
/// with fewer than two dimensions.
[[nodiscard]] Array take_rows(const Array& array, std::span<const RowRun> runs);

/// Columns (from 0) are the last axis.
[[nodiscard]] Array take_columns(const Array& array, std::span<const std::size_t> columns);

/// Swaps the last two axes; an array with one dimension counts as one row and becomes a column.
[[nodiscard]] Array transposed(const Array& array);

/// A shape in which one -1 stands for whatever is left. Throws Error(data) when the elements do not fit.
[[nodiscard]] Array reshaped(const Array& array, std::span<const std::int64_t> sizes);

/// [length, heads * dim] -> [heads, length, dim], and the same behind a batch axis. Throws Error(data) with the numbers of heads
/// that would divide the width.
[[nodiscard]] Array split_heads(const Array& array, std::size_t heads);

/// The inverse: [heads, length, dim] -> [length, heads * dim], and the same behind a batch axis.
[[nodiscard]] Array merge_heads(const Array& array);

}  // namespace attn::analysis

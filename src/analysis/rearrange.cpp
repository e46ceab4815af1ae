// Rearranging arrays without touching their numbers: rows, columns, transposes, shapes, heads.
#include "analysis/rearrange.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace attn::analysis {

namespace {

/// Calls `f` with an unsigned integer type of `bytes` bytes: moving elements is the same for all types of one size.
template <class F>
void with_word(std::size_t bytes, F&& f) {
  switch (bytes) {
    case 1:
      return f(std::uint8_t{});
    case 2:
      return f(std::uint16_t{});
    case 4:
      return f(std::uint32_t{});
    default:
      return f(std::uint64_t{});
  }
}

std::size_t product(const Shape& shape, std::size_t begin, std::size_t end) {
  std::size_t count = 1;
  for (std::size_t k = begin; k < end; ++k) count *= shape[k];
  return count;
}

[[noreturn]] void meaningless_rows(std::string_view text) {
  throw Error(Status::usage, fmt::format("'{}' does not name rows", text),
              "rows count from 0; ranges hold both ends, and lists take commas: 0..99,200,500..");
}

std::size_t row_number(std::string_view text, std::string_view all) {
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) meaningless_rows(all);
  return number;
}

/// The last row that is there when only an open end was asked for, else an error.
void require_row(std::size_t row, std::size_t rows) {
  if (row < rows) return;
  throw Error(Status::data, rows == 0 ? fmt::format("there is no row {}: the array has no rows", row)
                                      : fmt::format("there is no row {}: rows count from 0 to {}", row, rows - 1));
}

/// The same memory seen from `offset` on under another shape.
Array view(const Array& array, std::size_t offset, Shape shape) {
  if (element_count(shape) == 0) return {array.dtype(), std::move(shape)};
  return {array.dtype(), std::move(shape), std::make_shared<const Array>(array),
          array.data() + offset * item_size(array.dtype())};
}

template <class Word>
void transpose_matrix(const Word* from, std::size_t rows, std::size_t columns, Word* to) {
  constexpr std::size_t tile = 32;  // both sides of a tile stay in the first-level cache
  for (std::size_t i0 = 0; i0 < rows; i0 += tile) {
    const std::size_t i1 = std::min(i0 + tile, rows);
    for (std::size_t j0 = 0; j0 < columns; j0 += tile) {
      const std::size_t j1 = std::min(j0 + tile, columns);
      for (std::size_t j = j0; j < j1; ++j) {
        for (std::size_t i = i0; i < i1; ++i) to[j * rows + i] = from[i * columns + j];
      }
    }
  }
}

/// Copies [outer, first, second, bytes] to [outer, second, first, bytes].
void swap_middle(const std::byte* from, std::size_t outer, std::size_t first, std::size_t second, std::size_t bytes,
                 std::byte* to) {
  if (bytes == 0) return;
  for (std::size_t o = 0; o < outer; ++o) {
    const std::size_t base = o * first * second;
    for (std::size_t a = 0; a < first; ++a) {
      for (std::size_t b = 0; b < second; ++b)
        std::memcpy(to + (base + b * first + a) * bytes, from + (base + a * second + b) * bytes, bytes);
    }
  }
}

std::vector<std::size_t> divisors(std::size_t n) {
  std::vector<std::size_t> found;
  for (std::size_t d = 1; d <= n && found.size() < 24; ++d) {
    if (n % d == 0) found.push_back(d);
  }
  return found;
}

}  // namespace

std::vector<RowRun> parse_rows(std::string_view text, std::size_t rows) {
  std::vector<RowRun> runs;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view item = text.substr(begin, end - begin);
    begin = end + 1;
    const std::size_t dots = item.find("..");
    if (dots == std::string_view::npos) {
      const std::size_t row = row_number(item, text);
      require_row(row, rows);
      runs.push_back({row, row});
      continue;
    }
    const std::string_view low = item.substr(0, dots);
    const std::string_view high = item.substr(dots + 2);
    if (low.empty() && high.empty()) meaningless_rows(text);
    const std::size_t first = low.empty() ? 0 : row_number(low, text);
    if (!high.empty() && row_number(high, text) < first)
      throw Error(Status::usage, fmt::format("the range '{}' runs backwards", item));
    require_row(first, rows);
    const std::size_t last = high.empty() ? rows - 1 : row_number(high, text);
    require_row(last, rows);
    runs.push_back({first, last});
  }
  return runs;
}

Array flat_slice(const Array& array, std::size_t first, std::size_t count) { return view(array, first, {count}); }

Array take_rows(const Array& array, std::span<const RowRun> runs) {
  const std::size_t rank = array.rank();
  if (rank < 2)
    throw Error(Status::data,
                fmt::format("rows can be chosen of two dimensions and more, not of shape {}", to_string(array.shape())),
                "one dimension is one row: choose of its --columns, or make it a column first: attn convert IN - --to npy "
                "--reshape -1,1 | attn convert - --rows ...");
  Shape shape = array.shape();
  const std::size_t rows = shape[rank - 2];
  shape[rank - 2] = 0;
  for (const RowRun& run : runs) shape[rank - 2] += run.last - run.first + 1;
  const std::size_t outer = product(shape, 0, rank - 2);
  const std::size_t width = shape[rank - 1];
  if (outer == 1 && runs.size() == 1) return view(array, runs[0].first * width, shape);
  Array result(array.dtype(), shape);
  if (result.empty()) return result;
  const std::size_t row_bytes = width * item_size(array.dtype());
  std::byte* to = result.mutable_data();
  for (std::size_t o = 0; o < outer; ++o) {
    for (const RowRun& run : runs) {
      const std::size_t bytes = (run.last - run.first + 1) * row_bytes;
      std::memcpy(to, array.data() + (o * rows + run.first) * row_bytes, bytes);
      to += bytes;
    }
  }
  return result;
}

Array take_columns(const Array& array, std::span<const std::size_t> columns) {
  if (array.rank() == 0) throw Error(Status::data, "a single number has no columns");
  Shape shape = array.shape();
  const std::size_t width = shape.back();
  shape.back() = columns.size();
  Array result(array.dtype(), shape);
  const std::size_t rows = product(shape, 0, shape.size() - 1);
  with_word(item_size(array.dtype()), [&](auto word) {
    using Word = decltype(word);
    const auto* from = reinterpret_cast<const Word*>(array.data());
    auto* to = reinterpret_cast<Word*>(result.mutable_data());
    for (std::size_t i = 0; i < rows; ++i) {
      for (const std::size_t column : columns) *to++ = from[i * width + column];
    }
  });
  return result;
}

Array transposed(const Array& array) {
  if (array.rank() == 0) throw Error(Status::data, "a single number has no transpose");
  if (array.rank() == 1) return array.reshaped({array.size(), 1});
  Shape shape = array.shape();
  const std::size_t rank = shape.size();
  const std::size_t rows = shape[rank - 2];
  const std::size_t columns = shape[rank - 1];
  std::swap(shape[rank - 2], shape[rank - 1]);
  if (rows == 1 || columns == 1) return array.reshaped(shape);
  Array result(array.dtype(), shape);
  const std::size_t outer = product(shape, 0, rank - 2);
  with_word(item_size(array.dtype()), [&](auto word) {
    using Word = decltype(word);
    const auto* from = reinterpret_cast<const Word*>(array.data());
    auto* to = reinterpret_cast<Word*>(result.mutable_data());
    for (std::size_t o = 0; o < outer; ++o) transpose_matrix(from + o * rows * columns, rows, columns, to + o * rows * columns);
  });
  return result;
}

Array reshaped(const Array& array, std::span<const std::int64_t> sizes) {
  Shape shape;
  std::size_t open = sizes.size();
  for (std::size_t k = 0; k < sizes.size(); ++k) {
    if (sizes[k] < -1 || (sizes[k] == -1 && open != sizes.size()))
      throw Error(Status::usage, fmt::format("the shape {} has no meaning (sizes from 0, and at most one -1 for what is left)",
                                             fmt::join(sizes, ",")));
    if (sizes[k] == -1) open = k;
    shape.push_back(sizes[k] == -1 ? 1 : static_cast<std::size_t>(sizes[k]));
  }
  if (shape.empty() || shape.size() > 4)
    throw Error(Status::usage, fmt::format("a shape has 1 to 4 sizes, not {}", shape.size()));
  if (open != sizes.size()) {
    const std::size_t rest = element_count(shape);
    if (rest == 0 || array.size() % rest != 0)
      throw Error(Status::data, fmt::format("{} elements of shape {} cannot take the shape {}: {} does not divide them",
                                            array.size(), to_string(array.shape()), fmt::join(sizes, ","), rest));
    shape[open] = array.size() / rest;
  }
  return array.reshaped(std::move(shape));
}

Array split_heads(const Array& array, std::size_t heads) {
  const std::size_t rank = array.rank();
  if (rank != 2 && rank != 3)
    throw Error(Status::data,
                fmt::format("heads are split from [length, heads*dim] or [batch, length, heads*dim], not from shape {}",
                            to_string(array.shape())));
  const std::size_t width = array.shape()[rank - 1];
  const std::size_t length = array.shape()[rank - 2];
  if (heads == 0 || width % heads != 0)
    throw Error(Status::data, fmt::format("{} columns cannot be split into {} equal heads", width, heads),
                fmt::format("numbers of heads that would do: {}", fmt::join(divisors(width), ", ")));
  const std::size_t dim = width / heads;
  const std::size_t batch = rank == 3 ? array.shape()[0] : 1;
  Array result(array.dtype(), rank == 3 ? Shape{batch, heads, length, dim} : Shape{heads, length, dim});
  swap_middle(array.data(), batch, length, heads, dim * item_size(array.dtype()), result.mutable_data());
  return result;
}

Array merge_heads(const Array& array) {
  const std::size_t rank = array.rank();
  if (rank != 3 && rank != 4)
    throw Error(Status::data,
                fmt::format("heads are merged from [heads, length, dim] or [batch, heads, length, dim], not from shape {}",
                            to_string(array.shape())));
  const std::size_t heads = array.shape()[rank - 3];
  const std::size_t length = array.shape()[rank - 2];
  const std::size_t dim = array.shape()[rank - 1];
  const std::size_t batch = rank == 4 ? array.shape()[0] : 1;
  Array result(array.dtype(), rank == 4 ? Shape{batch, length, heads * dim} : Shape{length, heads * dim});
  swap_middle(array.data(), batch, heads, length, dim * item_size(array.dtype()), result.mutable_data());
  return result;
}

}  // namespace attn::analysis

// Writes arrays as CSV: pieces of the array become text on several threads and reach the sink in order.
#include "base/groups.hpp"
#include "io/csv.hpp"
#include "io/csv_dialect.hpp"
#include "io/csv_threads.hpp"
#include "io/shortest.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <fmt/format.h>
#include <tbb/parallel_pipeline.h>

namespace attn {

namespace {

constexpr std::size_t piece_elements = std::size_t{1} << 15U;

char* write_value(char* to, float value) noexcept { return write_shortest(to, value); }
char* write_value(char* to, double value) noexcept { return write_shortest(to, value); }
char* write_value(char* to, bool value) noexcept {
  *to = value ? '1' : '0';
  return to + 1;
}
template <class T>
char* write_value(char* to, T value) noexcept {
  return std::to_chars(to, to + shortest_size, value).ptr;
}

/// Half-precision elements in memory.
struct Half {
  std::uint16_t bits;
};
struct BFloat {
  std::uint16_t bits;
};
char* write_value(char* to, Half value) noexcept { return write_shortest(to, half_to_float(value.bits)); }
char* write_value(char* to, BFloat value) noexcept { return write_shortest(to, bfloat_to_float(value.bits)); }

/// The matrix to write and how.
struct Table {
  const std::byte* data;
  std::size_t rows;
  std::size_t columns;
  char delimiter;
  const std::vector<std::string>& row_names;

  [[nodiscard]] std::size_t elements() const noexcept { return rows * columns; }
  [[nodiscard]] std::size_t pieces() const noexcept { return groups_of(elements(), piece_elements); }
};

/// Text of one piece of a table. The memory is used again for a later one.
class Piece {
 public:
  [[nodiscard]] std::string_view text() const noexcept { return {memory_.get(), size_}; }

  /// Formats the elements [piece * piece_elements, ...), with the names of the rows that begin there and the ends of those that
  /// end there.
  template <class T>
  void format(const Table& table, std::size_t piece) {
    const std::size_t begin = piece * piece_elements;
    const std::size_t end = std::min(begin + piece_elements, table.elements());
    reserve((end - begin) * (shortest_size + 1) + names_size(table, begin, end));
    const auto* values = static_cast<const T*>(static_cast<const void*>(table.data));
    char* to = memory_.get();
    std::size_t row = begin / table.columns;
    std::size_t column = begin % table.columns;
    for (std::size_t i = begin; i < end;) {
      if (column == 0 && !table.row_names.empty()) to = write_name(to, table.row_names[row], table.delimiter);
      const std::size_t row_end = std::min(end, i + (table.columns - column));
      column += row_end - i;
      for (; i < row_end; ++i) {
        to = write_value(to, values[i]);
        *to++ = table.delimiter;
      }
      if (column == table.columns) {
        to[-1] = '\n';
        column = 0;
        ++row;
      }
    }
    size_ = static_cast<std::size_t>(to - memory_.get());
  }

 private:
  static std::size_t names_size(const Table& table, std::size_t begin, std::size_t end) {
    std::size_t size = 0;
    if (table.row_names.empty()) return size;
    const std::size_t first = groups_of(begin, table.columns);
    for (std::size_t row = first; row * table.columns < end; ++row) size += 2 * table.row_names[row].size() + 3;
    return size;
  }

  static char* write_name(char* to, const std::string& name, char delimiter) {
    std::string cell;
    append_csv_cell(cell, name, delimiter);
    cell += delimiter;
    return std::copy(cell.begin(), cell.end(), to);
  }

  void reserve(std::size_t capacity) {
    if (capacity <= capacity_) return;
    memory_ = std::make_unique_for_overwrite<char[]>(capacity);
    capacity_ = capacity;
  }

  std::unique_ptr<char[]> memory_;
  std::size_t capacity_ = 0;
  std::size_t size_ = 0;
};

template <class T>
void write_table(Outputs::TextSink& sink, const Table& table, std::size_t threads) {
  const std::size_t pieces = table.pieces();
  if (pieces > 1) threads = thread_count(threads);
  if (pieces <= 1 || threads == 1) {
    Piece piece;
    for (std::size_t i = 0; i < pieces; ++i) {
      piece.format<T>(table, i);
      sink.write(piece.text());
    }
    return;
  }
  // At most one piece for each slot is under way, and they leave in order, so that slot i % slots is free again when i begins.
  std::vector<Piece> slots(2 * threads);
  std::size_t next = 0;
  const auto begin = [&](tbb::flow_control& control) {
    if (next == pieces) control.stop();
    return next++;
  };
  const auto format = [&](std::size_t i) {
    Piece& piece = slots[i % slots.size()];
    piece.format<T>(table, i);
    return &piece;
  };
  const auto write = [&](Piece* piece) { sink.write(piece->text()); };
  tbb::task_arena arena(static_cast<int>(threads));
  arena.execute([&] {
    tbb::parallel_pipeline(slots.size(), tbb::make_filter<void, std::size_t>(tbb::filter_mode::serial_in_order, begin) &
                                             tbb::make_filter<std::size_t, Piece*>(tbb::filter_mode::parallel, format) &
                                             tbb::make_filter<Piece*, void>(tbb::filter_mode::serial_in_order, write));
  });
}

void write_elements(Outputs::TextSink& sink, DType type, const Table& table, std::size_t threads) {
  switch (type) {
    case DType::f16:
      return write_table<Half>(sink, table, threads);
    case DType::bf16:
      return write_table<BFloat>(sink, table, threads);
    case DType::f32:
      return write_table<float>(sink, table, threads);
    case DType::f64:
      return write_table<double>(sink, table, threads);
    case DType::i8:
      return write_table<std::int8_t>(sink, table, threads);
    case DType::i16:
      return write_table<std::int16_t>(sink, table, threads);
    case DType::i32:
      return write_table<std::int32_t>(sink, table, threads);
    case DType::i64:
      return write_table<std::int64_t>(sink, table, threads);
    case DType::u8:
      return write_table<std::uint8_t>(sink, table, threads);
    case DType::u16:
      return write_table<std::uint16_t>(sink, table, threads);
    case DType::u32:
      return write_table<std::uint32_t>(sink, table, threads);
    case DType::u64:
      return write_table<std::uint64_t>(sink, table, threads);
    case DType::boolean:
      return write_table<bool>(sink, table, threads);
  }
}

void check_names(std::string_view what, std::size_t names, std::size_t expected) {
  if (names == 0 || names == expected) return;
  throw Error(Status::data, fmt::format("there are {} names for {} {}", names, expected, what));
}

void write_header(Outputs::TextSink& sink, const WriteOptions& options, char delimiter) {
  if (options.column_names.empty()) return;
  std::vector<std::string> header;
  if (!options.row_names.empty() || !options.row_title.empty()) header.push_back(options.row_title);
  header.insert(header.end(), options.column_names.begin(), options.column_names.end());
  CsvRows(sink, header, delimiter).finish();
}

}  // namespace

std::pair<std::size_t, std::size_t> csv_shape(const Shape& shape) {
  Shape left = shape;
  while (left.size() > 2) {
    const auto one = std::find(left.begin(), left.end(), std::size_t{1});
    if (one == left.end())
      throw Error(Status::usage, fmt::format("an array of shape {} is no table, as CSV needs it", to_string(shape)),
                  "write it as NPY: a file name that ends in .npy, or --to npy");
    left.erase(one);
  }
  if (left.empty()) return {1, 1};
  if (left.size() == 1) return {1, left[0]};
  return {left[0], left[1]};
}

void write_csv(Outputs::TextSink& sink, DType type, const Shape& shape, const std::byte* data, const WriteOptions& options,
               char default_delimiter, const CsvTuning& tuning) {
  const auto [rows, columns] = csv_shape(shape);
  const char delimiter = options.delimiter.value_or(default_delimiter);
  check_delimiter(delimiter);
  check_names("rows", options.row_names.size(), rows);
  check_names("columns", options.column_names.size(), columns);
  write_header(sink, options, delimiter);
  if (columns == 0) return;
  write_elements(sink, type, Table{data, rows, columns, delimiter, options.row_names}, tuning.threads);
}

}  // namespace attn

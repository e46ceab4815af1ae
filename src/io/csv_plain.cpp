// The fast lane, for text without quotes: blocks of lines, walked with pointers, straight into the final array.
#include "io/csv_lanes.hpp"
#include "io/csv_threads.hpp"
#include "io/text.hpp"
#include "io/text_fast.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <exception>
#include <limits>
#include <vector>

#include <fast_float/fast_float.h>

namespace attn {

namespace {

/// Whole lines of text, and what the counting pass found in them and before them.
struct Block {
  const char* begin = nullptr;
  const char* end = nullptr;
  std::size_t lines = 0;
  std::size_t records = 0;
  BlankLines blank;            ///< lines count from 0 within the block
  std::size_t first_line = 0;  ///< of the file
  std::size_t first_row = 0;   ///< of the array
};

std::vector<Block> cut_into_blocks(const char* begin, const char* end, std::size_t block_bytes) {
  std::vector<Block> blocks;
  LineWalker lines(begin, end);
  while (begin != end) {
    const std::size_t left = static_cast<std::size_t>(end - begin);
    // From the last byte of the block, so that a block that ends in CR takes the LF behind it along.
    const char* const last = begin + std::min(left, std::max<std::size_t>(block_bytes, 1)) - 1;
    Block block;
    block.begin = begin;
    block.end = lines.next_line(lines.line_end(last));
    begin = block.end;
    blocks.push_back(block);
  }
  return blocks;
}

void count_records(Block& block, const CsvDialect& dialect) {
  LineWalker lines(block.begin, block.end);
  for (const char* line = block.begin; line != block.end; ++block.lines) {
    const char* const end = lines.line_end(line);
    const char* const first = std::find_if_not(line, end, [&](char c) { return dialect.is_blank(c); });
    if (first == end)
      block.blank.add(block.lines);
    else if (*first != '#')
      ++block.records;
    line = lines.next_line(end);
  }
}

/// Reads the rows of one block. `Simple`: all columns are wanted, with one value each.
template <class T, bool Simple>
class BlockReader {
 public:
  BlockReader(const Block& block, const CsvLayout& layout, const CsvCells<T>& cells, const char* text_end, T* out,
              std::size_t stride)
      : layout_(layout),
        cells_(cells),
        options_(fast_float::chars_format::general, layout.dialect.decimal),
        delimiter_(layout.dialect.delimiter),
        blanks_(layout.dialect.separated_by_blanks()),
        place_(block.begin),
        end_(block.end),
        text_end_(text_end),
        line_(block.first_line),
        row_(out),
        stride_(stride) {}

  void read() {
    while (place_ != end_) {
      skip_blanks();
      if (!at_line_end()) {
        if (*place_ == '#') {
          while (!at_line_end()) ++place_;
        } else {
          read_row();
          row_ += stride_;
        }
      }
      end_line();
    }
  }

 private:
  enum class Slow { full, empty, padding };

  [[nodiscard]] bool at_line_end() const noexcept { return place_ == end_ || *place_ == '\n' || *place_ == '\r'; }

  [[nodiscard]] bool ends_cell(const char* place) const noexcept {
    return place == end_ || *place == delimiter_ || *place == '\n' || *place == '\r';
  }

  void skip_blanks() noexcept {
    while (place_ != end_ && layout_.dialect.is_blank(*place_)) ++place_;
  }

  void end_line() noexcept {
    const bool carriage_return = place_ != end_ && *place_ == '\r';
    if (place_ != end_) ++place_;
    if (carriage_return && place_ != end_ && *place_ == '\n') ++place_;
    ++line_;
  }

  void read_row() {
    std::size_t column = 0;
    Slow last = Slow::full;
    do {
      skip_blanks();
      last = read_fast(column) ? Slow::full : read_slow(column);
      ++column;
    } while (next_cell());
    if (last == Slow::padding) --column;
    cells_.end_row(line_, column, last == Slow::empty, row_);
  }

  /// Goes over the separator; false at the end of the line.
  bool next_cell() noexcept {
    if (blanks_) {
      skip_blanks();
      return !at_line_end();
    }
    if (place_ == end_ || *place_ != delimiter_) return false;
    ++place_;
    return true;
  }

  /// A cell that is a finite number in the usual spelling, with nothing but a separator or line end behind it.
  bool read_fast(std::size_t column) {
    std::size_t offset = column;
    if constexpr (Simple) {
      if (column >= layout_.columns) return false;
    } else {
      const CsvColumn where = layout_.column(column);
      if (where.offset == CsvColumn::unwanted || where.width != 1 || column >= layout_.columns) return false;
      offset = where.offset;
    }
    T value;
    const char* behind =
        text_end_ - place_ >= common_number_reach ? read_common_number(place_, options_.decimal_point, value) : nullptr;
    if (behind == nullptr || !ends_cell(behind)) {
      const auto [ptr, error] = fast_float::from_chars_advanced(place_, end_, value, options_);
      behind = ptr;
      if (error != std::errc() || !(std::abs(value) <= std::numeric_limits<T>::max()) || !ends_cell(behind)) return false;
    }
    row_[offset] = value;
    place_ = behind;
    return true;
  }

  /// Any other cell.
  Slow read_slow(std::size_t column) {
    const char* const begin = place_;
    while (!at_line_end() && *place_ != delimiter_ && (!blanks_ || *place_ != '\t')) {
      if (*place_ == '"') throw CsvRestart{CsvRestart::Reason::quotes};
      ++place_;
    }
    const std::string_view cell = trimmed({begin, static_cast<std::size_t>(place_ - begin)});
    if (at_line_end() && cells_.may_be_padding(cell)) return Slow::padding;
    cells_.read(cell, line_, column, row_);
    return cell.empty() ? Slow::empty : Slow::full;
  }

  const CsvLayout& layout_;
  const CsvCells<T>& cells_;
  fast_float::parse_options options_;
  char delimiter_;
  bool blanks_;
  const char* place_;
  const char* end_;
  const char* text_end_;  ///< of all blocks: bytes before it may be read
  std::size_t line_;
  T* row_;
  std::size_t stride_;
};

/// Runs `read(block)` for all blocks; of those that fail, the first in the file decides.
template <class F>
void for_all_blocks(std::vector<Block>& blocks, std::size_t threads, F&& read) {
  std::vector<std::exception_ptr> failures(blocks.size());
  std::atomic<std::size_t> first_failure = blocks.size();
  for_each_index(blocks.size(), threads, [&](std::size_t i) {
    if (i > first_failure.load(std::memory_order_relaxed)) return;  // nobody will ask for this one
    try {
      read(blocks[i]);
    } catch (...) {
      failures[i] = std::current_exception();
      std::size_t known = first_failure.load();
      while (i < known && !first_failure.compare_exchange_weak(known, i)) {
      }
    }
  });
  if (first_failure < blocks.size()) std::rethrow_exception(failures[first_failure]);
}

template <class T>
void read_block(const Block& block, const CsvLayout& layout, const CsvCells<T>& cells, const char* text_end, T* out,
                std::size_t stride) {
  if (layout.wanted.empty())
    BlockReader<T, true>(block, layout, cells, text_end, out, stride).read();
  else
    BlockReader<T, false>(block, layout, cells, text_end, out, stride).read();
}

}  // namespace

template <class T>
CsvData read_plain(std::string_view text, const CsvLayout& layout, const CsvCells<T>& cells, const CsvTuning& tuning) {
  const std::string_view data = text.substr(layout.data.offset);
  const char* const end = data.data() + data.size();
  std::vector<Block> blocks = cut_into_blocks(data.data(), end, tuning.block_bytes);
  for_all_blocks(blocks, tuning.threads, [&](Block& block) { count_records(block, layout.dialect); });

  CsvData result;
  std::size_t rows = 0;
  std::size_t line = layout.data.line;
  for (Block& block : blocks) {
    block.first_row = rows;
    block.first_line = line;
    block.blank.first += line;
    result.blank.add(block.blank);
    rows += block.records;
    line += block.lines;
  }

  const std::size_t width = layout.row_width;
  if (!cells.pads() && rows > data.size() / layout.columns + 1) {
    // Not all rows can be as long as the first: a walk without memory for them finds the one to complain about.
    std::vector<T> row(width);
    for_all_blocks(blocks, 1, [&](Block& block) { read_block<T>(block, layout, cells, end, row.data(), 0); });
    throw Error(Status::defect, "a CSV has more cells than characters");
  }
  if (cells.pads()) check_padded_size(rows, width, data.size());
  result.array = Array(dtype_of<T>, {rows, width});
  T* const out = result.array.template mutable_values<T>().data();
  for_all_blocks(blocks, tuning.threads,
                 [&](Block& block) { read_block<T>(block, layout, cells, end, out + block.first_row * width, width); });
  return result;
}

template CsvData read_plain<float>(std::string_view, const CsvLayout&, const CsvCells<float>&, const CsvTuning&);
template CsvData read_plain<double>(std::string_view, const CsvLayout&, const CsvCells<double>&, const CsvTuning&);

}  // namespace attn

// The general lane: libcsv finds the cells, whatever quotes are in the text.
#include "io/csv_lanes.hpp"

#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace attn {

namespace {

template <class T>
class RowCollector : public CsvHandler {
 public:
  RowCollector(const CsvLayout& layout, const CsvCells<T>& cells, std::size_t bytes)
      : layout_(layout), cells_(cells), bytes_(bytes), row_(layout.row_width) {}

  void cell(std::string_view text, std::size_t line, std::size_t column) override {
    if (held_back_) {  // the empty cell before this one was none of the padding behind a row
      held_back_ = false;
      cells_.read({}, held_line_, column - 1, row_.data());
    }
    if (cells_.may_be_padding(text)) {
      held_back_ = true;
      held_line_ = line;
      return;
    }
    cells_.read(text, line, column, row_.data());
  }

  void end_record(std::size_t line, std::size_t cells, bool last_empty) override {
    if (std::exchange(held_back_, false)) {
      --cells;
      last_empty = false;
    }
    cells_.end_row(line, cells, last_empty, row_.data());
    ++rows_;
    if (cells_.pads()) check_padded_size(rows_, layout_.row_width, bytes_);
    values_->insert(values_->end(), row_.begin(), row_.end());
  }

  [[nodiscard]] Array array() const {
    if (rows_ == 0) return {dtype_of<T>, {0, layout_.row_width}};
    const void* const data = values_->data();
    return {dtype_of<T>, {rows_, layout_.row_width}, values_, static_cast<const std::byte*>(data)};
  }

 private:
  const CsvLayout& layout_;
  const CsvCells<T>& cells_;
  std::size_t bytes_;
  std::vector<T> row_;
  std::shared_ptr<std::vector<T>> values_ = std::make_shared<std::vector<T>>();
  std::size_t rows_ = 0;
  std::size_t held_line_ = 0;
  bool held_back_ = false;
};

}  // namespace

template <class T>
CsvData read_quoted(std::string_view text, const CsvLayout& layout, const CsvCells<T>& cells, const FileName& name) {
  RowCollector<T> rows(layout, cells, text.size());
  const CsvWalk walk = walk_records(text, layout.data, layout.dialect, name, std::numeric_limits<std::size_t>::max(), rows);
  return {rows.array(), walk.blank};
}

void check_padded_size(std::size_t rows, std::size_t row_width, std::size_t bytes) {
  constexpr std::size_t most_per_byte = 64;
  constexpr std::size_t always_allowed = std::size_t{1} << 20U;
  if (row_width == 0 || rows <= (bytes * most_per_byte + always_allowed) / row_width) return;
  throw Error(
      Status::memory,
      fmt::format("padding the short rows would make more than {} values of {} bytes of text", bytes * most_per_byte, bytes),
      "one row is far longer than the others; is a line end missing in it?");
}

template CsvData read_quoted<float>(std::string_view, const CsvLayout&, const CsvCells<float>&, const FileName&);
template CsvData read_quoted<double>(std::string_view, const CsvLayout&, const CsvCells<double>&, const FileName&);

}  // namespace attn

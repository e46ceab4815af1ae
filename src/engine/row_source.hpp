// Where the engines' rows come from: memory that already holds them, or inputs they are made of when they are needed.
#pragma once

#include "engine/inputs.hpp"
#include "engine/rope.hpp"

#include <attn/array.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace attn::engine {

/// Rows of [batch, heads, length, dim] in any layout whose features are contiguous. Strides count elements.
template <class T>
struct Rows {
  const T* data = nullptr;
  std::size_t batch_stride = 0;
  std::size_t head_stride = 0;
  std::size_t row_stride = 0;

  [[nodiscard]] const T* row(std::size_t b, std::size_t h, std::size_t i) const noexcept {
    return data + b * batch_stride + h * head_stride + i * row_stride;
  }
};

/// Consecutive rows of one head: row i is data[i * stride].
template <class T>
struct RowSpan {
  const T* data = nullptr;
  std::size_t stride = 0;
};

/// Row i of a batch entry stands at position first + i.
struct Turn {
  std::shared_ptr<const Rope> rope;
  std::int64_t first = 0;
};

/// What happens to rows between their input and the engine, in this order.
struct RowTransform {
  std::vector<Turn> turns;  ///< [batch]; empty: rows are not rotated
  bool to_unit_length = false;
  /// Zero vectors, which have no direction, become NaN where this says so, and else stay; with to_unit_length only. May be empty.
  std::function<bool(std::size_t batch, std::size_t head, std::size_t row)> zero_is_nan;

  [[nodiscard]] bool changes_rows() const noexcept { return !turns.empty() || to_unit_length; }
};

/// Rows of T, [batch, heads, length, dim]: of an input array, after those of a past if there is one, widened and transformed.
/// They are made a few at a time, so that no second copy of an input is ever whole in memory. T is float or double.
template <class T>
class RowSource {
 public:
  RowSource() = default;
  /// Rows that are there as they are needed. The caller keeps them alive.
  RowSource(const Rows<T>& rows, std::size_t dim) : direct_(rows), dim_(dim) {}
  /// `past` is not given, or [batch, heads, length, dim]; its rows come before those of `input`.
  RowSource(const NamedArray& past, const NamedArray& input, std::size_t packed_heads);

  /// From now on rows of arrays in these files are copied, and their pages let go.
  void let_pass(const PassingFiles& files);
  void set_transform(RowTransform transform) { transform_ = std::make_shared<const RowTransform>(std::move(transform)); }

  /// True when memory already holds the rows as they are needed.
  [[nodiscard]] bool is_direct() const noexcept {
    return direct_.data != nullptr && input_.passing == nullptr && (transform_ == nullptr || !transform_->changes_rows());
  }
  /// Valid only when is_direct().
  [[nodiscard]] const Rows<T>& direct() const noexcept { return direct_; }
  [[nodiscard]] std::size_t dim() const noexcept { return dim_; }
  [[nodiscard]] const HeadLayout& layout() const noexcept { return layout_; }  ///< of all rows together; not of direct ones

  /// Writes rows [first, first + count) of one head to out, [count, dim].
  void make(std::size_t b, std::size_t h, std::size_t first, std::size_t count, T* out) const;
  /// The same rows where they are, or made in `buffer` (room for [count, dim]).
  [[nodiscard]] RowSpan<T> rows(std::size_t b, std::size_t h, std::size_t first, std::size_t count, T* buffer) const;
  /// One row by value.
  [[nodiscard]] std::vector<T> row(std::size_t b, std::size_t h, std::size_t i) const;

 private:
  struct Part {
    Array array;
    HeadLayout layout;
    std::shared_ptr<const MappedFile> passing = nullptr;  ///< where the array lies, if its pages are not to be held
  };
  static void let_go(const Part& part, std::size_t b, std::size_t h, std::size_t first, std::size_t count);
  static void widen(const Part& part, std::size_t b, std::size_t h, std::size_t first, std::size_t count, T* out);
  void transform(std::size_t b, std::size_t h, std::size_t first, std::size_t count, T* rows) const;

  Rows<T> direct_;
  std::size_t dim_ = 0;
  HeadLayout layout_;
  std::size_t past_len_ = 0;
  Part past_;
  Part input_;
  std::shared_ptr<const RowTransform> transform_;
};

/// visit(batch, head, row, values) for every row of a source that knows its layout, until it returns false. Rows that must be
/// made are made some at a time.
template <class T, class Visit>
void visit_rows(const RowSource<T>& source, Visit&& visit) {
  constexpr std::size_t most = 1024;
  const HeadLayout& l = source.layout();
  std::vector<T> buffer(source.is_direct() ? 0 : std::min(most, l.length) * l.dim);
  for (std::size_t b = 0; b < l.batch; ++b) {
    for (std::size_t h = 0; h < l.heads; ++h) {
      for (std::size_t first = 0; first < l.length; first += most) {
        const std::size_t count = std::min(most, l.length - first);
        const RowSpan<T> rows = source.rows(b, h, first, count, buffer.data());
        for (std::size_t i = 0; i < count; ++i)
          if (!visit(b, h, first + i, rows.data + i * rows.stride)) return;
      }
    }
  }
}

}  // namespace attn::engine

// Rows made of inputs: widened, joined with the past, rotated, scaled to unit length.
#include "engine/row_source.hpp"

#include "io/input.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

namespace attn::engine {

namespace {

/// Scales to unit length; the norm is taken of the row divided by its largest entry, so that 1e-30 and 1e300 have a direction
/// too. Returns false for a zero vector, which stays.
template <class T>
bool to_unit(std::span<T> row) {
  double largest = 0;
  for (const T x : row) largest = std::max(largest, std::abs(static_cast<double>(x)));
  const bool has_nan = std::ranges::any_of(row, [](T x) { return std::isnan(x); });
  if (largest == 0 && !has_nan) return false;
  double sum = 0;
  for (const T x : row) {
    const double part = static_cast<double>(x) / largest;
    sum += part * part;
  }
  const double norm = std::sqrt(sum);
  for (T& x : row) x = static_cast<T>(static_cast<double>(x) / largest / norm);
  return true;
}

}  // namespace

template <class T>
RowSource<T>::RowSource(const NamedArray& past, const NamedArray& input, std::size_t packed_heads)
    : layout_(head_layout(input, packed_heads)), input_{input.array, layout_} {
  dim_ = layout_.dim;
  if (past.given()) {
    past_ = {past.array, head_layout(past, 0)};
    past_len_ = past_.layout.length;
    layout_.length += past_len_;
  } else if (input.array.dtype() == dtype_of<T>) {
    direct_ = {input.array.values<T>().data(), layout_.batch_stride, layout_.head_stride, layout_.row_stride};
  }
}

template <class T>
void RowSource<T>::let_pass(const PassingFiles& files) {
  for (Part* part : {&past_, &input_}) {
    const auto holds = [&](const auto& file) { return file->holds({part->array.data(), part->array.bytes()}); };
    const auto found = std::ranges::find_if(files, holds);
    if (found != files.end()) part->passing = *found;
  }
}

template <class T>
void RowSource<T>::let_go(const Part& part, std::size_t b, std::size_t h, std::size_t first, std::size_t count) {
  if (part.passing == nullptr || count == 0) return;
  const HeadLayout& l = part.layout;
  const std::size_t item = item_size(part.array.dtype());
  const std::size_t at = b * l.batch_stride + h * l.head_stride + first * l.row_stride;
  part.passing->let_go({part.array.data() + at * item, ((count - 1) * l.row_stride + l.dim) * item});
}

template <class T>
void RowSource<T>::widen(const Part& part, std::size_t b, std::size_t h, std::size_t first, std::size_t count, T* out) {
  const HeadLayout& l = part.layout;
  const std::size_t at = b * l.batch_stride + h * l.head_stride + first * l.row_stride;
  if (l.row_stride == l.dim) {
    part.array.convert_to(dtype_of<T>, at, count * l.dim, reinterpret_cast<std::byte*>(out));
    return;
  }
  for (std::size_t i = 0; i < count; ++i)
    part.array.convert_to(dtype_of<T>, at + i * l.row_stride, l.dim, reinterpret_cast<std::byte*>(out + i * l.dim));
}

template <class T>
void RowSource<T>::transform(std::size_t b, std::size_t h, std::size_t first, std::size_t count, T* rows) const {
  for (std::size_t i = 0; i < count; ++i) {
    const std::span<T> row(rows + i * dim_, dim_);
    const std::size_t place = first + i;
    if (!transform_->turns.empty()) {
      const Turn& turn = transform_->turns[b];
      turn.rope->rotate(turn.first + static_cast<std::int64_t>(place), row.data());
    }
    if (!transform_->to_unit_length || to_unit(row)) continue;
    if (transform_->zero_is_nan && transform_->zero_is_nan(b, h, place))
      std::ranges::fill(row, std::numeric_limits<T>::quiet_NaN());
  }
}

template <class T>
void RowSource<T>::make(std::size_t b, std::size_t h, std::size_t first, std::size_t count, T* out) const {
  if (direct_.data != nullptr) {
    for (std::size_t i = 0; i < count; ++i) std::copy_n(direct_.row(b, h, first + i), dim_, out + i * dim_);
    let_go(input_, b, h, first, count);
  } else {
    const std::size_t old = std::clamp(past_len_, first, first + count) - first;
    if (old > 0) widen(past_, b, h, first, old, out);
    if (old < count) widen(input_, b, h, first + old - past_len_, count - old, out + old * dim_);
    let_go(past_, b, h, first, old);
    let_go(input_, b, h, first + old - past_len_, count - old);
  }
  if (transform_ != nullptr && transform_->changes_rows()) transform(b, h, first, count, out);
}

template <class T>
RowSpan<T> RowSource<T>::rows(std::size_t b, std::size_t h, std::size_t first, std::size_t count, T* buffer) const {
  if (is_direct()) return {direct_.row(b, h, first), direct_.row_stride};
  make(b, h, first, count, buffer);
  return {buffer, dim_};
}

template <class T>
std::vector<T> RowSource<T>::row(std::size_t b, std::size_t h, std::size_t i) const {
  std::vector<T> values(dim_);
  make(b, h, i, 1, values.data());
  return values;
}

template class RowSource<float>;
template class RowSource<double>;

}  // namespace attn::engine

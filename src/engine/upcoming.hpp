// Rows that a thread will read after those at hand, dealt out to the products, which fetch them while they compute.
#pragma once

#include "kernels/kernels.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

namespace attn::engine {

/// What comes after a walk over a span of keys. A guess is good enough: fetching what nobody reads costs little, and nothing
/// depends on it but time.
template <class T>
class Upcoming {
 public:
  /// `is_span_warm` says that the keys and values of the span at hand have just been read, so that all fetching may go to what
  /// comes after them.
  void start(bool is_span_warm) noexcept {
    is_span_warm_ = is_span_warm;
    size_ = at_ = 0;
  }
  void add(const kernels::Ahead<T>& rows) noexcept {
    if (rows.rows != nullptr && rows.count > 0 && size_ < rows_.size()) rows_[size_++] = rows;
  }

  [[nodiscard]] bool is_span_warm() const noexcept { return is_span_warm_; }

  /// The next of these rows: as many as `count` rows of `dim` elements take, and at least one.
  [[nodiscard]] kernels::Ahead<T> take(std::size_t count, std::size_t dim) noexcept {
    if (at_ == size_) return {};
    kernels::Ahead<T>& rest = rows_[at_];
    kernels::Ahead<T> taken = rest;
    taken.count = std::clamp<std::size_t>(count * dim / std::max<std::size_t>(rest.dim, 1), 1, rest.count);
    rest.rows += taken.count * rest.stride;
    rest.count -= taken.count;
    if (rest.count == 0) ++at_;
    return taken;
  }

 private:
  static constexpr std::size_t kMost = 2;
  std::array<kernels::Ahead<T>, kMost> rows_;
  std::size_t size_ = 0;
  std::size_t at_ = 0;
  bool is_span_warm_ = false;
};

}  // namespace attn::engine

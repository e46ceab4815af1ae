// The cells of a picture of weights, gathered while a walk hands out columns.
#include "analysis/pooled_weights.hpp"

#include "render/picture.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

namespace attn::analysis {

namespace {

using render::first_of;

constexpr std::size_t kNotDrawn = static_cast<std::size_t>(-1);

/// Queries whose numbers are pooled side by side.
using kernels::kLanes;
/// What kernels ask of a tile's address.
constexpr std::size_t kAlignment = 64;

/// The cell that thing `index` of `length` lies in.
std::size_t cell_of(std::size_t index, std::size_t cells, std::size_t length) {
  // A guess by division, at most one off, then exactly.
  auto cell = static_cast<std::size_t>(static_cast<double>(index) / static_cast<double>(length) * static_cast<double>(cells));
  cell = std::min(cell, cells - 1);
  while (cell > 0 && first_of(cell, cells, length) > index) --cell;
  while (cell + 1 < cells && first_of(cell + 1, cells, length) <= index) ++cell;
  return cell;
}

/// The larger one; NaN when one is.
template <class T>
T larger(T a, T b) {
  return b > a || std::isnan(b) ? b : a;
}

template <class T>
double sum_onto(double sum, const T* begin, const T* end) {
  for (; begin != end; ++begin) sum += static_cast<double>(*begin);
  return sum;
}

template <class T>
double largest_of(double top, const T* begin, const T* end) {
  bool is_nan = std::isnan(top);
  for (; begin != end; ++begin) {
    const auto x = static_cast<double>(*begin);
    is_nan |= std::isnan(x);
    top = x > top ? x : top;
  }
  return is_nan ? std::numeric_limits<double>::quiet_NaN() : top;
}

}  // namespace

std::size_t pieces_of(const PoolGrid& grid, std::size_t kv_len) { return grid.columns + kv_len / kernels::kKeys; }

template <class T>
PooledWeights<T>::PooledWeights(const engine::Plan& plan, Pool pool, PoolGrid grid)
    : plan_(plan),
      kernels_(*kernels::available<T>().front()),
      pool_(pool),
      grid_(std::move(grid)),
      plane_of_(plan.dims.batch * plan.dims.heads, kNotDrawn) {
  for (std::size_t n = 0; n < grid_.heads.size(); ++n) plane_of_[grid_.heads[n]] = n;
  for (std::size_t c = 0; c < grid_.columns; ++c) {
    const std::size_t end = first_of(c + 1, grid_.columns, plan.dims.kv_len);
    for (std::size_t begin = first_of(c, grid_.columns, plan.dims.kv_len); begin < end;) {
      const std::size_t stop = std::min(end, (begin / kernels::kKeys + 1) * kernels::kKeys);
      pieces_.push_back({begin, stop, c});
      begin = stop;
    }
  }
  const std::size_t cells = grid_.heads.size() * pieces_.size() * grid_.rows;
  // Weights are at least 0, which is what a masked one is, unless they are the logits themselves or come from a file.
  const bool may_be_negative = pool_ == Pool::max && (plan.options.normalize == Normalizer::none || plan.dims.head_dim == 0);
  sums_.assign(cells, may_be_negative ? -std::numeric_limits<double>::infinity() : 0);
  if (may_be_negative) seen_.assign(cells, 0);
  is_nan_ = std::make_unique<std::atomic<bool>[]>(grid_.heads.size() * grid_.rows);
}

template <class T>
void PooledWeights<T>::rows(const engine::RowBlock<T>& block) {
  if (plan_.options.empty_rows != Policy::nan) return;
  const std::size_t n = plane_of_[block.batch * plan_.dims.heads + block.head];
  if (n == kNotDrawn) return;
  for (std::size_t i = 0; i < block.queries; ++i)
    if (block.is_empty[i] != 0) is_nan_[n * grid_.rows + cell_of(block.query + i, grid_.rows, plan_.dims.q_len)] = true;
}

template <class T>
void PooledWeights<T>::columns(const engine::Tile<T>& tile) {
  const std::size_t n = plane_of_[tile.batch * plan_.dims.heads + tile.head];
  if (n == kNotDrawn || tile.queries == 0) return;
  const std::size_t end = tile.key + tile.keys;
  auto piece = std::ranges::upper_bound(pieces_, tile.key, {}, &Piece::begin) - 1;
  for (; piece != pieces_.end() && piece->begin < end; ++piece) {
    const Piece own{std::max(piece->begin, tile.key), std::min(piece->end, end), piece->column};
    const std::size_t at = n * pieces_.size() + static_cast<std::size_t>(piece - pieces_.begin());
    take_piece(tile, own, sums_.data() + at * grid_.rows);
    if (seen_.empty()) continue;
    for (std::size_t i = 0; i < tile.queries; ++i)
      seen_[at * grid_.rows + cell_of(tile.query + i, grid_.rows, plan_.dims.q_len)] += static_cast<double>(own.end - own.begin);
  }
}

template <class T>
template <class F>
void PooledWeights<T>::for_each_sums(const Lines& lines, F&& f) const {
  const auto place = [this](std::size_t key) {
    return static_cast<std::size_t>(std::ranges::lower_bound(pieces_, key, {}, &Piece::begin) - pieces_.begin());
  };
  const std::size_t first = place(lines.begin);
  const std::size_t count = (place(lines.end) - first) * grid_.rows;
  for (std::size_t head = lines.head; head < lines.head + lines.heads; ++head) {
    const std::size_t n = plane_of_[lines.batch * plan_.dims.heads + head];
    if (n != kNotDrawn) f((n * pieces_.size() + first) * grid_.rows, count);
  }
}

template <class T>
std::string PooledWeights<T>::told(const Lines& lines) const {
  std::string bytes;
  for_each_sums(lines, [&](std::size_t first, std::size_t count) {
    for (const std::vector<double>* numbers : {&sums_, &seen_})
      if (!numbers->empty())
        bytes.append(reinterpret_cast<const char*>(numbers->data() + first), count * sizeof(double));  // NOLINT
  });
  return bytes;
}

template <class T>
void PooledWeights<T>::learn(const Lines& lines, std::string_view bytes) {
  for_each_sums(lines, [&](std::size_t first, std::size_t count) {
    for (std::vector<double>* numbers : {&sums_, &seen_}) {
      if (numbers->empty() || count == 0) continue;
      if (bytes.size() < count * sizeof(double)) throw Error(Status::defect, "a rank has sent cells that are cut off");
      std::memcpy(numbers->data() + first, bytes.data(), count * sizeof(double));
      bytes.remove_prefix(count * sizeof(double));
    }
  });
}

template <class T>
void PooledWeights<T>::take_piece(const engine::Tile<T>& tile, const Piece& piece, double* to) {
  alignas(kAlignment) T lanes[kLanes];
  std::size_t row = cell_of(tile.query, grid_.rows, plan_.dims.q_len);
  std::size_t row_end = first_of(row + 1, grid_.rows, plan_.dims.q_len);
  for (std::size_t first = 0; first < tile.queries; first += kLanes) {
    const std::size_t count = std::min(kLanes, tile.queries - first);
    pool_keys(tile, piece.begin - tile.key, piece.end - tile.key, first, count, lanes);
    for (std::size_t i = 0; i < count;) {
      const std::size_t query = tile.query + first + i;
      if (query == row_end) row_end = first_of(++row + 1, grid_.rows, plan_.dims.q_len);
      const std::size_t stop = std::min(count, i + (row_end - query));
      to[row] = pool_ == Pool::mean ? sum_onto(to[row], lanes + i, lanes + stop) : largest_of(to[row], lanes + i, lanes + stop);
      i = stop;
    }
  }
}

template <class T>
void PooledWeights<T>::pool_keys(const engine::Tile<T>& tile, std::size_t begin, std::size_t end, std::size_t first,
                                 std::size_t count, T* lanes) const {
  const T* data = tile.data + first * tile.query_step + begin * tile.key_step;
  const auto over_keys = [&](auto join) {
    for (std::size_t i = 0; i < count; ++i) {
      lanes[i] = data[i * tile.query_step];
      for (std::size_t j = 1; j < end - begin; ++j) lanes[i] = join(lanes[i], data[i * tile.query_step + j * tile.key_step]);
    }
  };
  // Tiles of the kernels' own form; the others give the same bits.
  if (tile.query_step == 1 && tile.key_step == kLanes && reinterpret_cast<std::uintptr_t>(data) % kAlignment == 0)
    (pool_ == Pool::mean ? kernels_.key_sums : kernels_.key_maxima)(data, end - begin, count, lanes);
  else if (pool_ == Pool::mean)
    over_keys([](T a, T b) { return a + b; });
  else
    over_keys([](T a, T b) { return larger(a, b); });
  if (tile.divisor == nullptr) return;
  // What is largest stays so when all are divided.
  for (std::size_t i = 0; i < count; ++i) {
    const T divisor = tile.divisor[first + i];
    // The quotient is made in any case, so that the compiler makes vector code of it.
    const T weight = lanes[i] / divisor;
    lanes[i] = divisor == 0 ? T(0) : weight;
  }
}

template <class T>
std::vector<double> PooledWeights<T>::cells(std::size_t n) const {
  const engine::Dims& d = plan_.dims;
  std::vector<double> cells(grid_.rows * grid_.columns, pool_ == Pool::mean ? 0 : -std::numeric_limits<double>::infinity());
  for (std::size_t p = 0; p < pieces_.size(); ++p) {
    const std::size_t at = (n * pieces_.size() + p) * grid_.rows;
    for (std::size_t r = 0; r < grid_.rows; ++r) {
      double& cell = cells[r * grid_.columns + pieces_[p].column];
      double x = sums_[at + r];
      if (pool_ == Pool::mean) {
        cell += x;
        continue;
      }
      const std::size_t queries = first_of(r + 1, grid_.rows, d.q_len) - first_of(r, grid_.rows, d.q_len);
      const auto pairs = static_cast<double>(queries * (pieces_[p].end - pieces_[p].begin));
      // A pair that was not handed out weighs 0.
      if (!seen_.empty() && seen_[at + r] < pairs) x = larger(x, 0.0);
      cell = larger(cell, x);
    }
  }
  for (std::size_t r = 0; r < grid_.rows; ++r) {
    const std::size_t queries = first_of(r + 1, grid_.rows, d.q_len) - first_of(r, grid_.rows, d.q_len);
    for (std::size_t c = 0; c < grid_.columns; ++c) {
      double& cell = cells[r * grid_.columns + c];
      const std::size_t keys = first_of(c + 1, grid_.columns, d.kv_len) - first_of(c, grid_.columns, d.kv_len);
      if (pool_ == Pool::mean) cell /= static_cast<double>(queries) * static_cast<double>(keys);
      if (is_nan_[n * grid_.rows + r]) cell = std::numeric_limits<double>::quiet_NaN();
    }
  }
  return cells;
}

template class PooledWeights<float>;
template class PooledWeights<double>;

}  // namespace attn::analysis

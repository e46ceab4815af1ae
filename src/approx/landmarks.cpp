// A few rows that stand for many, and matrices of them in float64.
#include "approx/landmarks.hpp"

#include "engine/tiled_workspace.hpp"
#include "kernels/kernels.hpp"

#include <algorithm>
#include <cmath>

namespace attn::approx {

namespace {

using kernels::kLanes;

/// The largest magnitude of a - b.
double farthest(const Square& a, const Square& b) {
  double most = 0;
  for (std::size_t i = 0; i < a.values.size(); ++i) most = std::max(most, std::abs(a.values[i] - b.values[i]));
  return most;
}

/// alpha I - x.
Square below_identity(double alpha, Square x) {
  for (double& value : x.values) value = -value;
  for (std::size_t i = 0; i < x.rows; ++i) x.values[i * x.columns + i] += alpha;
  return x;
}

}  // namespace

Square product(const Square& a, const Square& b) {
  Square c{a.rows, b.columns, std::vector<double>(a.rows * b.columns)};
  const kernels::KernelTable<double>& k = *kernels::available<double>().front();
  engine::AlignedArray<double> panel(b.rows * kLanes);
  engine::AlignedArray<double> out(a.rows * kLanes);
  for (std::size_t first = 0; first < b.columns; first += kLanes) {
    const std::size_t width = std::min(kLanes, b.columns - first);
    for (std::size_t r = 0; r < b.rows; ++r)
      std::copy_n(b.values.data() + r * b.columns + first, width, panel.get() + r * kLanes);
    k.score_product(a.values.data(), a.columns, a.rows, a.columns, panel.get(), kLanes, out.get(), nullptr, {});
    for (std::size_t r = 0; r < a.rows; ++r) std::copy_n(out.get() + r * kLanes, width, c.values.data() + r * c.columns + first);
  }
  return c;
}

Square pseudo_inverse(const Square& a, int most_steps) {
  constexpr double near = 1e-9;
  double largest = 0;
  std::vector<double> rows(a.rows);
  std::vector<double> columns(a.columns);
  for (std::size_t i = 0; i < a.rows; ++i) {
    for (std::size_t j = 0; j < a.columns; ++j) {
      const double size = std::abs(a.values[i * a.columns + j]);
      rows[i] += size;
      columns[j] += size;
      largest = std::max(largest, size);
    }
  }
  const auto most = [](const std::vector<double>& sums) { return sums.empty() ? 0 : *std::ranges::max_element(sums); };
  const double norm = most(rows) * most(columns);
  Square x{a.columns, a.rows, std::vector<double>(a.values.size())};
  if (!(norm > 0) || !std::isfinite(norm)) return x;
  for (std::size_t i = 0; i < a.rows; ++i)
    for (std::size_t j = 0; j < a.columns; ++j) x.values[j * a.rows + i] = a.values[i * a.columns + j] / norm;
  Square best = x;
  double best_off = std::numeric_limits<double>::infinity();
  for (int step = 0; step <= most_steps; ++step) {
    const Square ax = product(a, x);
    const double off = farthest(product(ax, a), a);
    if (off < best_off) {
      best_off = off;
      best = x;
    }
    // Rounding grows in what A does not have: what has become worse does not become better.
    if (step == most_steps || !(off > near * largest) || !(off <= 2 * best_off)) break;
    const Square inner = below_identity(15, product(ax, below_identity(7, ax)));
    x = product(x, below_identity(13, product(ax, inner)));
    for (double& value : x.values) value /= 4;
  }
  return best;
}

template <class T>
Array means_of_pieces(const engine::RowSource<T>& rows, std::size_t heads, const std::vector<std::size_t>& length,
                      std::size_t count, std::size_t repeat) {
  const std::size_t dim = rows.dim();
  Array means(dtype_of<T>, {length.size(), heads * repeat, count, dim});
  T* const to = means.template mutable_values<T>().data();
  std::vector<T> row(dim);
  std::vector<double> sum(dim);
  for (std::size_t b = 0; b < length.size(); ++b) {
    const std::size_t pieces = std::min(count, length[b]);
    for (std::size_t h = 0; h < heads; ++h) {
      for (std::size_t c = 0; c < pieces; ++c) {
        const std::size_t first = c * length[b] / pieces;
        const std::size_t last = (c + 1) * length[b] / pieces;
        std::ranges::fill(sum, 0.0);
        for (std::size_t i = first; i < last; ++i) {
          rows.make(b, h, i, 1, row.data());
          for (std::size_t f = 0; f < dim; ++f) sum[f] += static_cast<double>(row[f]);
        }
        for (std::size_t r = 0; r < repeat; ++r)
          for (std::size_t f = 0; f < dim; ++f)
            to[((b * heads * repeat + h * repeat + r) * count + c) * dim + f] =
                static_cast<T>(sum[f] / static_cast<double>(last - first));
      }
    }
  }
  return means;
}

template <class T>
engine::RowSource<T> rows_of(const Array& array) {
  const Shape& s = array.shape();
  return engine::RowSource<T>(engine::Rows<T>{array.values<T>().data(), s[1] * s[2] * s[3], s[2] * s[3], s[3]}, s[3]);
}

template Array means_of_pieces(const engine::RowSource<float>&, std::size_t, const std::vector<std::size_t>&, std::size_t,
                               std::size_t);
template Array means_of_pieces(const engine::RowSource<double>&, std::size_t, const std::vector<std::size_t>&, std::size_t,
                               std::size_t);
template engine::RowSource<float> rows_of(const Array&);
template engine::RowSource<double> rows_of(const Array&);

}  // namespace attn::approx

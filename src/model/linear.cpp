// y = x W + b in blocks of rows and columns.
#include "model/linear.hpp"

#include "base/groups.hpp"
#include "model/blas.hpp"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

namespace attn::model {

namespace {

/// Rows of x and how they are cut. Blocks follow from the shapes alone. Many rows are cut into few large blocks, as each
/// block makes OpenBLAS rearrange the weight anew; few rows are cut by columns instead.
struct Blocks {
  Blocks(const Linear& linear, const Array& x)
      : rows(x.shape().empty() ? 1 : x.size() / std::max<std::size_t>(x.shape().back(), 1)) {
    constexpr std::size_t few = 128;
    constexpr std::size_t many = 512;
    constexpr std::size_t step = 32;
    const std::size_t quarter = (rows + 3) / 4;
    block_rows = std::clamp(whole_groups(quarter, step), few, many);
    block_columns = std::min<std::size_t>(linear.weight.out, rows <= few ? 256 : 1024);
    column_blocks = groups_of(linear.weight.out, block_columns);
  }
  std::size_t rows;
  std::size_t block_rows = 0;
  std::size_t block_columns = 0;
  std::size_t column_blocks = 0;
};

/// A block of a matrix as T: in place when it is stored so, else widened into `space`, where rows follow each other.
template <class T>
struct Block {
  const T* data = nullptr;
  std::size_t stride = 0;
};

template <class T>
Block<T> widen_block(const Array& array, std::size_t first, std::size_t stride, std::size_t rows, std::size_t columns,
                     std::vector<T>& space) {
  if (array.dtype() == dtype_of<T>) return {array.values<T>().data() + first, stride};
  space.resize(rows * columns);
  const std::size_t item = item_size(array.dtype());
  for (std::size_t r = 0; r < rows; ++r) {
    const Array row(array.dtype(), {columns}, nullptr, array.data() + (first + r * stride) * item);
    row.convert_to(dtype_of<T>, reinterpret_cast<std::byte*>(space.data() + r * columns));
  }
  return {space.data(), columns};
}

/// c += a b, one product after the other along the inner axis.
template <class T>
void plain_multiply_add(const Product<T>& p) {
  for (std::size_t i = 0; i < p.rows; ++i) {
    const T* a = p.a + i * p.a_stride;
    T* c = p.c + i * p.c_stride;
    for (std::size_t j = 0; j < p.columns; ++j) {
      T sum = 0;
      for (std::size_t k = 0; k < p.inner; ++k)
        sum += a[k] * (p.b_is_transposed ? p.b[j * p.b_stride + k] : p.b[k * p.b_stride + j]);
      c[j] += sum;
    }
  }
}

template <class T>
class LinearWork {
 public:
  LinearWork(const Linear& linear, const Array& x, const Blocks& blocks, T* out, const Blas* blas)
      : linear_(linear), x_(x), blocks_(blocks), out_(out), blas_(blas) {}

  void block(std::size_t column_block, std::size_t row, std::size_t rows) const {
    const Matrix& w = linear_.weight;
    const std::size_t column = column_block * blocks_.block_columns;
    const std::size_t columns = std::min(blocks_.block_columns, w.out - column);
    const bool transposed = w.orientation == Orientation::out_in;
    thread_local std::vector<T> x_space;
    thread_local std::vector<T> w_space;
    const Block<T> x = widen_block<T>(x_, row * w.in, w.in, rows, w.in, x_space);
    const Block<T> b = transposed ? widen_block<T>(w.array, w.first + column * w.stride, w.stride, columns, w.in, w_space)
                                  : widen_block<T>(w.array, w.first + column, w.stride, w.in, columns, w_space);
    T* out = out_ + row * w.out + column;
    start_with_bias(out, column, rows, columns);
    const Product<T> product{.rows = rows,
                             .columns = columns,
                             .inner = w.in,
                             .a = x.data,
                             .a_stride = x.stride,
                             .b = b.data,
                             .b_stride = b.stride,
                             .b_is_transposed = transposed,
                             .c = out,
                             .c_stride = w.out};
    if (blas_ == nullptr)
      plain_multiply_add(product);
    else
      blas_->multiply_add(product);
  }

 private:
  void start_with_bias(T* out, std::size_t column, std::size_t rows, std::size_t columns) const {
    const std::size_t stride = linear_.weight.out;
    if (!linear_.has_bias()) {
      for (std::size_t r = 0; r < rows; ++r) std::fill_n(out + r * stride, columns, T{0});
      return;
    }
    thread_local std::vector<T> space;
    const Block<T> bias = widen_block<T>(linear_.bias, column, columns, 1, columns, space);
    for (std::size_t r = 0; r < rows; ++r) std::copy_n(bias.data, columns, out + r * stride);
  }

  const Linear& linear_;
  const Array& x_;
  const Blocks& blocks_;
  T* out_;
  const Blas* blas_;
};

}  // namespace

template <class T>
void apply_linear(const Linear& linear, const Array& x, const std::string& x_name, T* out, Arithmetic arithmetic,
                  const engine::Execution& execution) {
  const Matrix& w = linear.weight;
  const std::size_t width = x.shape().empty() ? 0 : x.shape().back();
  if (width != w.in)
    throw Error(Status::data, fmt::format("{} {} does not fit the parameters: they take rows of {} numbers", x_name,
                                          to_string(x.shape()), w.in));
  if (x.empty() || w.out == 0) return;
  const Blocks blocks(linear, x);
  // Loaded here and not by one of the threads.
  const LinearWork<T> work(linear, x, blocks, out, arithmetic == Arithmetic::blas ? &Blas::get() : nullptr);
  const std::size_t row_blocks = groups_of(blocks.rows, blocks.block_rows);
  engine::for_each_task(blocks.column_blocks * row_blocks, execution, [&](std::size_t task) {
    const std::size_t row = task % row_blocks * blocks.block_rows;
    work.block(task / row_blocks, row, std::min(blocks.block_rows, blocks.rows - row));
  });
}

std::size_t linear_working_bytes(const Linear& linear, const Array& x, DType computed_in, std::size_t threads) {
  const Blocks blocks(linear, x);
  std::size_t numbers = 0;
  if (x.dtype() != computed_in) numbers += std::min(blocks.rows, blocks.block_rows) * linear.weight.in;
  if (linear.weight.array.dtype() != computed_in) numbers += blocks.block_columns * linear.weight.in;
  return threads * numbers * item_size(computed_in);
}

template void apply_linear(const Linear&, const Array&, const std::string&, float*, Arithmetic, const engine::Execution&);
template void apply_linear(const Linear&, const Array&, const std::string&, double*, Arithmetic, const engine::Execution&);

}  // namespace attn::model

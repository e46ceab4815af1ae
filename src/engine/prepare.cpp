// From input arrays to the rows an engine reads.
#include "engine/prepare.hpp"

#include "engine/findings.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include <fmt/format.h>

namespace attn::engine {

namespace {

template <class T>
Rows<T> rows_of(const Array& array, const HeadLayout& layout) {
  return {array.values<T>().data(), layout.batch_stride, layout.head_stride, layout.row_stride};
}

HeadLayout plain_layout(const Array& array) { return head_layout({array, ""}, 0); }

/// Calls f(batch, head, row index, row) for every row of an owned array [batch, heads, length, dim].
template <class T, class F>
void for_each_row(Array& array, const F& f) {
  const HeadLayout l = plain_layout(array);
  T* data = array.mutable_values<T>().data();
  for (std::size_t b = 0; b < l.batch; ++b) {
    for (std::size_t h = 0; h < l.heads; ++h) {
      for (std::size_t i = 0; i < l.length; ++i, data += l.dim) f(b, h, i, std::span<T>(data, l.dim));
    }
  }
}

/// A contiguous copy [batch, heads, length, dim] that may be changed.
template <class T>
Array copy_rows(const Rows<T>& from, const HeadLayout& l) {
  Array copy(dtype_of<T>, {l.batch, l.heads, l.length, l.dim});
  for_each_row<T>(copy, [&](std::size_t b, std::size_t h, std::size_t i, std::span<T> row) {
    std::copy_n(from.row(b, h, i), row.size(), row.begin());
  });
  return copy;
}

/// Rotary positions (Su et al. 2021, eq. 34): pair i turns by position * base^(-2i/dim). Angles, sines and products in double.
class Rope {
 public:
  explicit Rope(const Plan& plan)
      : interleaved_(plan.options.rope == RopePairing::interleaved),
        half_((plan.options.rope_dim == 0 ? plan.dims.head_dim : plan.options.rope_dim) / 2),
        cosine_(half_),
        sine_(half_) {
    for (std::size_t i = 0; i < half_; ++i)
      frequency_.push_back(std::pow(plan.options.rope_base, -static_cast<double>(i) / static_cast<double>(half_)));
  }

  /// The angles of one position, for all rows that stand there.
  void turn_to(std::int64_t position) {
    for (std::size_t i = 0; i < half_; ++i) {
      const double angle = static_cast<double>(position) * frequency_[i];
      cosine_[i] = std::cos(angle);
      sine_[i] = std::sin(angle);
    }
  }

  template <class T>
  void rotate(T* row) const {
    for (std::size_t i = 0; i < half_; ++i) {
      T& first = row[interleaved_ ? 2 * i : i];
      T& second = row[interleaved_ ? 2 * i + 1 : i + half_];
      const auto x = static_cast<double>(first);
      const auto y = static_cast<double>(second);
      first = static_cast<T>(x * cosine_[i] - y * sine_[i]);
      second = static_cast<T>(x * sine_[i] + y * cosine_[i]);
    }
  }

 private:
  bool interleaved_;
  std::size_t half_;
  std::vector<double> frequency_;
  std::vector<double> cosine_;
  std::vector<double> sine_;
};

/// Rotates every row of an owned array [batch, heads, length, dim] to position(batch, row).
template <class T, class Position>
void rotate_all(Rope& rope, Array& array, const Position& position) {
  const HeadLayout l = plain_layout(array);
  T* data = array.mutable_values<T>().data();
  for (std::size_t b = 0; b < l.batch; ++b) {
    for (std::size_t i = 0; i < l.length; ++i) {
      rope.turn_to(position(b, i));
      for (std::size_t h = 0; h < l.heads; ++h) rope.rotate(data + b * l.batch_stride + h * l.head_stride + i * l.row_stride);
    }
  }
}

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

/// Unit length for all rows of a copy; counts zero vectors that `counts` says matter and treats them by the policy.
template <class T, class Counts>
std::size_t to_units(Array& rows, Policy policy, const NamedArray& input, const Counts& counts) {
  std::size_t zeros = 0;
  for_each_row<T>(rows, [&](std::size_t b, std::size_t h, std::size_t i, std::span<T> row) {
    if (to_unit(row) || !counts(b, h, i)) return;
    ++zeros;
    if (policy == Policy::error)
      throw Error(Status::data,
                  fmt::format("{}: row {} is a zero vector, which has no cosine (--zero-vectors error)", input.name, i));
    if (policy == Policy::nan) std::ranges::fill(row, std::numeric_limits<T>::quiet_NaN());
  });
  return zeros;
}

}  // namespace

template <class T>
Array join_past(const NamedArray& past, const NamedArray& input, std::size_t packed_heads) {
  Array values = input.array.converted(dtype_of<T>);
  const HeadLayout l = head_layout({values, input.name}, packed_heads);
  if (!past.given() && values.rank() == 4) return values;
  const Array before = past.given() ? past.array.converted(dtype_of<T>) : Array(dtype_of<T>, {l.batch, l.heads, 0, l.dim});
  const std::size_t past_len = before.shape()[2];
  const Rows<T> old_rows = rows_of<T>(before, plain_layout(before));
  const Rows<T> new_rows = rows_of<T>(values, l);
  Array joined(dtype_of<T>, {l.batch, l.heads, past_len + l.length, l.dim});
  for_each_row<T>(joined, [&](std::size_t b, std::size_t h, std::size_t i, std::span<T> row) {
    const T* source = i < past_len ? old_rows.row(b, h, i) : new_rows.row(b, h, i - past_len);
    std::copy_n(source, row.size(), row.begin());
  });
  return joined;
}

template <class T>
WideRows<T> widen(const Inputs& inputs) {
  const std::size_t packed_kv = inputs.packed_kv_heads();
  const bool has_past = inputs.past_key.given();
  WideRows<T> wide;
  const auto take = [&wide](const Array& array, const HeadLayout& layout, Rows<T>& rows) {
    wide.memory.push_back(array);
    rows = rows_of<T>(array, layout);
    return layout;
  };
  const auto take_keys = [&](const NamedArray& past, const NamedArray& input, Rows<T>& rows) {
    const Array array = has_past ? join_past<T>(past, input, packed_kv) : input.array.converted(dtype_of<T>);
    return take(array, has_past ? plain_layout(array) : head_layout({array, input.name}, packed_kv), rows);
  };
  const Array query = inputs.query.array.converted(dtype_of<T>);
  wide.query_layout = take(query, head_layout({query, inputs.query.name}, inputs.heads), wide.query);
  wide.key_layout = take_keys(inputs.past_key, inputs.key, wide.key);
  wide.value_layout = take_keys(inputs.past_value, inputs.value, wide.value);
  return wide;
}

template <class T>
Operands<T> prepare(const Plan& plan, const Inputs& inputs, Findings& findings) {
  WideRows<T> wide = widen<T>(inputs);
  Operands<T> operands{.query = wide.query, .key = wide.key, .value = wide.value, .residual = wide.query, .memory = wide.memory};
  const bool rotates = plan.options.rope != RopePairing::none;
  const bool to_unit_length = plan.options.score == Score::cosine;
  if (!rotates && !to_unit_length) return operands;

  Array query = copy_rows<T>(wide.query, wide.query_layout);
  Array key = copy_rows<T>(wide.key, wide.key_layout);
  if (rotates) {
    Rope rope(plan);
    rotate_all<T>(rope, query, [&](std::size_t b, std::size_t i) { return plan.position(b, i); });
    rotate_all<T>(rope, key, [](std::size_t, std::size_t j) { return static_cast<std::int64_t>(j); });
  }
  if (to_unit_length) {
    const auto key_matters = [&](std::size_t b, std::size_t h, std::size_t j) { return some_query_sees(plan, b, h, j); };
    const auto query_matters = [&](std::size_t b, std::size_t h, std::size_t i) { return sees_some_key(plan, b, h, i); };
    findings.zero_queries = to_units<T>(query, plan.options.zero_vectors, inputs.query, query_matters);
    findings.zero_keys = to_units<T>(key, plan.options.zero_vectors, inputs.key, key_matters);
  }
  operands.query = rows_of<T>(query, plain_layout(query));
  operands.key = rows_of<T>(key, plain_layout(key));
  operands.memory.insert(operands.memory.end(), {query, key});
  return operands;
}

template Array join_past<float>(const NamedArray&, const NamedArray&, std::size_t);
template Array join_past<double>(const NamedArray&, const NamedArray&, std::size_t);
template WideRows<float> widen(const Inputs&);
template WideRows<double> widen(const Inputs&);
template Operands<float> prepare(const Plan&, const Inputs&, Findings&);
template Operands<double> prepare(const Plan&, const Inputs&, Findings&);

}  // namespace attn::engine

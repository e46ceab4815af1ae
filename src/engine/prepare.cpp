// From input arrays to the rows an engine reads.
#include "engine/prepare.hpp"

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
        half_((plan.options.rope_dim == 0 ? plan.dims.head_dim : plan.options.rope_dim) / 2) {
    for (std::size_t i = 0; i < half_; ++i)
      frequency_.push_back(std::pow(plan.options.rope_base, -static_cast<double>(i) / static_cast<double>(half_)));
  }

  template <class T>
  void rotate(std::span<T> row, std::int64_t position) const {
    for (std::size_t i = 0; i < half_; ++i) {
      const double angle = static_cast<double>(position) * frequency_[i];
      const double c = std::cos(angle);
      const double s = std::sin(angle);
      T& first = row[interleaved_ ? 2 * i : i];
      T& second = row[interleaved_ ? 2 * i + 1 : i + half_];
      const auto x = static_cast<double>(first);
      const auto y = static_cast<double>(second);
      first = static_cast<T>(x * c - y * s);
      second = static_cast<T>(x * s + y * c);
    }
  }

 private:
  bool interleaved_;
  std::size_t half_;
  std::vector<double> frequency_;
};

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

bool some_query_sees(const Plan& plan, std::size_t b, std::size_t kv_head, std::size_t j) {
  if (j >= plan.key_length[b]) return false;
  const std::size_t group = plan.dims.heads / plan.dims.kv_heads;
  for (std::size_t h = kv_head * group; h < (kv_head + 1) * group; ++h) {
    for (std::size_t i = 0; i < plan.dims.q_len; ++i) {
      if (plan.visible(b, h, i, j)) return true;
    }
  }
  return false;
}

bool sees_some_key(const Plan& plan, std::size_t b, std::size_t h, std::size_t i) {
  const KeyRange keys = plan.range(b, i);
  for (std::size_t j = keys.begin; j < keys.end; ++j) {
    if (plan.visible(b, h, i, j)) return true;
  }
  return false;
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

/// The first NaN among the rows for which `matters` holds, as text.
template <class T, class Matters>
std::string find_nan(const Rows<T>& rows, const HeadLayout& l, const std::string& name, const Matters& matters) {
  for (std::size_t b = 0; b < l.batch; ++b) {
    for (std::size_t h = 0; h < l.heads; ++h) {
      for (std::size_t i = 0; i < l.length; ++i) {
        const std::span<const T> row(rows.row(b, h, i), l.dim);
        const auto nan = std::ranges::find_if(row, [](T x) { return std::isnan(x); });
        if (nan == row.end() || !matters(b, h, i)) continue;
        const std::string where = l.batch > 1 || l.heads > 1 ? fmt::format("batch {}, head {}, row", b, h) : "row";
        return fmt::format("{}: {} {}, feature {}", name, where, i, nan - row.begin());
      }
    }
  }
  return {};
}

}  // namespace

template <class T>
Array join_past(const NamedArray& past, const NamedArray& input, std::size_t packed_heads) {
  const Array values = input.array.converted(dtype_of<T>);
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
Operands<T> prepare(const Plan& plan, const Inputs& inputs, Findings& findings) {
  const std::size_t packed_kv = inputs.kv_heads != 0 ? inputs.kv_heads : inputs.heads;
  const bool has_past = inputs.past_key.given();
  Array query = inputs.query.array.converted(dtype_of<T>);
  Array key = has_past ? join_past<T>(inputs.past_key, inputs.key, packed_kv) : inputs.key.array.converted(dtype_of<T>);
  Array value = has_past ? join_past<T>(inputs.past_value, inputs.value, packed_kv) : inputs.value.array.converted(dtype_of<T>);
  HeadLayout query_layout = head_layout({query, inputs.query.name}, inputs.heads);
  HeadLayout key_layout = has_past ? plain_layout(key) : head_layout({key, inputs.key.name}, packed_kv);
  const HeadLayout value_layout = has_past ? plain_layout(value) : head_layout({value, inputs.value.name}, packed_kv);

  Operands<T> operands{.query = rows_of<T>(query, query_layout),
                       .key = rows_of<T>(key, key_layout),
                       .value = rows_of<T>(value, value_layout),
                       .residual = {},
                       .memory = {query, key, value}};
  operands.residual = operands.query;

  const auto key_matters = [&](std::size_t b, std::size_t h, std::size_t j) { return some_query_sees(plan, b, h, j); };
  const auto query_matters = [&](std::size_t b, std::size_t h, std::size_t i) { return sees_some_key(plan, b, h, i); };
  findings.nan_input = find_nan<T>(operands.query, query_layout, inputs.query.name, query_matters);
  if (findings.nan_input.empty()) findings.nan_input = find_nan<T>(operands.key, key_layout, inputs.key.name, key_matters);
  if (findings.nan_input.empty()) findings.nan_input = find_nan<T>(operands.value, value_layout, inputs.value.name, key_matters);

  const bool rotates = plan.options.rope != RopePairing::none;
  const bool to_unit_length = plan.options.score == Score::cosine;
  if (!rotates && !to_unit_length) return operands;

  query = copy_rows<T>(operands.query, query_layout);
  key = copy_rows<T>(operands.key, key_layout);
  if (rotates) {
    const Rope rope(plan);
    for_each_row<T>(query,
                    [&](std::size_t b, std::size_t, std::size_t i, std::span<T> row) { rope.rotate(row, plan.position(b, i)); });
    for_each_row<T>(
        key, [&](std::size_t, std::size_t, std::size_t j, std::span<T> row) { rope.rotate(row, static_cast<std::int64_t>(j)); });
  }
  if (to_unit_length) {
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
template Operands<float> prepare(const Plan&, const Inputs&, Findings&);
template Operands<double> prepare(const Plan&, const Inputs&, Findings&);

}  // namespace attn::engine

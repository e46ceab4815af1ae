// Random attention cases as plans and operands, and an observer that keeps all it is handed.
#pragma once

#include "engine/engine.hpp"
#include "kernels/kernel_support.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace attn::engine::test {

using kernels::test::Random;

/// A plan with the values it is for. All numbers fit in float, so that both types and the reference compute the same case.
struct Case {
  Plan plan;
  std::vector<double> query;
  std::vector<double> key;
  std::vector<double> value;
};

inline std::vector<double> float_values(Random& random, std::size_t count) {
  std::vector<double> values(count);
  for (double& value : values) value = static_cast<double>(static_cast<float>(random.normal()));
  return values;
}

/// Fills dims, positions and values. heads must be a multiple of kv_heads.
inline Case make_case(Random& random, const Dims& dims) {
  Case c;
  c.plan.dims = dims;
  c.plan.factor = 1 / std::sqrt(static_cast<double>(dims.head_dim));
  c.plan.query_offset.assign(dims.batch, 0);
  c.plan.key_length.assign(dims.batch, dims.kv_len);
  c.query = float_values(random, dims.batch * dims.heads * dims.q_len * dims.head_dim);
  c.key = float_values(random, dims.batch * dims.kv_heads * dims.kv_len * dims.head_dim);
  c.value = float_values(random, dims.batch * dims.kv_heads * dims.kv_len * dims.value_dim);
  return c;
}

/// Cosine scores expect rows of length 1.
inline void make_unit(std::vector<double>& values, std::size_t dim) {
  for (std::size_t at = 0; at < values.size(); at += dim) {
    double sum = 0;
    for (std::size_t d = 0; d < dim; ++d) sum += values[at + d] * values[at + d];
    for (std::size_t d = 0; d < dim; ++d)
      values[at + d] = sum > 0 ? static_cast<double>(static_cast<float>(values[at + d] / std::sqrt(sum))) : 0.0;
  }
}

/// All that a walk can hand out, as arrays [batch, heads, q_len, ...].
template <class T>
struct Results {
  std::vector<T> output;
  std::vector<double> log_sum_exp;
  std::vector<std::uint8_t> is_empty;
  std::vector<T> weights;
  std::vector<T> raw;
  std::vector<T> capped;
  std::vector<T> masked;
};

template <class T>
class Recorder : public Observer<T> {
 public:
  Recorder(const Dims& dims, Needs needs) : dims_(dims), needs_(needs) {
    const std::size_t rows = dims.batch * dims.heads * dims.q_len;
    results.is_empty.assign(rows, 2);
    if (needs.output) results.output.assign(rows * dims.value_dim, T(-7));
    if (needs.log_sum_exp) results.log_sum_exp.assign(rows, -7);
    if (needs.weights) results.weights.assign(rows * dims.kv_len, T(0));
    if (needs.raw_scores) results.raw.assign(rows * dims.kv_len, T(-7));
    if (needs.capped_scores) results.capped.assign(rows * dims.kv_len, T(-7));
    if (needs.masked_scores) results.masked.assign(rows * dims.kv_len, T(-7));
  }

  [[nodiscard]] Needs needs() const override { return needs_; }
  void weights(const Tile<T>& tile) override { keep(tile, results.weights); }
  void raw_scores(const Tile<T>& tile) override { keep(tile, results.raw); }
  void capped_scores(const Tile<T>& tile) override { keep(tile, results.capped); }
  void masked_scores(const Tile<T>& tile) override { keep(tile, results.masked); }
  void rows(const RowBlock<T>& block) override {
    for (std::size_t i = 0; i < block.queries; ++i) {
      const std::size_t row = (block.batch * dims_.heads + block.head) * dims_.q_len + block.query + i;
      results.is_empty[row] = block.is_empty[i];
      if (needs_.log_sum_exp) results.log_sum_exp[row] = block.log_sum_exp[i];
      if (needs_.output)
        std::copy_n(block.output + i * dims_.value_dim, dims_.value_dim,
                    results.output.begin() + static_cast<std::ptrdiff_t>(row * dims_.value_dim));
    }
  }

  Results<T> results;

 private:
  void keep(const Tile<T>& tile, std::vector<T>& into) {
    for (std::size_t i = 0; i < tile.queries; ++i) {
      const std::size_t row = (tile.batch * dims_.heads + tile.head) * dims_.q_len + tile.query + i;
      for (std::size_t j = 0; j < tile.keys; ++j) into[row * dims_.kv_len + tile.key + j] = tile.at(i, j);
    }
  }

  const Dims dims_;
  const Needs needs_;
};

inline constexpr Needs kEverything{
    .output = true, .log_sum_exp = true, .weights = true, .raw_scores = true, .capped_scores = true, .masked_scores = true};

/// Values [batch, heads, length, dim] as T, in that order or, `packed`, with the heads side by side and a gap after each row.
template <class T>
struct Typed {
  Typed(const std::vector<double>& values, std::size_t heads, std::size_t length, std::size_t dim, bool packed) {
    constexpr std::size_t gap = 3;
    const std::size_t width = packed ? heads * dim + gap : dim;
    const std::size_t entry = packed ? length * width : heads * length * dim;
    const std::size_t batch = values.empty() ? 0 : values.size() / (heads * length * dim);
    memory.assign(batch * entry, std::numeric_limits<T>::quiet_NaN());
    rows = {memory.data(), entry, packed ? dim : length * dim, width};
    std::size_t at = 0;
    for (std::size_t b = 0; b < batch; ++b)
      for (std::size_t h = 0; h < heads; ++h)
        for (std::size_t i = 0; i < length; ++i)
          for (std::size_t d = 0; d < dim; ++d)
            memory[b * rows.batch_stride + h * rows.head_stride + i * rows.row_stride + d] = static_cast<T>(values[at++]);
  }
  std::vector<T> memory;
  Rows<T> rows;
};

/// A case's query, key and value as T, and the operands that read them.
template <class T>
struct CaseOperands {
  CaseOperands(const Case& c, bool packed)
      : query(c.query, c.plan.dims.heads, c.plan.dims.q_len, c.plan.dims.head_dim, packed),
        key(c.key, c.plan.dims.kv_heads, c.plan.dims.kv_len, c.plan.dims.head_dim, packed),
        value(c.value, c.plan.dims.kv_heads, c.plan.dims.kv_len, c.plan.dims.value_dim, packed) {
    operands.query = {query.rows, c.plan.dims.head_dim};
    operands.key = {key.rows, c.plan.dims.head_dim};
    operands.value = {value.rows, c.plan.dims.value_dim};
  }
  CaseOperands(const CaseOperands&) = delete;
  CaseOperands& operator=(const CaseOperands&) = delete;

  Typed<T> query, key, value;
  Operands<T> operands;
};

/// Makes the products of a case's walk, when they are not the kernels'.
template <class T>
using MakeProducts = std::function<std::unique_ptr<Products<T>>(const Plan&, const Operands<T>&, const Execution&)>;

/// Runs the case on the tiled engine (or the reference) with one recorder.
template <class T>
Results<T> run_case(const Case& c, Needs needs, const Execution& execution, bool reference = false, bool packed = false,
                    const MakeProducts<T>& make_products = {}) {
  const Dims& d = c.plan.dims;
  const CaseOperands<T> typed(c, packed);
  const Operands<T>& operands = typed.operands;
  Recorder<T> recorder(d, needs);
  Observer<T>* const observers[] = {&recorder};
  if constexpr (std::is_same_v<T, double>) {
    if (reference) {
      run_reference(c.plan, operands, observers, execution);
      return std::move(recorder.results);
    }
  }
  const auto products = make_products ? make_products(c.plan, operands, execution) : nullptr;
  run_tiled<T>(c.plan, operands, observers, execution, products.get());
  return std::move(recorder.results);
}

template <class V>
bool same_bytes(const std::vector<V>& a, const std::vector<V>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(V)) == 0);
}

template <class T>
bool same_bytes(const Results<T>& a, const Results<T>& b) {
  return same_bytes(a.output, b.output) && same_bytes(a.log_sum_exp, b.log_sum_exp) && same_bytes(a.is_empty, b.is_empty) &&
         same_bytes(a.weights, b.weights) && same_bytes(a.raw, b.raw) && same_bytes(a.capped, b.capped) &&
         same_bytes(a.masked, b.masked);
}

/// Additive or boolean mask over [batch or 1, heads or 1, q_len or 1, kv_len or shorter].
inline void add_mask(Random& random, Case& c, MaskKind kind, DType compute) {
  const Dims& d = c.plan.dims;
  const std::size_t shape[4] = {random.below(2) == 0 ? 1 : d.batch, random.below(2) == 0 ? 1 : d.heads,
                                random.below(3) == 0 ? 1 : d.q_len, d.kv_len - (d.kv_len > 0 ? random.below(2) : 0)};
  MaskPart part;
  part.kind = kind;
  part.key_count = shape[3];
  const bool additive = kind == MaskKind::add;
  part.array = Array(additive ? compute : DType::boolean, {shape[0], shape[1], shape[2], shape[3]});
  std::size_t step = 1;
  for (std::size_t n = 4; n-- > 0;) {
    part.stride[n] = shape[n] == 1 && n < 3 ? 0 : step;
    step *= shape[n];
  }
  for (std::size_t i = 0; i < part.array.size(); ++i) {
    const bool hidden = random.below(4) == 0;
    const auto value = static_cast<float>(random.normal());
    if (!additive) {
      part.array.mutable_values<bool>()[i] = hidden == (kind == MaskKind::block);
    } else if (compute == DType::f32) {
      part.array.mutable_values<float>()[i] = hidden ? -std::numeric_limits<float>::infinity() : value;
    } else {
      part.array.mutable_values<double>()[i] = hidden ? -std::numeric_limits<double>::infinity() : static_cast<double>(value);
    }
  }
  c.plan.masks.push_back(std::move(part));
}

}  // namespace attn::engine::test

// Methods on random cases, and attention by plain loops to hold them to.
#pragma once

#include "approx/method.hpp"
#include "engine/tiled_support.hpp"

#include <functional>
#include <string>
#include <vector>

namespace attn::approx::test {

using engine::Dims;
using engine::Execution;
using engine::test::Case;
using engine::test::Random;
using engine::test::Results;

/// What a method gives a case, by one recorder.
template <class T>
Results<T> run_method(const Case& c, const std::string& choice, const Execution& execution = {},
                      const engine::Needs& needs = {.output = true}, bool packed = false) {
  const Dims& d = c.plan.dims;
  const engine::test::Typed<T> q(c.query, d.heads, d.q_len, d.head_dim, packed);
  const engine::test::Typed<T> k(c.key, d.kv_heads, d.kv_len, d.head_dim, packed);
  const engine::test::Typed<T> v(c.value, d.kv_heads, d.kv_len, d.value_dim, packed);
  engine::Operands<T> operands;
  operands.query = {q.rows, d.head_dim};
  operands.key = {k.rows, d.head_dim};
  operands.value = {v.rows, d.value_dim};
  engine::test::Recorder<T> recorder(d, needs);
  engine::Observer<T>* const observers[] = {&recorder};
  const Choice chosen = read_choice("--methods", choice);
  const std::string refusal = chosen.method->refusal(c.plan, chosen.setting);
  if (!refusal.empty()) throw Error(Status::usage, refusal);
  chosen.method->run(Job<T>{c.plan, operands, observers, execution, c.plan, operands}, chosen.setting);
  return std::move(recorder.results);
}

/// A kernel of a query's and a key's rows.
using PairKernel = std::function<double(const double* query, const double* key)>;
/// Whether query i of batch entry b sees key j.
using Sees = std::function<bool(std::size_t b, std::size_t i, std::size_t j)>;

/// y_i = sum_j kernel(q_i, k_j) v_j / sum_j kernel(q_i, k_j), [batch, heads, q_len, value_dim]; zeros where no key is seen. With
/// `weights`, those as well.
inline std::vector<double> kernel_attention(const Case& c, const PairKernel& kernel, const Sees& sees,
                                            std::vector<double>* weights = nullptr) {
  const Dims& d = c.plan.dims;
  std::vector<double> output(d.batch * d.heads * d.q_len * d.value_dim);
  if (weights != nullptr) weights->assign(d.batch * d.heads * d.q_len * d.kv_len, 0);
  for (std::size_t row = 0; row < d.batch * d.heads * d.q_len; ++row) {
    const std::size_t b = row / d.q_len / d.heads;
    const std::size_t kv_head = b * d.kv_heads + d.kv_head(row / d.q_len % d.heads);
    std::vector<double> w(d.kv_len);
    double sum = 0;
    for (std::size_t j = 0; j < d.kv_len; ++j) {
      if (!sees(b, row % d.q_len, j)) continue;
      w[j] = kernel(c.query.data() + row * d.head_dim, c.key.data() + (kv_head * d.kv_len + j) * d.head_dim);
      sum += w[j];
    }
    for (std::size_t j = 0; j < d.kv_len; ++j) {
      if (w[j] == 0) continue;
      for (std::size_t f = 0; f < d.value_dim; ++f)
        output[row * d.value_dim + f] += w[j] / sum * c.value[(kv_head * d.kv_len + j) * d.value_dim + f];
      if (weights != nullptr) (*weights)[row * d.kv_len + j] = w[j] / sum;
    }
  }
  return output;
}

inline double dot(const double* x, const double* y, std::size_t dim) {
  double sum = 0;
  for (std::size_t f = 0; f < dim; ++f) sum += x[f] * y[f];
  return sum;
}

/// The largest difference; NaN where there is one.
template <class A, class B>
double farthest(const std::vector<A>& a, const std::vector<B>& b) {
  if (a.size() != b.size()) return std::numeric_limits<double>::quiet_NaN();
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double off = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (!(off <= most)) most = off;
  }
  return most;
}

}  // namespace attn::approx::test

// One way to compute attention, and its rows in plain float64.
#include "analysis/convention.hpp"

#include "analysis/reals.hpp"
#include "engine/findings.hpp"
#include "engine/prepare.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace attn::analysis {

namespace {

constexpr double kBigNegative = -1e9;

double squared_distance(const double* x, const double* y, std::size_t n) {
  double sum = 0;
  for (std::size_t d = 0; d < n; ++d) sum += (x[d] - y[d]) * (x[d] - y[d]);
  return sum;
}

double score(Score kind, const double* q, const double* k, std::size_t n) {
  switch (kind) {
    case Score::euclidean:
      return -std::sqrt(squared_distance(q, k, n));
    case Score::sqeuclidean:
      return -squared_distance(q, k, n);
    case Score::cosine:
      return std::clamp(dot(q, k, n), -1.0, 1.0);
    default:
      return dot(q, k, n);
  }
}

/// exp(x - m), 1 where both are the same infinity.
double exp_below(double x, double m) { return x == m ? 1.0 : std::exp(x - m); }

/// Softmax over what is not hidden, in place; `extra` is the part of one more key of logit 0.
void softmax(std::vector<double>& x, bool extra) {
  double m = extra ? 0.0 : kHidden;
  for (const double value : x) m = std::max(m, value);
  if (m == kHidden) {
    std::ranges::fill(x, 0.0);
    return;
  }
  double sum = extra ? std::exp(-m) : 0.0;
  for (double& value : x) sum += value = value == kHidden ? 0.0 : exp_below(value, m);
  for (double& value : x) value /= sum;
}

void normalize(Normalizer kind, bool second_over_all, std::vector<double>& x) {
  const std::vector<double> logits = x;
  switch (kind) {
    case Normalizer::softmax:
      return softmax(x, false);
    case Normalizer::softmax1:
      return softmax(x, true);
    case Normalizer::softmin:
      for (double& value : x) value = value == kHidden ? kHidden : -value;
      return softmax(x, false);
    case Normalizer::double_softmax:
      softmax(x, false);
      if (!second_over_all)
        for (std::size_t j = 0; j < x.size(); ++j) x[j] = logits[j] == kHidden ? kHidden : x[j];
      return softmax(x, false);
    case Normalizer::sigmoid:
      for (double& value : x) value = value == kHidden ? 0.0 : 0.5 * (1 + std::tanh(0.5 * value));
      return;
    case Normalizer::none:
      for (double& value : x) value = value == kHidden ? 0.0 : value;
  }
}

}  // namespace

PreparedConvention::PreparedConvention(const Convention& c) : convention(c) {
  // The plan of attn run refuses windows with negative sides, which conventions have: they come behind its checks.
  AttentionOptions without_window = c.options;
  without_window.window = {};
  if (c.options.residual) without_window.residual = false;
  plan = engine::make_plan(c.inputs, without_window, DType::f64);
  plan.options = c.options;
  if (c.projection) plan.options.residual = false;  // it comes behind the output projection
  plan.options.zero_vectors = c.options.zero_vectors == Policy::error ? Policy::nan : c.options.zero_vectors;
  engine::Findings findings;
  operands = engine::prepare<double>(plan, c.inputs, findings);
}

ConventionRows::ConventionRows(const PreparedConvention& prepared)
    : prepared_(prepared),
      plan_(prepared.plan),
      rows_(prepared.convention.sums_over == SumsOver::heads || prepared.convention.projection ? prepared.plan.dims.heads : 1),
      query_(plan_.dims.head_dim),
      scratch_(plan_.dims.kv_len),
      weights_(plan_.dims.kv_len),
      output_(plan_.dims.value_dim),
      columns_(rows_.size()) {}

std::size_t ConventionRows::kv_head(std::size_t h) const noexcept {
  return prepared_.convention.tiled_heads ? h % plan_.dims.kv_heads : plan_.dims.kv_head(h);
}

void ConventionRows::load(std::size_t b, std::size_t h, HeadRows& rows) const {
  const std::size_t head = kv_head(h);
  if (rows.is_loaded && rows.b == b && rows.h == head) return;
  const engine::Dims& d = plan_.dims;
  if (!prepared_.operands.key.is_direct()) rows.key_buffer.resize(d.kv_len * d.head_dim);
  if (!prepared_.operands.value.is_direct()) rows.value_buffer.resize(d.kv_len * d.value_dim);
  rows.key = prepared_.operands.key.rows(b, head, 0, d.kv_len, rows.key_buffer.data());
  rows.value = prepared_.operands.value.rows(b, head, 0, d.kv_len, rows.value_buffer.data());
  rows.b = b;
  rows.h = head;
  rows.is_loaded = true;
}

void ConventionRows::logits(std::size_t b, std::size_t h, std::size_t i, HeadRows& rows, std::vector<double>& out) const {
  const Convention& c = prepared_.convention;
  const AttentionOptions& o = plan_.options;
  const std::size_t dim = plan_.dims.head_dim;
  load(b, h, rows);
  std::vector<double> buffer(prepared_.operands.query.is_direct() ? 0 : dim);
  const double* q = prepared_.operands.query.rows(b, h, i, 1, buffer.data()).data;
  const bool has_bias = plan_.has_bias();
  for (std::size_t j = 0; j < out.size(); ++j) {
    const bool is_hidden = !c.mask_after && !plan_.visible(b, h, i, j);
    if (is_hidden) {
      out[j] = c.cap_after_mask ? -o.softcap : c.big_negative ? kBigNegative : kHidden;
      continue;
    }
    double s = score(o.score, q, rows.key.data + j * rows.key.stride, dim) * plan_.factor;
    if (o.softcap > 0 && !c.cap_after_mask) s = o.softcap * std::tanh(s / o.softcap);
    if (has_bias) s += plan_.bias(b, h, i, j);
    if (o.softcap > 0 && c.cap_after_mask) s = o.softcap * std::tanh(s / o.softcap);
    out[j] = s;
  }
}

void ConventionRows::add_to_columns(const std::vector<double>& x, Columns& columns) const {
  for (std::size_t j = 0; j < x.size(); ++j) {
    if (x[j] == kHidden) continue;
    const double m = std::max(columns.maximum[j], x[j]);
    columns.sum[j] = columns.sum[j] * exp_below(columns.maximum[j], m) + exp_below(x[j], m);
    columns.maximum[j] = m;
  }
}

/// Softmax over queries or heads: a key's column of logits sums to 1.
void ConventionRows::normalize_over_others(std::size_t b, std::size_t h, std::size_t i) {
  const bool over_heads = prepared_.convention.sums_over == SumsOver::heads;
  Columns& columns = columns_[columns_.size() > 1 ? h : 0];
  if (over_heads || columns.of != b * plan_.dims.heads + h) {
    columns.maximum.assign(plan_.dims.kv_len, kHidden);
    columns.sum.assign(plan_.dims.kv_len, 0);
    const std::size_t others = over_heads ? plan_.dims.heads : plan_.dims.q_len;
    for (std::size_t other = 0; other < others; ++other) {
      logits(b, over_heads ? other : h, over_heads ? i : other, rows_of(over_heads ? other : h), scratch_);
      add_to_columns(scratch_, columns);
    }
    columns.of = b * plan_.dims.heads + h;
  }
  for (std::size_t j = 0; j < weights_.size(); ++j)
    weights_[j] = weights_[j] == kHidden ? 0.0 : exp_below(weights_[j], columns.maximum[j]) / columns.sum[j];
}

const std::vector<double>& ConventionRows::project(std::size_t b, std::size_t i) {
  const Convention& c = prepared_.convention;
  const OutputProjection& p = *c.projection;
  if (c.projects_output) {
    projected_.assign(p.out(), 0);
    if (!p.bias.shape().empty()) std::ranges::copy(p.bias.values<double>(), projected_.begin());
    const double* row = p.weight.values<double>().data();
    for (std::size_t k = 0; k < merged_.size(); ++k, row += p.out())
      for (std::size_t o = 0; o < p.out(); ++o) projected_[o] += merged_[k] * row[o];
  } else {
    projected_ = merged_;
  }
  if (!c.options.residual) return projected_;
  const std::size_t first = (b * plan_.dims.q_len + i) * projected_.size();
  for (std::size_t o = 0; o < projected_.size(); ++o) projected_[o] += p.query.at_flat(first + o);
  return projected_;
}

void ConventionRows::combine(std::size_t b, std::size_t h, std::size_t i) {
  const engine::RowSpan<double>& value = rows_of(h).value;
  std::ranges::fill(output_, 0.0);
  for (std::size_t j = 0; j < weights_.size(); ++j) {
    const double w = weights_[j];
    if (w == 0) continue;
    const double* v = value.data + j * value.stride;
    for (std::size_t c = 0; c < output_.size(); ++c) output_[c] += w * v[c];
  }
  if (!plan_.options.residual) return;
  prepared_.operands.residual.make(b, h, i, 1, query_.data());
  for (std::size_t c = 0; c < output_.size(); ++c) output_[c] += query_[c];
}

void ConventionRows::compute(std::size_t b, std::size_t h, std::size_t i) {
  const Convention& c = prepared_.convention;
  logits(b, h, i, rows_of(h), weights_);
  if (c.sums_over == SumsOver::keys)
    normalize(plan_.options.normalize, c.second_over_all, weights_);
  else
    normalize_over_others(b, h, i);
  if (c.mask_after) {
    for (std::size_t j = 0; j < weights_.size(); ++j)
      if (!plan_.visible(b, h, i, j)) weights_[j] = 0;
  }
  combine(b, h, i);
}

}  // namespace attn::analysis

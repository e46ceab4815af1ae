// How far attention computed in some precision may be from the exact one.
#include "analysis/error_bound.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace attn::analysis {

namespace {

/// Units that an exponential may be off: fast vector versions in use claim 20 units in the last place.
constexpr double kExponential = 40;
/// Units that an angle of RoPE may be off.
constexpr double kTurning = 4;

double root(double x) { return std::sqrt(std::max(x, 0.0)); }

ScoreForm operator*(double factor, ScoreForm f) {
  return {f.constant * factor, f.two * factor, f.four * factor, f.square * factor, f.moved * factor};
}

ScoreForm operator+(const ScoreForm& a, const ScoreForm& b) {
  return {a.constant + b.constant, a.two + b.two, a.four + b.four, a.square + b.square, a.moved + b.moved};
}

/// |x|_2 and |x|_4.
KeySize size_of(const double* x, std::size_t dim) {
  double squares = 0;
  double fourths = 0;
  for (std::size_t d = 0; d < dim; ++d) {
    squares += x[d] * x[d];
    fourths += x[d] * x[d] * (x[d] * x[d]);
  }
  return {.two = std::sqrt(squares), .four = std::sqrt(std::sqrt(fourths)), .moved = 0};
}

bool is_distance(Score score) { return score == Score::euclidean || score == Score::sqeuclidean; }

/// Weights that sum to 1 and come from exp(logit - log_sum_exp).
bool is_softmax(Normalizer kind) { return kind == Normalizer::softmax || kind == Normalizer::softmax1; }

/// Largest magnitude of what is added to logits: additive masks and ALiBi's longest distance.
double largest_bias(const engine::Plan& plan) {
  double sum = 0;
  for (const engine::MaskPart& part : plan.masks) {
    if (part.kind != engine::MaskKind::add) continue;
    double largest = 0;
    for (std::size_t i = 0; i < part.array.size(); ++i) {
      const double x = std::abs(part.array.at_flat(i));
      if (std::isfinite(x)) largest = std::max(largest, x);
    }
    sum += largest;
  }
  double distance = 0;
  for (std::size_t b = 0; b < plan.dims.batch && plan.dims.q_len > 0; ++b) {
    for (const std::size_t i : {std::size_t{0}, plan.dims.q_len - 1}) {
      const auto p = static_cast<double>(plan.position(b, i));
      distance = std::max({distance, std::abs(p), std::abs(p - static_cast<double>(plan.dims.kv_len))});
    }
  }
  const double slope = plan.slopes.empty() ? 0.0 : *std::ranges::max_element(plan.slopes);
  return sum + slope * distance;
}

}  // namespace

double KeyMoments::root_mean_square(const ScoreForm& f) const noexcept {
  return f.constant * root(weight) + f.two * root(two) + f.four * root(four) + f.square * root(square) + f.moved * root(moved);
}

void KeyMoments::add(const KeySize& key) noexcept {
  weight += 1;
  two += key.two * key.two;
  four += key.four * key.four;
  square += key.two * key.two * (key.two * key.two);
  moved += key.moved * key.moved;
}

ErrorBound::ErrorBound(const engine::Plan& plan, const engine::Inputs& inputs, const engine::Operands<double>& operands,
                       const Budget& budget, ProjectedErrors projected)
    : plan_(plan), budget_(budget), largest_bias_(analysis::largest_bias(plan)), projected_(std::move(projected)) {
  const auto rounded = [&](const engine::NamedArray& input) { return input.given() && !is_representable(input.array, budget); };
  query_is_rounded_ = rounded(inputs.query);
  value_is_rounded_ = rounded(inputs.value) || rounded(inputs.past_value);
  const bool key_is_rounded = rounded(inputs.key) || rounded(inputs.past_key);
  has_bias_ = !plan.slopes.empty() ||
              std::ranges::any_of(plan.masks, [](const engine::MaskPart& m) { return m.kind == engine::MaskKind::add; });
  // Once for the scale, which may be multiplied into either; once when it is read; twice when it is turned, with sines that are
  // rounded themselves; once when it is brought to unit length.
  const double each = 1 + (plan.options.rope != RopePairing::none ? 3 : 0) + (plan.options.score == Score::cosine ? 1 : 0);
  roundings_ = 2 * each + (query_is_rounded_ ? 1 : 0) + (key_is_rounded ? 1 : 0);
  if (plan.options.rope != RopePairing::none) {
    const std::size_t dim = plan.options.rope_dim == 0 ? plan.dims.head_dim : plan.options.rope_dim;
    for (std::size_t m = 0; m < dim / 2; ++m)
      frequency_.push_back(std::pow(plan.options.rope_base, -2.0 * static_cast<double>(m) / static_cast<double>(dim)));
  }
  measure_keys(operands);
}

void ErrorBound::measure_keys(const engine::Operands<double>& operands) {
  const engine::Dims& d = plan_.dims;
  const std::size_t width = extended_dim();
  values_ = Array(DType::f64, {d.batch, d.kv_heads, d.kv_len, width});
  keys_.resize(d.batch * d.kv_heads * d.kv_len);
  heads_.resize(d.batch * d.kv_heads);
  double* out = values_.mutable_values<double>().data();
  std::vector<double> key(d.head_dim);
  std::size_t at = 0;
  for (std::size_t row = 0; row < heads_.size(); ++row) {
    Head& head = heads_[row];
    head.value_length.assign(d.value_dim, 0);
    for (std::size_t j = 0; j < d.kv_len; ++j, ++at, out += width) {
      const std::size_t b = row / d.kv_heads;
      const double* k = operands.key.rows(b, row % d.kv_heads, j, 1, key.data()).data;
      KeySize& size = keys_[at] = size_of(k, d.head_dim);
      // An angle is position * frequency, both rounded, and the frequency is a power.
      size.moved =
          kTurning * budget_.sum * turn_of(k, static_cast<std::int64_t>(j)) + projected_.at(projected_.key, row, j, d.kv_len);
      operands.value.make(b, row % d.kv_heads, j, 1, out);
      for (std::size_t c = 0; c < d.value_dim; ++c) {
        const double v = out[c];
        out[d.value_dim + c] = v * v;
        if (!std::isfinite(v)) continue;
        head.value = std::max(head.value, std::abs(v));
        head.value_length[c] += v * v;
      }
      KeyMoments own;
      own.add(size);
      own.value = std::pow(projected_.at(projected_.value, row, j, d.kv_len), 2);
      const double measures[] = {own.weight, own.two, own.four, own.square, own.moved, own.value};
      std::ranges::copy(measures, out + 2 * d.value_dim);
      if (!std::isfinite(own.square) || !std::isfinite(own.four)) continue;
      head.sum.add(size);
      head.sum.value += own.value;
      head.largest = {std::max(head.largest.two, size.two), std::max(head.largest.four, size.four),
                      std::max(head.largest.moved, size.moved)};
    }
    for (double& length : head.value_length) length = std::sqrt(length);
  }
}

double ErrorBound::turn_of(const double* row, std::int64_t position) const {
  if (frequency_.empty()) return 0;
  const bool interleaved = plan_.options.rope == RopePairing::interleaved;
  const auto p = static_cast<double>(position);
  double sum = 0;
  for (std::size_t m = 0; m < frequency_.size(); ++m) {
    const double x = row[interleaved ? 2 * m : m];
    const double y = row[interleaved ? 2 * m + 1 : m + frequency_.size()];
    sum += p * frequency_[m] * (p * frequency_[m]) * (x * x + y * y);
  }
  return std::sqrt(sum);
}

double ErrorBound::summing(double n) const noexcept {
  const double x = std::min(n, kDeviations * std::sqrt(n)) * budget_.sum;
  return x < 1 ? x / (1 - x) : std::numeric_limits<double>::infinity();
}

ErrorBound::Logits ErrorBound::logits_of(const double* query, double moved, const KeyMoments& seen, const Head& head, double n,
                                         double log_sum_exp, const LogWeights& logs) const {
  const AttentionOptions& o = plan_.options;
  const KeySize q = size_of(query, plan_.dims.head_dim);
  const double factor = std::abs(plan_.factor);
  // Products and squares are summed over head_dim; a norm is one more such sum.
  const double sums = summing(static_cast<double>(plan_.dims.head_dim)) * (o.score == Score::cosine ? 2 : 1) +
                      (o.softcap > 0 ? 8 : 4) * budget_.sum + (budget_.cuts ? 2 * budget_.operand : 0);
  Logits l;
  if (is_distance(o.score)) {
    const double rows = roundings_ * budget_.operand;
    if (o.score == Score::euclidean) {
      l.size = {.constant = factor * q.two, .two = factor};
      l.error = (sums + rows) * l.size + ScoreForm{.constant = factor * moved, .moved = factor};
    } else {
      // (|q| + |k|)^2 grows by twice (|q| + |k|) times what both are off by.
      const double both = 2 * factor * (moved + head.largest.moved);
      l.size = {.constant = factor * q.two * q.two, .two = 2 * factor * q.two, .square = factor};
      l.error = (sums + 2 * rows) * l.size + ScoreForm{.constant = both * q.two, .two = both};
    }
  } else {
    l.size = {.two = factor * q.two};
    l.error = sums * l.size;
    l.error.four = kDeviations * std::sqrt(roundings_) * budget_.operand * factor * q.four;
    l.error.two += factor * moved;
    l.error.moved = factor * q.two;
  }
  l.rms = seen.root_mean_square(l.error);
  l.score = seen.root_mean_square(l.size);
  l.logit = l.score + (has_bias_ ? largest_bias_ * root(seen.weight) : 0);
  if (o.normalize == Normalizer::double_softmax) {
    l.rms = l.error.at(head.largest);
    l.score = l.size.at(head.largest);
    l.logit = l.score + largest_bias_;
  } else if (is_softmax(o.normalize) && std::isfinite(log_sum_exp)) {
    // E (ln w)^2 <= ln(n + e)^2 for weights of n keys (Jensen), and a logit is ln w + log_sum_exp.
    const double total = o.normalize == Normalizer::softmax ? log_sum_exp : std::max(log_sum_exp, 0.0) + std::numbers::ln2;
    const double by_weights = wants_logs() ? logs.logit(log_sum_exp) : std::abs(total) + std::log(n + 1 + std::numbers::e);
    l.logit = std::min(l.logit, by_weights);
    if (o.softcap == 0) l.score = std::min(l.score, by_weights + (has_bias_ ? largest_bias_ : 0));
  }
  return l;
}

bool ErrorBound::wants_logs() const noexcept {
  return budget_.stored > budget_.sum && plan_.options.normalize == Normalizer::softmax;
}

RowBound ErrorBound::row(std::size_t b, std::size_t h, std::size_t i, const double* query, std::span<const double> residual,
                         double lse, const double* extended, const LogWeights& logs, double* bounds) const {
  const std::size_t dim = plan_.dims.value_dim;
  const Normalizer kind = plan_.options.normalize;
  const Head& head = this->head(b, h);
  const engine::KeyRange range = plan_.range(b, i);
  const auto n = static_cast<double>(range.end - range.begin);
  KeyMoments seen = head.sum;
  if (kind != Normalizer::none) {
    const double* m = extended + 2 * dim;
    seen = {m[0], m[1], m[2], m[3], m[4], m[5]};
  }
  const double moved = kTurning * budget_.sum * turn_of(query, plan_.position(b, i)) +
                       projected_.at(projected_.query, b * plan_.dims.heads + h, i, plan_.dims.q_len);
  const Logits l = logits_of(query, moved, seen, head, n, lse, logs);
  const Budget& u = budget_;
  const double kept_scores = 2 + (plan_.options.softcap > 0 ? 2 : 0);
  const double kept = u.stored * (kept_scores + (has_bias_ ? 1 : 0));
  const double kept_logits = has_bias_ ? 2 * u.stored : 0;
  RowBound row;
  row.error = l.error + (kept + kept_logits) * l.size;
  row.error.constant += kept_logits * largest_bias_;
  row.score = l.rms + kept * l.score + kept_logits * l.logit + u.sum * (kExponential * root(seen.weight) + 4 * l.logit);
  if (kind == Normalizer::double_softmax) row.score *= 2;
  if (kind != Normalizer::none) row.factor = row.score > 0 ? std::expm1(row.score) / row.score * std::exp(row.score) : 1;
  const bool sums_to_one = kind != Normalizer::none && kind != Normalizer::sigmoid;
  row.scale = sums_to_one ? summing(n) + 8 * u.sum : 0;
  const double from_scores = std::min(row.factor * row.score, 1e300);
  const double per_weight = 2 * u.stored + summing(n) + (u.cuts ? u.operand : 0) + (value_is_rounded_ ? u.operand : 0);
  const double off = (kind == Normalizer::none ? l.logit : root(seen.weight)) * root(seen.value);
  for (std::size_t c = 0; c < dim; ++c) {
    const double y = extended[c];
    const double squares = kind == Normalizer::none ? 0 : root(extended[dim + c]);
    const double magnitude = kind == Normalizer::none ? l.logit * head.value_length[c] : root(seen.weight) * squares;
    const double spread = kind == Normalizer::none ? head.value_length[c]
                          : sums_to_one            ? root(extended[dim + c] - y * y)
                                                   : squares;
    double changed = from_scores * spread;
    if (sums_to_one) changed = std::min(changed, std::abs(y) + head.value);
    bounds[c] = changed + off + row.scale * std::abs(y) + per_weight * magnitude + u.stored * std::abs(y) +
                u.tiny * (kDeviations * std::sqrt(n) * head.value + 1);
    if (!residual.empty())
      bounds[c] += u.stored * std::abs(y + residual[c]) + (query_is_rounded_ ? u.operand * std::abs(residual[c]) : 0);
  }
  return row;
}

double ErrorBound::log_sum_exp(const RowBound& row, double value, std::size_t b, std::size_t h, std::size_t i) const {
  const engine::KeyRange range = plan_.range(b, i);
  const auto n = static_cast<double>(range.end - range.begin);
  // Only of softmax is the row's error a mean under the weights that the log-sum-exp has.
  const double moved = plan_.options.normalize == Normalizer::softmax ? row.factor * row.score : row.error.at(head(b, h).largest);
  return moved + summing(n) + (kExponential + 8) * budget_.sum + (budget_.stored + 2 * budget_.sum) * std::abs(value) +
         budget_.tiny;
}

double ErrorBound::weight(const RowBound& row, double weight, std::size_t b, std::size_t h, std::size_t key) const {
  const std::size_t head = b * plan_.dims.kv_heads + plan_.dims.kv_head(h);
  const double own = row.error.at(keys_[head * plan_.dims.kv_len + key]);
  const double size = std::abs(weight);
  const double kept = 2 * budget_.stored + (kExponential + 4) * budget_.sum;
  switch (plan_.options.normalize) {
    case Normalizer::none:
      return own + 2 * kept * size + budget_.tiny;
    case Normalizer::sigmoid:
      return size * (std::expm1(own) + kept) + budget_.tiny;
    default:
      // A weight is at most 1, however little is known of its score.
      return std::min(size * (row.factor * (own + row.score) + row.scale + kept), 1.0 + size) + budget_.tiny;
  }
}

}  // namespace attn::analysis

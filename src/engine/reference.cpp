// The reference engine: every query by itself, in float64, one pass for each line of the formula. No tricks; it is what `tiled`
// is held to.
#include "base/groups.hpp"
#include "engine/engine.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace attn::engine {

namespace {

constexpr double kMasked = -std::numeric_limits<double>::infinity();

/// Rows of one query over all keys, from score to weight.
struct QueryState {
  explicit QueryState(const Dims& dims)
      : raw(dims.kv_len), capped(dims.kv_len), logits(dims.kv_len), weights(dims.kv_len), output(dims.value_dim) {}
  std::vector<double> raw;      ///< after scale and temperature
  std::vector<double> capped;   ///< after softcap
  std::vector<double> logits;   ///< after bias; -inf where masked
  std::vector<double> weights;  ///< 0 where masked
  std::vector<double> output;
};

double score(Score kind, const double* q, const double* k, std::size_t head_dim) {
  double sum = 0;
  if (kind == Score::euclidean || kind == Score::sqeuclidean) {
    for (std::size_t d = 0; d < head_dim; ++d) sum += (q[d] - k[d]) * (q[d] - k[d]);
    return kind == Score::euclidean ? -std::sqrt(sum) : -sum;
  }
  for (std::size_t d = 0; d < head_dim; ++d) sum += q[d] * k[d];
  // Rounding may carry the cosine of parallel vectors beyond 1; a NaN stays one.
  if (kind == Score::cosine && std::abs(sum) > 1) sum = std::copysign(1.0, sum);
  return sum;
}

double largest(const std::vector<double>& x) {
  double m = kMasked;
  for (const double value : x) m = std::max(m, value);
  return m;
}

/// exp(x - m), where a value equal to the maximum counts as exp(0) even if both are infinite: the limit of a growing score.
double exp_below(double x, double m) { return x == m ? 1.0 : std::exp(x - m); }

/// softmax over the entries that are not masked, in place. With `extra_key` one more key of logit 0 takes its share and is
/// dropped.
void softmax(std::vector<double>& x, bool extra_key) {
  double m = largest(x);
  if (extra_key) m = std::max(m, 0.0);
  double sum = extra_key ? std::exp(-m) : 0.0;
  for (double& value : x) {
    value = value == kMasked ? 0.0 : exp_below(value, m);
    sum += value;
  }
  for (double& value : x) value /= sum;
}

double sigmoid(double x) {
  const double e = std::exp(-std::abs(x));
  return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}

/// logits -> weights. A masked key weighs 0; there is at least one that is not masked.
void normalize(Normalizer kind, const std::vector<double>& logits, std::vector<double>& weights) {
  weights = logits;
  switch (kind) {
    case Normalizer::softmax:
      softmax(weights, false);
      break;
    case Normalizer::softmax1:
      softmax(weights, true);
      break;
    case Normalizer::softmin:
      for (double& value : weights) value = value == kMasked ? kMasked : -value;
      softmax(weights, false);
      break;
    case Normalizer::double_softmax:
      softmax(weights, false);
      for (std::size_t j = 0; j < weights.size(); ++j) {
        if (logits[j] == kMasked) weights[j] = kMasked;
      }
      softmax(weights, false);
      break;
    case Normalizer::sigmoid:
      for (double& value : weights) value = value == kMasked ? 0.0 : sigmoid(value);
      break;
    case Normalizer::none:
      for (double& value : weights) value = value == kMasked ? 0.0 : value;
      break;
  }
  // A NaN among the visible keys makes their sum NaN; the masked ones stay absent.
  for (std::size_t j = 0; j < weights.size(); ++j) {
    if (logits[j] == kMasked) weights[j] = 0;
  }
}

double log_sum_exp(const std::vector<double>& logits) {
  const double m = largest(logits);
  double sum = 0;
  for (const double value : logits) {
    if (value != kMasked) sum += exp_below(value, m);
  }
  return sum == 0 ? kMasked : m + std::log(sum);
}

/// All rows of a source at once: this engine may take the memory.
class WholeRows {
 public:
  WholeRows(const RowSource<double>& source, std::size_t batch, std::size_t heads, std::size_t length) {
    if (source.is_direct()) {
      rows_ = source.direct();
      return;
    }
    const std::size_t dim = source.dim();
    made_.resize(batch * heads * length * dim);
    rows_ = {made_.data(), heads * length * dim, length * dim, dim};
    for (std::size_t b = 0; b < batch; ++b)
      for (std::size_t h = 0; h < heads; ++h) source.make(b, h, 0, length, made_.data() + (b * heads + h) * length * dim);
  }
  [[nodiscard]] const double* row(std::size_t b, std::size_t h, std::size_t i) const noexcept { return rows_.row(b, h, i); }

 private:
  std::vector<double> made_;
  Rows<double> rows_;
};

/// -sum w ln w, and the rest of what a row of weights says. `order` are the visible keys, strongest first.
RowFacts facts_of(const Plan& plan, std::size_t b, std::size_t i, const QueryState& state,
                  const std::vector<std::size_t>& order) {
  RowFacts facts;
  if (order.empty()) return facts;
  for (std::size_t j = 0; j < state.weights.size(); ++j) {
    const double w = state.weights[j];
    facts.mass += w;
    if (w != 0) facts.entropy -= w * std::log(w);
    facts.distance += w * std::abs(static_cast<double>(plan.position(b, i) - static_cast<std::int64_t>(j)));
  }
  facts.argmax = order.front();
  facts.maximum = state.weights[order.front()];
  return facts;
}

/// The visible keys, those of larger weights first: by logits, which tell apart what weights may round to one number. Of equal
/// ones the lowest first; NaN last.
std::vector<std::size_t> strongest_first(Normalizer kind, const std::vector<double>& logits) {
  std::vector<std::size_t> order;
  for (std::size_t j = 0; j < logits.size(); ++j)
    if (logits[j] != kMasked) order.push_back(j);
  const double sign = kind == Normalizer::softmin ? -1 : 1;
  const auto rank = [&](std::size_t j) { return std::isnan(logits[j]) ? kMasked : sign * logits[j]; };
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t c) { return rank(a) > rank(c); });
  return order;
}

class Reference {
 public:
  Reference(const Plan& plan, const Operands<double>& operands, std::span<Observer<double>* const> observers)
      : plan_(plan),
        query_(operands.query, plan.dims.batch, plan.dims.heads, plan.dims.q_len),
        key_(operands.key, plan.dims.batch, plan.dims.kv_heads, plan.dims.kv_len),
        value_(operands.value, plan.dims.batch, plan.dims.kv_heads, plan.dims.kv_len),
        observers_(observers) {
    for (const auto* observer : observers) needs_ |= observer->needs();
  }

  void query(std::size_t b, std::size_t h, std::size_t i, QueryState& state) const {
    score_keys(b, h, i, state);
    const bool is_empty = std::ranges::all_of(state.logits, [](double x) { return x == kMasked; });
    std::ranges::fill(state.weights, 0.0);
    std::ranges::fill(state.output, 0.0);
    if (!is_empty) {
      normalize(plan_.options.normalize, state.logits, state.weights);
      combine(b, h, state);
    }
    hand_out(b, h, i, state, is_empty);
  }

  /// The weights of one query for those who want columns.
  void columns(std::size_t b, std::size_t h, std::size_t i, QueryState& state) const {
    score_keys(b, h, i, state);
    if (std::ranges::all_of(state.logits, [](double x) { return x == kMasked; })) return;
    normalize(plan_.options.normalize, state.logits, state.weights);
    Tile<double> tile = whole_row(b, h, i);
    tile.data = state.weights.data();
    for (Observer<double>* observer : observers_)
      if (observer->needs().columns) observer->columns(tile);
  }
  [[nodiscard]] const Needs& needs() const noexcept { return needs_; }

 private:
  [[nodiscard]] Tile<double> whole_row(std::size_t b, std::size_t h, std::size_t i) const noexcept {
    return {.batch = b,
            .head = h,
            .query = i,
            .queries = 1,
            .key = 0,
            .keys = plan_.dims.kv_len,
            .data = nullptr,
            .query_step = plan_.dims.kv_len,
            .key_step = 1};
  }

  void score_keys(std::size_t b, std::size_t h, std::size_t i, QueryState& state) const {
    const auto& options = plan_.options;
    const double* q = query_.row(b, h, i);
    for (std::size_t j = 0; j < plan_.dims.kv_len; ++j) {
      const bool visible = plan_.visible(b, h, i, j);
      state.logits[j] = kMasked;
      if (!visible && !needs_.raw_scores && !needs_.capped_scores) continue;
      const double* k = key_.row(b, plan_.dims.kv_head(h), j);
      state.raw[j] = score(options.score, q, k, plan_.dims.head_dim) * plan_.factor;
      state.capped[j] = options.softcap > 0 ? options.softcap * std::tanh(state.raw[j] / options.softcap) : state.raw[j];
      if (visible) state.logits[j] = state.capped[j] + plan_.bias(b, h, i, j);
    }
  }

  void combine(std::size_t b, std::size_t h, QueryState& state) const {
    if (!needs_.output) return;
    for (std::size_t j = 0; j < plan_.dims.kv_len; ++j) {
      if (state.logits[j] == kMasked) continue;  // absent: 0 * NaN must not happen
      const double* v = value_.row(b, plan_.dims.kv_head(h), j);
      for (std::size_t c = 0; c < plan_.dims.value_dim; ++c) state.output[c] += state.weights[j] * v[c];
    }
  }

  void hand_out(std::size_t b, std::size_t h, std::size_t i, const QueryState& state, bool is_empty) const {
    Tile<double> tile = whole_row(b, h, i);
    const std::uint8_t empty_flag = is_empty ? 1 : 0;
    const double lse = needs_.log_sum_exp ? log_sum_exp(state.logits) : 0.0;
    std::vector<std::size_t> order;
    if (needs_.notes()) order = strongest_first(plan_.options.normalize, state.logits);
    const RowFacts facts = needs_.facts ? facts_of(plan_, b, i, state, order) : RowFacts{};
    std::vector<KeyWeight> top;
    // A NaN has no place among the strongest.
    for (const std::size_t j : order)
      if (top.size() < needs_.top && !std::isnan(state.logits[j])) top.push_back({j, state.weights[j]});
    const std::size_t top_count = top.size();
    const RowBlock<double> rows{.batch = b,
                                .head = h,
                                .query = i,
                                .queries = 1,
                                .output = needs_.output ? state.output.data() : nullptr,
                                .log_sum_exp = needs_.log_sum_exp ? &lse : nullptr,
                                .is_empty = &empty_flag,
                                .facts = needs_.facts ? &facts : nullptr,
                                .top = needs_.top > 0 ? top.data() : nullptr,
                                .top_count = needs_.top > 0 ? &top_count : nullptr,
                                .top_step = needs_.top};
    for (Observer<double>* observer : observers_) {
      const Needs needs = observer->needs();
      const auto give = [&](const std::vector<double>& values, void (Observer<double>::*take)(const Tile<double>&)) {
        tile.data = values.data();
        (observer->*take)(tile);
      };
      if (needs.raw_scores) give(state.raw, &Observer<double>::raw_scores);
      if (needs.capped_scores) give(state.capped, &Observer<double>::capped_scores);
      if (needs.masked_scores) give(state.logits, &Observer<double>::masked_scores);
      if (needs.weights && !is_empty) give(state.weights, &Observer<double>::weights);
      observer->rows(rows);
    }
  }

  const Plan& plan_;
  const WholeRows query_;
  const WholeRows key_;
  const WholeRows value_;
  std::span<Observer<double>* const> observers_;
  Needs needs_;
};

}  // namespace

void run_reference(const Plan& plan, const Operands<double>& operands, std::span<Observer<double>* const> observers,
                   const Execution& execution) {
  constexpr std::size_t block = 16;
  const Dims& d = plan.dims;
  const std::size_t in_head = groups_of(d.q_len, block);
  const Reference reference(plan, operands, observers);
  for_each_task(d.batch * d.heads * in_head, execution, [&](std::size_t task) {
    QueryState state(d);
    const std::size_t row = task / in_head;
    const std::size_t first = task % in_head * block;
    for (std::size_t i = first; i < std::min(first + block, d.q_len); ++i)
      reference.query(row / d.heads, row % d.heads, i, state);
  });
  if (!reference.needs().columns) return;
  for_each_task(d.batch * d.heads, execution, [&](std::size_t row) {
    QueryState state(d);
    for (std::size_t i = 0; i < d.q_len; ++i) reference.columns(row / d.heads, row % d.heads, i, state);
  });
}

}  // namespace attn::engine

// One weight taken apart: features, scale, bias, rivals, and the influence of each key on the output.
#include "analysis/influence.hpp"
#include "analysis/reals.hpp"
#include "request/explain_steps.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <fmt/format.h>

namespace attn::request {

namespace {

using analysis::HeadTrace;

constexpr std::size_t most_rivals = 10;   ///< rivals that are shown
constexpr std::size_t most_features = 8;  ///< of an output, where more would not fit on a line

/// What each feature brings into the score's own number.
Step features(const Explained& x, const HeadTrace& t, std::size_t i, std::size_t j) {
  const Score score = x.plan.options.score;
  const bool distance = score == Score::euclidean || score == Score::sqeuclidean;
  Step step{"the score by its features",
            distance ? "each feature brings (q_d - k_d)^2" : "each feature brings q_d k_d",
            distance ? "(q_d - k_d)^2" : "q_d k_d",
            {},
            {}};
  NamedGrid grid{.caption = "", .columns = {"feature", "q", "k", distance ? "(q - k)^2" : "q k"}, .rows = {}};
  double sum = 0;
  for (std::size_t d = 0; d < t.query.columns; ++d) {
    const double q = t.query.at(i, d);
    const double k = t.key.at(j, d);
    const double part = distance ? (q - k) * (q - k) : q * k;
    sum += part;
    grid.rows.push_back({fmt::format("[{}]", d), x.number(q), x.number(k), x.number(part)});
  }
  grid.rows.push_back({"sum", "", "", x.number(sum)});
  step.grids.push_back(std::move(grid));
  if (score == Score::euclidean) step.notes.push_back(fmt::format("score = -sqrt(sum) = {}", x.number(t.products.at(i, j))));
  if (score == Score::sqeuclidean) step.notes.push_back(fmt::format("score = -sum = {}", x.number(t.products.at(i, j))));
  return step;
}

/// From the score to the weight.
Step chain(const Explained& x, const HeadTrace& t, std::size_t i, std::size_t j) {
  const AttentionOptions& o = x.plan.options;
  Step step{"from the score to the weight", "", "", {}, {}};
  NamedGrid grid{.caption = "", .columns = {"stage", "number"}, .rows = {}};
  const auto row = [&](std::string name, double value) { grid.rows.push_back({std::move(name), x.number(value)}); };
  row("score", t.products.at(i, j));
  row(fmt::format("times scale / temperature = {}", x.number(x.plan.factor)), t.raw.at(i, j));
  if (o.softcap > 0) row(fmt::format("softcap {}", x.number(o.softcap)), t.capped.at(i, j));
  if (t.bias.at(i, j) != 0) row(fmt::format("bias {} added", x.number(t.bias.at(i, j))), t.capped.at(i, j) + t.bias.at(i, j));
  const std::string why = x.rules.hiding(t.batch, t.head, i, j);
  if (!why.empty()) grid.rows.push_back({"hidden by", why});
  row("weight", t.weights.at(i, j));
  step.grids.push_back(std::move(grid));
  return step;
}

std::vector<std::size_t> by_size(const std::vector<double>& sizes) {
  std::vector<std::size_t> order(sizes.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return sizes[a] > sizes[b]; });
  return order;
}

Step rivals(const Explained& x, const HeadTrace& t, std::size_t i, std::size_t j) {
  Step step{"its rivals", "keys of this query, the heaviest first", "w_{ij}", {}, {}};
  NamedGrid grid{.caption = "", .columns = {"key", "logit", "logit - this one's", "weight"}, .rows = {}};
  const std::span<const double> weights = t.weights.row(i);
  std::size_t shown = 0;
  for (const std::size_t k : by_size({weights.begin(), weights.end()})) {
    const double l = t.logits.at(i, k);
    if (l == analysis::kHidden || shown == most_rivals) continue;
    ++shown;
    const std::string apart = t.logits.at(i, j) == analysis::kHidden ? std::string("-") : x.number(l - t.logits.at(i, j));
    grid.rows.push_back({x.key_name(k) + (k == j ? " (this one)" : ""), x.number(l), apart, x.number(weights[k])});
  }
  step.grids.push_back(std::move(grid));
  return step;
}

/// What the removal of each key does to the output.
Step influence(const Explained& x, const HeadTrace& t, std::size_t i, std::size_t j) {
  const Normalizer kind = x.plan.options.normalize;
  const bool alone = kind == Normalizer::sigmoid || kind == Normalizer::none;
  Step step{"the output without a key",
            alone ? "it changes by -w_j v_j" : "it changes by w_j / (1 - w_j) * (y - v_j)",
            alone ? "\\Delta y = -w_j v_j" : "\\Delta y = \\frac{w_j}{1-w_j}(y - v_j)",
            {},
            {}};
  if (kind == Normalizer::double_softmax) {
    step.formula = "both softmaxes are taken again without the key";
    step.latex.clear();
  }
  const analysis::WeighedQuery query{.normalize = kind,
                                     .logits = t.logits.row(i),
                                     .weights = t.weights.row(i),
                                     .values = t.value.numbers,
                                     .value_dim = t.value.columns};
  std::vector<double> sizes;
  std::vector<std::vector<double>> changes;
  for (std::size_t k = 0; k < t.logits.columns; ++k) {
    changes.push_back(analysis::change_without(query, k));
    sizes.push_back(analysis::length_of(changes.back()));
  }
  NamedGrid grid{.caption = "", .columns = {"without", "length of the change"}, .rows = {}};
  const bool shows_features = t.value.columns <= most_features;
  for (std::size_t c = 0; c < t.value.columns && shows_features; ++c) grid.columns.push_back(fmt::format("[{}]", c));
  std::vector<std::size_t> order = by_size(sizes);
  std::erase_if(order, [&](std::size_t k) { return t.logits.at(i, k) == analysis::kHidden; });
  for (std::size_t n = 0; n < std::min(order.size(), most_rivals); ++n) {
    const std::size_t k = order[n];
    std::vector<std::string> row{x.key_name(k) + (k == j ? " (this one)" : ""), x.number(sizes[k])};
    if (shows_features)
      for (const double change : changes[k]) row.push_back(x.number(change));
    grid.rows.push_back(std::move(row));
  }
  step.grids.push_back(std::move(grid));
  if (!order.empty()) step.notes.push_back(fmt::format("the removal of {} changes the output most", x.key_name(order.front())));
  return step;
}

}  // namespace

std::vector<Step> steps_of_weight(const Explained& explained, const HeadTrace& trace, std::size_t i, std::size_t j) {
  std::vector<Step> steps;
  steps.push_back(features(explained, trace, i, j));
  steps.push_back(chain(explained, trace, i, j));
  steps.push_back(rivals(explained, trace, i, j));
  steps.push_back(influence(explained, trace, i, j));
  steps.front().title = fmt::format("{} and {}: {}", explained.query_name(i), explained.key_name(j), steps.front().title);
  return steps;
}

}  // namespace attn::request

// Deviations in scores, weights, heads and what is added: one row each.
#include "analysis/deviations.hpp"

#include "analysis/rearrange.hpp"

#include <array>
#include <cmath>

#include <fmt/format.h>

namespace attn::analysis {

namespace {

using List = std::vector<Deviation>;

constexpr const char* kVaried = "queries and keys whose scores differ within a row";

bool is_product(Score score) { return score == Score::dot || score == Score::scaled; }

void add_scales(const Convention& asked, const engine::Plan& plan, List& list) {
  const double scale = plan.factor * plan.options.temperature;
  const auto add = [&](const char* name, double other, const std::string& sentence) {
    if (std::abs(other - scale) <= 1e-12 * std::abs(scale)) return;
    list.push_back({name, "score", sentence, kVaried, fmt::format("--scale {}", other),
                    [other](Convention& c) { c.options.scale = other; }});
  };
  add("scale-none", 1, "the scores are not scaled");
  const auto d = static_cast<double>(plan.dims.head_dim);
  if (!is_product(asked.options.score)) return;
  add("scale-head-dim", 1 / std::sqrt(d), "the scores are divided by the square root of head_dim");
  if (plan.dims.heads > 1)
    add("scale-model-width", 1 / std::sqrt(d * static_cast<double>(plan.dims.heads)),
        "the scores are divided by the square root of the model's width, heads * head_dim, not of head_dim");
  if (scale == 1) return;
  add("scale-inverted", 1 / scale, "the scores are multiplied by the square root they should be divided by");
  add("scale-twice", scale * scale, "the scores are scaled twice");
}

void add_temperature(const engine::Plan& plan, List& list) {
  const double t = plan.options.temperature;
  if (t == 1) return;
  list.push_back({"temperature-missing", "temperature", "the scores are not divided by the temperature", kVaried,
                  "--temperature 1", [](Convention& c) { c.options.temperature = 1; }});
  list.push_back({"temperature-inverted", "temperature", "the scores are multiplied by the temperature", kVaried,
                  fmt::format("--temperature {}", 1 / t), [t](Convention& c) { c.options.temperature = 1 / t; }});
}

void add_scores(const Convention& asked, List& list) {
  struct Kind {
    Score score;
    const char* name;
    const char* sentence;
  };
  constexpr std::array<Kind, 4> kinds{{{Score::scaled, "scaled", "the scores are dot products over the square root of head_dim"},
                                       {Score::cosine, "cosine", "the scores are cosines"},
                                       {Score::euclidean, "euclidean", "the scores are negative Euclidean distances"},
                                       {Score::sqeuclidean, "sqeuclidean", "the scores are negative squared distances"}}};
  for (const Kind& kind : kinds) {
    const bool is_same = kind.score == asked.options.score || (kind.score == Score::scaled && is_product(asked.options.score));
    if (is_same) continue;
    list.push_back({fmt::format("score-{}", kind.name), "score", kind.sentence,
                    "queries and keys of different lengths and directions", fmt::format("--score {}", kind.name),
                    [score = kind.score](Convention& c) {
                      c.options.score = score;
                      c.options.scale.reset();
                    }});
  }
}

void add_normalizers(const Convention& asked, const engine::Plan& plan, List& list) {
  struct Kind {
    Normalizer kind;
    const char* name;
    const char* sentence;
  };
  constexpr std::array<Kind, 6> kinds{
      {{Normalizer::softmax, "softmax", "the weights are a softmax"},
       {Normalizer::softmin, "softmin", "the weights are a softmin: the sign of the scores is turned"},
       {Normalizer::double_softmax, "double-softmax", "softmax is taken twice"},
       {Normalizer::softmax1, "softmax1", "the softmax has one more key of logit 0 in its sum"},
       {Normalizer::sigmoid, "sigmoid", "the weights are sigmoids of the scores"},
       {Normalizer::none, "none", "the scores themselves are the weights"}}};
  for (const Kind& kind : kinds) {
    if (kind.kind == asked.options.normalize) continue;
    list.push_back({fmt::format("normalize-{}", kind.name), "normalize", kind.sentence, kVaried,
                    fmt::format("--normalize {}", kind.name),
                    [value = kind.kind](Convention& c) { c.options.normalize = value; }});
  }
  const bool is_softmax = asked.options.normalize == Normalizer::softmax;
  if (is_softmax && plan.dims.q_len > 1)
    list.push_back({"softmax-over-queries", "normalize", "the softmax runs over the queries, not over the keys",
                    "queries that differ from each other", "", [](Convention& c) { c.sums_over = SumsOver::queries; }});
  if (is_softmax && plan.dims.heads > 1)
    list.push_back({"softmax-over-heads", "normalize", "the softmax runs over the heads, not over the keys",
                    "heads that differ from each other", "", [](Convention& c) { c.sums_over = SumsOver::heads; }});
}

/// [batch, length, dim * heads] with the heads innermost -> [batch, heads, length, dim].
Array heads_from_inside(const Array& array, std::size_t heads) {
  const Shape& s = array.shape();
  const std::size_t batch = s.size() == 3 ? s[0] : 1;
  const std::size_t length = s[s.size() - 2];
  const std::size_t dim = s.back() / heads;
  Array result(DType::f64, {batch, heads, length, dim});
  const auto from = array.values<double>();
  const auto to = result.mutable_values<double>();
  std::size_t at = 0;
  for (std::size_t b = 0; b < batch; ++b)
    for (std::size_t h = 0; h < heads; ++h)
      for (std::size_t i = 0; i < length; ++i)
        for (std::size_t c = 0; c < dim; ++c) to[at++] = from[((b * length + i) * dim + c) * heads + h];
  return result;
}

Array heads_by_view(const Array& array, std::size_t heads) {
  const Shape& s = array.shape();
  return array.reshaped({s.size() == 3 ? s[0] : 1, heads, s[s.size() - 2], s.back() / heads});
}

template <class Split>
void split_all(Convention& c, HeadSplit kind, Split split) {
  c.split = kind;
  const std::size_t kv_heads = c.inputs.packed_kv_heads();
  c.inputs.query.array = split(c.inputs.query.array, c.inputs.heads);
  c.inputs.key.array = split(c.inputs.key.array, kv_heads);
  c.inputs.value.array = split(c.inputs.value.array, kv_heads);
  c.inputs.heads = c.inputs.kv_heads = 0;
}

void add_heads(const Convention& asked, const engine::Plan& plan, List& list) {
  const engine::Dims& d = plan.dims;
  if (d.kv_heads > 1 && d.kv_heads < d.heads)
    list.push_back(
        {"heads-tiled", "heads",
         "key and value heads are repeated as a block (0 1 0 1), not each by itself (0 0 1 1): query head h reads head "
         "h % kv_heads",
         "key and value heads that differ from each other", "", [](Convention& c) { c.tiled_heads = true; }});
  const auto packed = [](const engine::NamedArray& input) { return input.array.rank() == 2 || input.array.rank() == 3; };
  const engine::Inputs& in = asked.inputs;
  if (in.heads < 2 || !packed(in.query)) return;
  list.push_back({"merge-missing", "merge",
                  "the heads are never merged: [heads, q_len, dim] is reshaped to [q_len, heads * dim] without a transposition",
                  "more than one query and heads that differ", "", [](Convention& c) { c.merge_missing = true; }});
  if (!packed(in.key) || !packed(in.value)) return;
  list.push_back({"split-viewed", "split",
                  "the heads are split by a reshape to [heads, length, dim] without a transposition: a head is a piece of the "
                  "length, not of the width",
                  "rows that differ from each other", "", [](Convention& c) { split_all(c, HeadSplit::viewed, heads_by_view); }});
  list.push_back({"split-interleaved", "split", "the heads lie innermost: feature c of head h is column c * heads + h",
                  "columns that differ from each other", "",
                  [](Convention& c) { split_all(c, HeadSplit::inside, heads_from_inside); }});
}

bool adds_query(const OutputProjection& p) { return p.query.shape().back() == p.out(); }

void add_projection(const Convention& asked, List& list) {
  if (!asked.projection) return;
  if (asked.projection->in() == asked.projection->out())
    list.push_back({"projection-missing", "projection", "the output projection W_o is never applied",
                    "an output projection that changes something", "", [](Convention& c) { c.projects_output = false; }});
  if (!asked.projection->bias.shape().empty())
    list.push_back({"projection-bias-missing", "projection", "the bias of the output projection is not added",
                    "a bias that is not 0", "", [](Convention& c) {
                      auto without = std::make_shared<OutputProjection>(*c.projection);
                      without->bias = {};
                      c.projection = without;
                    }});
}

void add_operands(const Convention& asked, const engine::Plan& plan, List& list) {
  const engine::Inputs& in = asked.inputs;
  const bool same_value = in.key.array.data() == in.value.array.data();
  if (!same_value && in.key.array.shape() == in.value.array.shape() && !in.past_key.given())
    list.push_back({"value-is-key", "value", "the keys are summed, not the values", "values that differ from the keys", "-v KEY",
                    [](Convention& c) { c.inputs.value = c.inputs.key; }});
  const bool same_key = in.query.array.data() == in.key.array.data();
  if (!same_key && in.query.array.shape() == in.key.array.shape() && !in.past_key.given() && plan.dims.q_len > 1)
    list.push_back({"query-key-swapped", "query", "query and key are swapped", "queries that differ from the keys",
                    "-q KEY -k QUERY", [](Convention& c) { std::swap(c.inputs.query, c.inputs.key); }});
  if (asked.options.residual)
    list.push_back({"residual-missing", "residual", "the query is not added to the output", "queries that are not 0", "",
                    [](Convention& c) { c.options.residual = false; }});
  else if (asked.projection ? adds_query(*asked.projection) : plan.dims.head_dim == plan.dims.value_dim)
    list.push_back({"residual-added", "residual", "the query is added to the output", "queries that are not 0", "--residual",
                    [](Convention& c) { c.options.residual = true; }});
}

}  // namespace

void append_score_deviations(const Convention& asked, const engine::Plan& plan, List& list) {
  add_scales(asked, plan, list);
  add_temperature(plan, list);
  add_scores(asked, list);
  add_normalizers(asked, plan, list);
  add_heads(asked, plan, list);
  add_projection(asked, list);
  add_operands(asked, plan, list);
}

std::vector<Deviation> deviations_of(const Convention& asked, const engine::Plan& plan) {
  List list;
  // Masks come first: they look at arrays as they were given.
  append_mask_deviations(asked, plan, list);
  append_score_deviations(asked, plan, list);
  return list;
}

}  // namespace attn::analysis

// The stages of one head as steps: rows, scores, scale, cap, bias, masks, normalizer, weights, output.
#include "request/explain_steps.hpp"

#include "analysis/reals.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include <fmt/format.h>

namespace attn::request {

namespace {

using analysis::Grid;
using analysis::HeadTrace;

struct Formula {
  const char* text;
  const char* latex;
};

Formula score_formula(Score score) {
  switch (score) {
    case Score::dot:
    case Score::scaled:
      return {"p_ij = q_i . k_j", "p_{ij} = q_i \\cdot k_j"};
    case Score::cosine:
      return {"p_ij = q_i . k_j / (|q_i| |k_j|)", "p_{ij} = \\frac{q_i \\cdot k_j}{\\lVert q_i\\rVert\\,\\lVert k_j\\rVert}"};
    case Score::euclidean:
      return {"p_ij = -|q_i - k_j|", "p_{ij} = -\\lVert q_i - k_j\\rVert"};
    case Score::sqeuclidean:
      return {"p_ij = -|q_i - k_j|^2", "p_{ij} = -\\lVert q_i - k_j\\rVert^2"};
  }
  return {"", ""};
}

Formula weight_formula(Normalizer kind) {
  switch (kind) {
    case Normalizer::softmax:
    case Normalizer::softmax1:
      return {"w_ij = exp(l_ij - m_i) / Z_i", "w_{ij} = e^{l_{ij}-m_i}/Z_i"};
    case Normalizer::softmin:
      return {"w_ij = exp(-l_ij - m_i) / Z_i", "w_{ij} = e^{-l_{ij}-m_i}/Z_i"};
    case Normalizer::double_softmax:
      return {"a = softmax(l_i) with m_i and Z_i, then w_ij = exp(a_ij) / sum_j exp(a_ij) over the keys that are seen",
              "a_i = \\operatorname{softmax}(l_i),\\quad w_{ij} = e^{a_{ij}}/\\sum_j e^{a_{ij}}"};
    case Normalizer::sigmoid:
      return {"w_ij = 1 / (1 + exp(-l_ij))", "w_{ij} = 1/(1+e^{-l_{ij}})"};
    case Normalizer::none:
      return {"w_ij = l_ij", "w_{ij} = l_{ij}"};
  }
  return {"", ""};
}

/// Of what is subtracted and divided by.
Formula normalizer_formula(Normalizer kind) {
  switch (kind) {
    case Normalizer::softmin:
      return {"m_i = max_j (-l_ij), Z_i = sum_j exp(-l_ij - m_i)",
              "m_i = \\max_j (-l_{ij}),\\quad Z_i = \\sum_j e^{-l_{ij}-m_i}"};
    case Normalizer::softmax1:
      return {"m_i = max(0, max_j l_ij), Z_i = exp(-m_i) + sum_j exp(l_ij - m_i)",
              "m_i = \\max(0, \\max_j l_{ij}),\\quad Z_i = e^{-m_i} + \\sum_j e^{l_{ij}-m_i}"};
    default:
      return {"m_i = max_j l_ij, Z_i = sum_j exp(l_ij - m_i)", "m_i = \\max_j l_{ij},\\quad Z_i = \\sum_j e^{l_{ij}-m_i}"};
  }
}

std::vector<std::string> names(std::size_t count, const std::function<std::string(std::size_t)>& name,
                               const std::string& corner) {
  std::vector<std::string> result{corner};
  for (std::size_t i = 0; i < count; ++i) result.push_back(name(i));
  return result;
}

std::string feature_name(std::size_t d) { return fmt::format("[{}]", d); }

/// Makes the steps of one head.
class Steps {
 public:
  Steps(const Explained& explained, const HeadTrace& trace, std::string heading)
      : x_(explained), trace_(trace), heading_(std::move(heading)) {}

  std::vector<Step> all() {
    const AttentionOptions& o = x_.plan.options;
    rows();
    pairs("scores", score_formula(o.score), trace_.products);
    scale();
    if (o.softcap > 0) softcap();
    const bool biased = std::ranges::any_of(trace_.bias.numbers, [](double b) { return b != 0; });
    if (biased) pairs("bias", {"b_ij, added to the score", "b_{ij}"}, trace_.bias);
    masks(biased);
    normalizer();
    pairs("weights", weight_formula(o.normalize), trace_.weights);
    output();
    return std::move(steps_);
  }

 private:
  Step& step(const std::string& title, Formula formula) {
    steps_.push_back({heading_ + title, formula.text, formula.latex, {}, {}});
    return steps_.back();
  }

  NamedGrid grid(const Grid& numbers, const std::string& caption, bool rows_are_keys, bool columns_are_keys) const {
    NamedGrid result;
    result.caption = caption;
    const auto key = [&](std::size_t j) { return x_.key_name(j); };
    result.columns = names(numbers.columns, columns_are_keys ? std::function<std::string(std::size_t)>(key) : feature_name, "");
    for (std::size_t i = 0; i < numbers.rows; ++i) {
      std::vector<std::string> row{rows_are_keys ? x_.key_name(i) : x_.query_name(i)};
      for (std::size_t j = 0; j < numbers.columns; ++j) row.push_back(x_.number(numbers.at(i, j)));
      result.rows.push_back(std::move(row));
    }
    return result;
  }

  void rows() {
    const AttentionOptions& o = x_.plan.options;
    const bool turned = o.rope != RopePairing::none;
    const bool unit = o.score == Score::cosine;
    std::string title = "query, key and value";
    if (turned) title += ", rotated by their positions";
    if (unit) title += ", queries and keys of length 1";
    Step& s = step(title, {"", ""});
    s.grids.push_back(grid(trace_.query, "q", false, false));
    s.grids.push_back(grid(trace_.key, "k", true, false));
    s.grids.push_back(grid(trace_.value, "v", true, false));
  }

  void pairs(const std::string& title, Formula formula, const Grid& numbers, std::vector<std::string> notes = {}) {
    Step& s = step(title, formula);
    s.grids.push_back(grid(numbers, "", false, true));
    s.notes = std::move(notes);
  }

  void scale() {
    const AttentionOptions& o = x_.plan.options;
    if (x_.plan.factor == 1) return;
    const double factor = x_.plan.factor * o.temperature;
    std::string note = fmt::format("scale = {}", x_.number(factor));
    if (o.score == Score::scaled && !o.scale) note += fmt::format(" = 1/sqrt({})", x_.plan.dims.head_dim);
    if (o.temperature != 1) note += fmt::format(", temperature T = {}", x_.number(o.temperature));
    const bool divided = o.temperature != 1;
    last_ = 's';
    pairs("scale",
          {divided ? "s_ij = p_ij * scale / T" : "s_ij = p_ij * scale",
           divided ? "s_{ij} = p_{ij} \\cdot \\mathrm{scale} / T" : "s_{ij} = p_{ij} \\cdot \\mathrm{scale}"},
          trace_.raw, {note});
  }

  void softcap() {
    const std::string text = fmt::format("c_ij = C tanh({}_ij / C)", last_);
    const std::string latex = fmt::format("c_{{ij}} = C \\tanh({}_{{ij}}/C)", last_);
    last_ = 'c';
    pairs("softcap", {text.c_str(), latex.c_str()}, trace_.capped, {fmt::format("C = {}", x_.number(x_.plan.options.softcap))});
  }

  /// Where a pair is hidden its rule stands, else its logit.
  void masks(bool biased) {
    NamedGrid result = grid(trace_.logits, "", false, true);
    bool hidden = false;
    for (std::size_t i = 0; i < trace_.logits.rows; ++i)
      for (std::size_t j = 0; j < trace_.logits.columns; ++j) {
        const std::string why = x_.rules.hiding(trace_.batch, trace_.head, i, j);
        if (why.empty()) continue;
        hidden = true;
        result.rows[i][j + 1] = why;
      }
    const std::string text =
        fmt::format("l_ij = {}_ij{}{}", last_, biased ? " + b_ij" : "", hidden ? "; a hidden key is absent" : "");
    const std::string latex = fmt::format("l_{{ij}} = {}_{{ij}}{}", last_, biased ? " + b_{ij}" : "");
    Step& s = step(hidden ? "logits and masks" : "logits", {text.c_str(), latex.c_str()});
    s.grids.push_back(std::move(result));
    if (hidden) s.notes.emplace_back("where a word stands, that rule hides the key: it takes no part in what follows");
  }

  void normalizer() {
    const Normalizer kind = x_.plan.options.normalize;
    if (kind == Normalizer::sigmoid || kind == Normalizer::none) return;
    const bool twice = kind == Normalizer::double_softmax;
    NamedGrid table{.caption = "", .columns = {"", "m", "Z"}, .rows = {}};
    if (twice) table.columns.emplace_back("sum of exp(a)");
    Step& s = step("maximum and sum", normalizer_formula(kind));
    for (std::size_t i = 0; i < trace_.logits.rows; ++i) {
      if (trace_.empty[i]) {
        s.notes.push_back(fmt::format("{} has no key left: its weights are 0 and so is its output{}", x_.query_name(i),
                                      x_.plan.options.empty_rows == Policy::nan ? " (written as NaN: --empty-rows nan)" : ""));
        continue;
      }
      const double sign = kind == Normalizer::softmin ? -1 : 1;
      double largest = kind == Normalizer::softmax1 ? 0.0 : analysis::kHidden;
      for (const double l : trace_.logits.row(i))
        if (l != analysis::kHidden && !std::isnan(largest) && !(sign * l <= largest)) largest = sign * l;  // once NaN, always NaN
      double sum = kind == Normalizer::softmax1 ? std::exp(-largest) : 0.0;
      for (const double l : trace_.logits.row(i))
        if (l != analysis::kHidden) sum += std::exp(sign * l - largest);
      table.rows.push_back({x_.query_name(i), x_.number(largest), x_.number(sum)});
      if (!twice) continue;
      double second = 0;
      for (const double l : trace_.logits.row(i))
        if (l != analysis::kHidden) second += std::exp(std::exp(l - largest) / sum);
      table.rows.back().push_back(x_.number(second));
    }
    s.grids.push_back(std::move(table));
  }

  void output() {
    Step& s = step("output", {"y_i = sum_j w_ij v_j", "y_i = \\sum_j w_{ij} v_j"});
    s.grids.push_back(grid(trace_.output, "y", false, false));
  }

  const Explained& x_;
  const HeadTrace& trace_;
  std::string heading_;
  char last_ = 'p';  ///< the formula's letter for the score as it stands: p, s when scaled, c when capped
  std::vector<Step> steps_;
};

}  // namespace

std::string Explained::number(double x) const {
  const std::string text = fmt::format("{:.{}g}", x, digits);
  return text == "-0" ? "0" : text;
}

std::string Explained::query_name(std::size_t i) const {
  return i < inputs.ids.size() ? inputs.ids[i] : fmt::format("query {}", i);
}

std::string Explained::key_name(std::size_t j) const {
  return j < inputs.key_ids.size() ? inputs.key_ids[j] : fmt::format("key {}", j);
}

std::vector<Step> steps_of_head(const Explained& explained, const HeadTrace& trace, const std::string& heading) {
  return Steps(explained, trace, heading).all();
}

std::vector<NamedGrid> grids_of(const Explained& explained, const std::string& caption, const Array& array, bool rows_are_keys) {
  const Shape& shape = array.shape();
  if (array.empty()) return {};
  const std::size_t dim = shape.back();
  const std::size_t length = shape.size() > 1 ? shape[shape.size() - 2] : 1;
  std::vector<NamedGrid> grids;
  for (std::size_t first = 0; first < array.size(); first += length * dim) {
    NamedGrid grid{.caption = caption, .columns = names(dim, feature_name, ""), .rows = {}};
    if (array.size() > length * dim) grid.caption += fmt::format(" ({})", first / (length * dim));
    for (std::size_t i = 0; i < length; ++i) {
      std::vector<std::string> row{rows_are_keys ? explained.key_name(i) : explained.query_name(i)};
      for (std::size_t d = 0; d < dim; ++d) row.push_back(explained.number(array.at_flat(first + i * dim + d)));
      grid.rows.push_back(std::move(row));
    }
    grids.push_back(std::move(grid));
  }
  return grids;
}

}  // namespace attn::request

// Everything that happens to the pairs of one head, stage by stage, in float64: what an explanation shows.
#pragma once

#include "engine/engine.hpp"
#include "engine/inputs.hpp"
#include "engine/operands.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace attn::analysis {

/// Rows of numbers.
struct Grid {
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::vector<double> numbers;

  Grid() = default;
  Grid(std::size_t row_count, std::size_t column_count)
      : rows(row_count), columns(column_count), numbers(row_count * column_count, 0.0) {}
  [[nodiscard]] double& at(std::size_t i, std::size_t j) { return numbers[i * columns + j]; }
  [[nodiscard]] double at(std::size_t i, std::size_t j) const { return numbers[i * columns + j]; }
  [[nodiscard]] std::span<const double> row(std::size_t i) const { return std::span(numbers).subspan(i * columns, columns); }
};

/// One head from its rows to its outputs.
struct HeadTrace {
  std::size_t batch = 0;
  std::size_t head = 0;
  Grid query;     ///< as scored: rotated, scaled to unit length where the options say so
  Grid key;       ///< of the head's keys, as scored
  Grid value;     ///< of the head's keys
  Grid products;  ///< the score's own number, before scale and temperature
  Grid raw;       ///< after them
  Grid capped;    ///< after softcap
  Grid bias;      ///< what is added; 0 for hidden pairs
  Grid logits;    ///< -inf where hidden
  Grid weights;
  Grid output;              ///< zero for a query without a key
  std::vector<bool> empty;  ///< [q_len]: no key is left
};

/// Runs the reference engine and keeps what it shows of one head. Operands are those of the plan.
[[nodiscard]] HeadTrace trace_head(const engine::Plan& plan, const engine::Operands<double>& operands, std::size_t batch,
                                   std::size_t head, const engine::Execution& execution);

/// Says which rules hide pairs.
class HidingRules {
 public:
  HidingRules(const engine::Plan& plan, const engine::Inputs& inputs);
  /// The rules that hide key j from query i, joined by " and "; empty for a visible pair.
  [[nodiscard]] std::string hiding(std::size_t batch, std::size_t head, std::size_t i, std::size_t j) const;

 private:
  struct Rule {
    std::string name;
    engine::Plan plan;  ///< with this rule alone
  };
  std::vector<Rule> rules_;
};

}  // namespace attn::analysis

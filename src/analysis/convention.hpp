// One way to compute attention, also ways that attn itself does not offer because they are mistakes; and its rows in plain
// float64.
#pragma once

#include "engine/inputs.hpp"
#include "engine/operands.hpp"
#include "engine/plan.hpp"

#include <attn/options.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace attn::analysis {

/// How packed heads are taken apart: [length, heads * dim] with each head's features side by side, a view of the memory as
/// [heads, length, dim], or [length, dim * heads] with the heads innermost. The last two have been done to the arrays.
enum class HeadSplit { beside, viewed, inside };

/// What the weights of a normalizer sum over.
enum class SumsOver { keys, queries, heads };

/// Inputs and options as `attn run` has them, and what people get wrong beyond these.
struct Convention {
  engine::Inputs inputs;  ///< arrays of float64; the first mask is that of --mask when `has_mask`
  AttentionOptions options;
  bool has_mask = false;
  bool tiled_heads = false;     ///< query head h reads key head h % kv_heads, not h / (heads / kv_heads)
  bool cap_after_mask = false;  ///< the cap turns a masked logit of -inf into -cap
  bool mask_after = false;      ///< hidden weights are set to 0 after the normalizer
  bool big_negative = false;    ///< hidden logits are -1e9, so that a row without a key is a mean of all
  bool merge_missing = false;   ///< [heads, q_len, dim] is read as [q_len, heads * dim] without a transposition
  HeadSplit split = HeadSplit::beside;
  SumsOver sums_over = SumsOver::keys;
};

/// A convention made ready: its plan, whose window may have negative sides, and its rows.
struct PreparedConvention {
  /// Throws what make_plan throws.
  explicit PreparedConvention(const Convention& convention);

  Convention convention;
  engine::Plan plan;
  engine::Operands<double> operands;
};

/// Computes rows of a convention one by one, with the keys of one head at hand. For one thread.
class ConventionRows {
 public:
  /// `prepared` must outlive the rows.
  explicit ConventionRows(const PreparedConvention& prepared);

  /// The output [value_dim] of one query, and its weights [kv_len] (0 where hidden).
  void compute(std::size_t b, std::size_t h, std::size_t i);
  [[nodiscard]] const std::vector<double>& output() const noexcept { return output_; }
  [[nodiscard]] const std::vector<double>& weights() const noexcept { return weights_; }

 private:
  /// Keys and values of one key/value head, and, for sums over queries, what each key's column sums to.
  struct HeadRows {
    std::size_t b = 0, h = 0;
    bool is_loaded = false;
    engine::RowSpan<double> key, value;
    std::vector<double> key_buffer, value_buffer;
  };
  void load(std::size_t b, std::size_t h, HeadRows& rows) const;
  void logits(std::size_t b, std::size_t h, std::size_t i, HeadRows& rows, std::vector<double>& out) const;
  void normalize_over_others(std::size_t b, std::size_t h, std::size_t i);
  void add_to_columns(const std::vector<double>& x);
  void combine(std::size_t b, std::size_t h, std::size_t i);
  [[nodiscard]] std::size_t kv_head(std::size_t h) const noexcept;

  const PreparedConvention& prepared_;
  const engine::Plan& plan_;
  std::vector<HeadRows> rows_;  ///< one, or one for each head where sums run over heads
  std::vector<double> query_;
  std::vector<double> scratch_;
  std::vector<double> weights_;
  std::vector<double> output_;
  std::vector<double> column_maximum_;  ///< [kv_len]
  std::vector<double> column_sum_;
  std::size_t columns_of_ = static_cast<std::size_t>(-1);  ///< batch * heads + head that the columns are of
};

}  // namespace attn::analysis

// One way to compute attention, also ways that attn itself does not offer because they are mistakes; and its rows in plain
// float64.
#pragma once

#include "engine/inputs.hpp"
#include "engine/operands.hpp"
#include "engine/plan.hpp"

#include <attn/options.hpp>

#include <algorithm>
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

/// What comes behind attention with --params: o = y W + b, and the residual, which adds the query as it came in.
struct OutputProjection {
  Array weight;  ///< [in, out] of float64
  Array bias;    ///< [out], or no dimensions
  Array query;   ///< [.., q_len, width] of any type

  [[nodiscard]] std::size_t in() const { return weight.shape()[0]; }
  [[nodiscard]] std::size_t out() const { return weight.shape()[1]; }
};

/// Inputs and options as `attn run` has them, and what people get wrong beyond these.
struct Convention {
  engine::Inputs inputs;  ///< arrays of float64; the first mask is that of --mask when `has_mask`
  AttentionOptions options;
  bool has_mask = false;
  std::shared_ptr<const OutputProjection> projection = nullptr;  ///< null without --params; inputs are projected already
  bool projects_output = true;
  bool tiled_heads = false;      ///< query head h reads key head h % kv_heads, not h / (heads / kv_heads)
  bool cap_after_mask = false;   ///< the cap turns a masked logit of -inf into -cap
  bool mask_after = false;       ///< hidden weights are set to 0 after the normalizer
  bool second_over_all = false;  ///< the second softmax of two is taken over hidden keys too, whose weight was 0
  bool big_negative = false;     ///< hidden logits are -1e9, so that a row without a key is a mean of all
  bool merge_missing = false;    ///< [heads, q_len, dim] is read as [q_len, heads * dim] without a transposition
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
  /// Behind an output projection: row i of batch entry b, made of the heads' outputs. Calls seen(head, query) after each of them
  /// is computed, while weights() are theirs.
  template <class Seen>
  [[nodiscard]] const std::vector<double>& compute_projected(std::size_t b, std::size_t i, Seen seen) {
    const engine::Dims& d = plan_.dims;
    merged_.resize(d.heads * d.value_dim);
    for (std::size_t c = 0; c < d.heads; ++c) {
      // Without a transposition a row is made of whatever comes next in [heads, q_len, dim].
      const bool is_merged = !prepared_.convention.merge_missing;
      const std::size_t h = is_merged ? c : (i * d.heads + c) / d.q_len;
      const std::size_t query = is_merged ? i : (i * d.heads + c) % d.q_len;
      compute(b, h, query);
      std::copy(output_.begin(), output_.end(), merged_.begin() + static_cast<std::ptrdiff_t>(c * d.value_dim));
      seen(h, query);
    }
    return project(b, i);
  }
  [[nodiscard]] const std::vector<double>& weights() const noexcept { return weights_; }

 private:
  /// Keys and values of one key/value head, and, for sums over queries, what each key's column sums to.
  struct HeadRows {
    std::size_t b = 0, h = 0;
    bool is_loaded = false;
    engine::RowSpan<double> key, value;
    std::vector<double> key_buffer, value_buffer;
  };
  struct Columns {
    std::size_t of = static_cast<std::size_t>(-1);  ///< batch * heads + head
    std::vector<double> maximum;                    ///< [kv_len]
    std::vector<double> sum;
  };
  void load(std::size_t b, std::size_t h, HeadRows& rows) const;
  void logits(std::size_t b, std::size_t h, std::size_t i, HeadRows& rows, std::vector<double>& out) const;
  [[nodiscard]] const std::vector<double>& project(std::size_t b, std::size_t i);
  [[nodiscard]] HeadRows& rows_of(std::size_t h) noexcept { return rows_[rows_.size() > 1 ? h : 0]; }
  void normalize_over_others(std::size_t b, std::size_t h, std::size_t i);
  void add_to_columns(const std::vector<double>& x, Columns& columns) const;
  void combine(std::size_t b, std::size_t h, std::size_t i);
  [[nodiscard]] std::size_t kv_head(std::size_t h) const noexcept;

  const PreparedConvention& prepared_;
  const engine::Plan& plan_;
  std::vector<HeadRows> rows_;  ///< one, or one for each head where a row needs all of them
  std::vector<double> query_;
  std::vector<double> scratch_;
  std::vector<double> weights_;
  std::vector<double> output_;
  std::vector<double> merged_;     ///< [heads * value_dim]
  std::vector<double> projected_;  ///< behind the output projection
  std::vector<Columns> columns_;   ///< one, or one for each head
};

}  // namespace attn::analysis

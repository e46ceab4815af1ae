// Observers that judge what another program claims.
#include "analysis/verify.hpp"

#include "analysis/rearrange.hpp"

#include <cmath>
#include <limits>

namespace attn::analysis {

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

}  // namespace

void ClaimedArray::read(std::size_t first, std::size_t count, double* out) const {
  array.convert_to(DType::f64, first, count, reinterpret_cast<std::byte*>(out));
}

RowJudge::RowJudge(const engine::Plan& plan, const engine::Operands<double>& operands, const ErrorBound& bound,
                   const RowClaims& claims)
    : plan_(plan),
      operands_(operands),
      bound_(bound),
      claims_(claims),
      kept_(claims.keep_rows ? plan.dims.batch * plan.dims.heads * plan.dims.q_len : 0),
      logs_(bound.wants_logs() ? plan.dims.batch * plan.dims.heads * plan.dims.q_len : 0) {
  if (claims.heads == nullptr) return;
  heads_output_ = claims.heads->output.mutable_values<double>().data();
  heads_bounds_ = claims.heads->bounds.mutable_values<double>().data();
}

void RowJudge::weights(const engine::Tile<double>& tile) {
  if (logs_.empty()) return;  // another observer wanted them
  for (std::size_t r = 0; r < tile.queries; ++r) {
    LogWeights& logs = logs_[(tile.batch * plan_.dims.heads + tile.head) * plan_.dims.q_len + tile.query + r];
    for (std::size_t j = 0; j < tile.keys; ++j)
      if (const double weight = tile.at(r, j); weight > 0) logs.add(weight);
  }
}

void RowJudge::rows(const engine::RowBlock<double>& block) {
  const engine::Dims& d = plan_.dims;
  const std::size_t width = bound_.extended_dim();
  std::vector<double> query(d.head_dim);
  std::vector<double> added(plan_.options.residual ? d.head_dim : 0);
  std::vector<double> bounds(d.value_dim);
  Tally outputs;
  Tally log_sum_exps;
  for (std::size_t r = 0; r < block.queries; ++r) {
    const std::size_t i = block.query + r;
    const double* q = operands_.query.rows(block.batch, block.head, i, 1, query.data()).data;
    if (plan_.options.residual) operands_.residual.make(block.batch, block.head, i, 1, added.data());
    const double* exact = block.output + r * width;
    const double lse = block.log_sum_exp[r];
    const bool is_empty = block.is_empty[r] != 0;
    const LogWeights logs = logs_.empty() ? LogWeights{} : logs_[(block.batch * d.heads + block.head) * d.q_len + i];
    RowBound row = bound_.row(block.batch, block.head, i, q, added, lse, exact, logs, bounds.data());
    row.is_empty = is_empty;
    if (!kept_.empty()) kept_[(block.batch * d.heads + block.head) * d.q_len + i] = row;
    if (claims_.output != nullptr) judge_output(block.batch, block.head, i, exact, added, is_empty, bounds.data(), outputs);
    if (claims_.heads != nullptr) collect(block.batch, block.head, i, exact, is_empty, bounds.data());
    if (claims_.lse == nullptr) continue;
    const std::size_t at = claims_.lse->first(block.batch, block.head, i);
    double claimed = 0;
    claims_.lse->read(at, 1, &claimed);
    const double allowed = bound_.budget().absolute.value_or(bound_.log_sum_exp(row, lse, block.batch, block.head, i));
    log_sum_exps.take({.index = at, .claimed = claimed, .exact = lse, .bound = allowed});
  }
  if (claims_.output != nullptr) claims_.outputs->join(outputs);
  if (claims_.lse != nullptr) claims_.log_sum_exps->join(log_sum_exps);
}

void RowJudge::collect(std::size_t b, std::size_t h, std::size_t i, const double* exact, bool is_empty,
                       const double* bounds) const {
  const RowStrides& strides = claims_.heads->strides;
  const std::size_t first = b * strides.batch + h * strides.head + i * strides.query;
  const bool is_nan = is_empty && plan_.options.empty_rows == Policy::nan;
  for (std::size_t c = 0; c < plan_.dims.value_dim; ++c) {
    heads_output_[first + c] = is_nan ? kNan : exact[c];
    heads_bounds_[first + c] = bounds[c];
  }
}

void RowJudge::judge_output(std::size_t b, std::size_t h, std::size_t i, const double* exact, std::span<const double> residual,
                            bool is_empty, const double* bounds, Tally& tally) const {
  const std::size_t dim = plan_.dims.value_dim;
  const bool expects_nan = is_empty && plan_.options.empty_rows == Policy::nan;
  const std::size_t first = claims_.output->first(b, h, i);
  std::vector<double> claimed(dim);
  claims_.output->read(first, dim, claimed.data());
  for (std::size_t c = 0; c < dim; ++c) {
    if (expects_nan && std::isnan(claimed[c])) {
      tally.take_expected_nan();
      continue;
    }
    const double y = expects_nan ? kNan : exact[c] + (residual.empty() ? 0.0 : residual[c]);
    tally.take({.index = first + c, .claimed = claimed[c], .exact = y, .bound = bound_.budget().absolute.value_or(bounds[c])});
  }
}

PairJudge::PairJudge(const engine::Plan& plan, const ErrorBound& bound, const RowJudge& rows, const ClaimedArray& claim,
                     const engine::RowSource<double>* values, Judgement& judgement)
    : plan_(plan),
      bound_(bound),
      rows_(rows),
      claim_(claim),
      values_(values),
      judgement_(judgement),
      width_(values == nullptr ? 1 : plan.dims.value_dim),
      next_(plan.dims.batch * plan.dims.heads * plan.dims.q_len) {}

void PairJudge::judge(std::size_t b, std::size_t h, std::size_t i, std::size_t key, double weight, bool is_visible,
                      const double* value, const double* claimed, Tally& tally) const {
  const Budget& u = bound_.budget();
  const double allowed = is_visible ? bound_.weight(rows_.row(b, h, i), weight, b, h, key) : 0;
  const std::size_t first = claim_.first(b, h, i) + key * width_;
  for (std::size_t c = 0; c < width_; ++c) {
    JudgedElement element{.index = first + c, .claimed = claimed[c], .exact = weight, .bound = allowed};
    if (values_ != nullptr) {
      // A hidden key is absent: its value is not even multiplied by 0.
      element.exact = is_visible ? weight * value[c] : 0;
      if (is_visible) element.bound = allowed * std::abs(value[c]) + (u.operand + u.stored) * std::abs(element.exact) + u.tiny;
    }
    if (u.absolute) element.bound = *u.absolute;
    tally.take(element);
  }
}

void PairJudge::judge_left_out(std::size_t b, std::size_t h, std::size_t i, std::size_t begin, std::size_t end, bool is_empty,
                               Tally& tally) const {
  const bool expects_nan = is_empty && plan_.options.empty_rows == Policy::nan;
  std::vector<double> claimed(width_);
  for (std::size_t key = begin; key < end; ++key) {
    claim_.read(claim_.first(b, h, i) + key * width_, width_, claimed.data());
    if (!expects_nan) {
      judge(b, h, i, key, 0, false, nullptr, claimed.data(), tally);
      continue;
    }
    for (std::size_t c = 0; c < width_; ++c) {
      if (std::isnan(claimed[c])) {
        tally.take_expected_nan();
      } else {
        tally.take({.index = claim_.first(b, h, i) + key * width_ + c, .claimed = claimed[c], .exact = kNan, .bound = 0});
      }
    }
  }
}

void PairJudge::weights(const engine::Tile<double>& tile) {
  const engine::Dims& d = plan_.dims;
  std::vector<double> claimed(tile.keys * width_);
  std::vector<double> buffer(values_ == nullptr ? 0 : tile.keys * d.value_dim);
  engine::RowSpan<double> values;
  if (values_ != nullptr) values = values_->rows(tile.batch, d.kv_head(tile.head), tile.key, tile.keys, buffer.data());
  Tally tally;
  for (std::size_t r = 0; r < tile.queries; ++r) {
    const std::size_t i = tile.query + r;
    if (rows_.row(tile.batch, tile.head, i).is_empty) continue;  // left to rows(), as a whole
    std::size_t& next = next_[(tile.batch * d.heads + tile.head) * d.q_len + i];
    judge_left_out(tile.batch, tile.head, i, next, tile.key, false, tally);
    next = tile.key + tile.keys;
    claim_.read(claim_.first(tile.batch, tile.head, i) + tile.key * width_, claimed.size(), claimed.data());
    for (std::size_t j = 0; j < tile.keys; ++j) {
      const double weight = tile.at(r, j);
      const bool is_visible = weight != 0 || plan_.visible(tile.batch, tile.head, i, tile.key + j);
      judge(tile.batch, tile.head, i, tile.key + j, weight, is_visible,
            values_ == nullptr ? nullptr : values.data + j * values.stride, claimed.data() + j * width_, tally);
    }
  }
  judgement_.join(tally);
}

void PairJudge::rows(const engine::RowBlock<double>& block) {
  Tally tally;
  for (std::size_t r = 0; r < block.queries; ++r) {
    const std::size_t i = block.query + r;
    std::size_t& next = next_[(block.batch * plan_.dims.heads + block.head) * plan_.dims.q_len + i];
    judge_left_out(block.batch, block.head, i, next, plan_.dims.kv_len, block.is_empty[r] != 0, tally);
    next = plan_.dims.kv_len;
  }
  judgement_.join(tally);
}

}  // namespace attn::analysis

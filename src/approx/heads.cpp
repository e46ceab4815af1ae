// Head pruning (Michel, Levy, Neubig 2019): heads whose removal changes the output least are not computed.
#include "analysis/writers.hpp"
#include "approx/method.hpp"
#include "approx/sample.hpp"
#include "approx/weight_rows.hpp"
#include "kernels/kernels.hpp"

#include <algorithm>
#include <numeric>

namespace attn::approx {

namespace {

/// Queries that heads are ranked by.
constexpr std::size_t kRanked = 128;

std::size_t kept_heads(const engine::Plan& plan, const Setting& setting) {
  return std::min(static_cast<std::size_t>(setting[0]), plan.dims.heads);
}

/// Squared Euclidean norms of each head's output over all batch entries, for evenly spaced queries: without the head, zeros stand
/// in their place.
template <class T>
std::vector<double> changes_without(const Job<T>& job, const engine::Execution& quiet) {
  const std::size_t length = job.whole.dims.q_len;
  const std::size_t count = std::min(length, kRanked);
  std::vector<std::size_t> queries(count);
  for (std::size_t n = 0; n < count; ++n) queries[n] = n * length / count;
  const Sample<T> sample(job.whole, job.whole_operands, queries);
  engine::Plan plan = sample.plan;
  plan.options.residual = false;
  plan.options.empty_rows = Policy::zero;
  const engine::Dims& d = plan.dims;
  Array output(dtype_of<T>, {d.batch, d.heads, count, d.value_dim});
  analysis::OutputWriter<T, T> writer(
      plan, sample.operands, output.template mutable_values<T>().data(),
      {.batch = d.heads * count * d.value_dim, .head = count * d.value_dim, .query = d.value_dim});
  engine::Observer<T>* const observers[] = {&writer};
  engine::run_tiled<T>(plan, sample.operands, observers, quiet);
  std::vector<double> changes(d.heads);
  const auto values = output.template values<T>();
  const std::size_t in_head = std::max<std::size_t>(count * d.value_dim, 1);
  for (std::size_t n = 0; n < values.size(); ++n) {
    const auto y = static_cast<double>(values[n]);
    changes[n / in_head % d.heads] += y * y;
  }
  return changes;
}

/// One head of an array of rows: where it lies, or a copy.
template <class T>
engine::RowSource<T> head_rows(const engine::RowSource<T>& all, const engine::Dims& d, std::size_t h, std::size_t length,
                               std::vector<T>& copies) {
  if (all.is_direct()) {
    engine::Rows<T> rows = all.direct();
    rows.data += h * rows.head_stride;
    return engine::RowSource<T>(rows, all.dim());
  }
  copies.resize(d.batch * length * all.dim());
  for (std::size_t b = 0; b < d.batch; ++b) all.make(b, h, 0, length, copies.data() + b * length * all.dim());
  return engine::RowSource<T>(engine::Rows<T>{copies.data(), length * all.dim(), length * all.dim(), all.dim()}, all.dim());
}

engine::Plan head_plan(const engine::Plan& all, std::size_t h) {
  engine::Plan plan = all;
  plan.dims.heads = 1;
  plan.dims.kv_heads = 1;
  if (!plan.slopes.empty()) plan.slopes = {all.slopes[h]};
  for (engine::MaskPart& part : plan.masks) {
    if (part.stride[1] == 0) continue;
    const std::size_t skipped = h * part.stride[1];
    // The rest of the array from this head on; the plan it was taken from keeps it alive.
    part.array = Array(part.array.dtype(), {part.array.size() - skipped}, nullptr,
                       part.array.data() + skipped * item_size(part.array.dtype()));
    part.stride[1] = 0;
  }
  return plan;
}

/// Hands on what a single head's walk finds, under the head's own number.
template <class T>
class AsHead : public engine::Observer<T> {
 public:
  AsHead(const Job<T>& job, std::size_t head) : job_(job), head_(head) {}
  [[nodiscard]] engine::Needs needs() const override { return {.output = true}; }
  void rows(const engine::RowBlock<T>& block) override {
    engine::RowBlock<T> own = block;
    own.head = head_;
    for (engine::Observer<T>* observer : job_.observers) observer->rows(own);
  }

 private:
  const Job<T>& job_;
  std::size_t head_;
};

template <class T>
void run_head(const Job<T>& job, std::size_t h, const engine::Execution& quiet) {
  const engine::Dims& d = job.plan.dims;
  std::vector<T> query;
  std::vector<T> key;
  std::vector<T> value;
  const engine::Operands<T> operands{.query = head_rows(job.operands.query, d, h, d.q_len, query),
                                     .key = head_rows(job.operands.key, d, d.kv_head(h), d.kv_len, key),
                                     .value = head_rows(job.operands.value, d, d.kv_head(h), d.kv_len, value),
                                     .residual = {}};
  AsHead<T> as_head(job, h);
  engine::Observer<T>* const observers[] = {&as_head};
  engine::run_tiled<T>(head_plan(job.plan, h), operands, observers, quiet);
}

template <class T>
void run_heads(const Job<T>& job, const Setting& setting) {
  const engine::Dims& d = job.plan.dims;
  const std::size_t kept = kept_heads(job.plan, setting);
  if (kept == d.heads || d.q_len == 0) return engine::run_tiled<T>(job.plan, job.operands, job.observers, job.execution);
  engine::Execution quiet = job.execution;
  quiet.progress = {};
  const std::vector<double> changes = changes_without(job, quiet);
  std::vector<std::size_t> order(d.heads);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return changes[a] > changes[b]; });
  for (std::size_t n = 0; n < kept; ++n) run_head(job, order[n], quiet);
  const std::vector<T> zeros(kernels::kLanes * d.value_dim);
  for (std::size_t n = kept; n < d.heads; ++n)
    for (std::size_t b = 0; b < d.batch; ++b)
      for (std::size_t i = 0; i < d.q_len; i += kernels::kLanes)
        hand_out_rows(job, {.output = true},
                      {.batch = b, .head = order[n], .first = i, .count = std::min(kernels::kLanes, d.q_len - i)}, zeros.data(),
                      static_cast<const T*>(nullptr));
}

std::string heads_refusal(const engine::Plan& plan, const Setting& /*setting*/) {
  return plan.dims.heads > 1 ? "" : "there is a single head, and without it nothing is left";
}

Cost heads_cost(const engine::Plan& plan, const Setting& setting, const Means& means) {
  const engine::Dims& d = plan.dims;
  const double part = d.heads == 0 ? 1 : static_cast<double>(kept_heads(plan, setting)) / static_cast<double>(d.heads);
  const std::size_t ranked = std::min(d.q_len, kRanked);
  const double sampled = d.q_len == 0 || part == 1 ? 0 : static_cast<double>(ranked) / static_cast<double>(d.q_len);
  return {.flops = exact_flops(plan) * (part + sampled),
          .bytes = tiled_bytes(plan, means) + (d.batch * d.heads * ranked * (d.head_dim + d.value_dim) +
                                               d.batch * (d.q_len * d.head_dim + d.kv_len * (d.head_dim + d.value_dim))) *
                                                  item_size(means.type)};
}

}  // namespace

const Method& heads_method() {
  static const Method method{
      .name = "heads",
      .summary = "only the heads whose removal would change the output most",
      .parameters = {{.name = "KEPT",
                      .fallback = 4,
                      .least = 1,
                      .most = 0x1p24,
                      .meaning = "heads that are computed; the others give zeros"}},
      .offers = {.output = true},
      .refusal = heads_refusal,
      .cost = heads_cost,
      .settings = [](const engine::Plan& plan,
                     const Setting& given) { return rising_settings(given, 1, std::max<std::size_t>(plan.dims.heads, 1)); },
      .run_f32 = run_heads<float>,
      .run_f64 = run_heads<double>};
  return method;
}

}  // namespace attn::approx

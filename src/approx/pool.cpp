// Keys pooled by clusters: each cluster is one key, the mean of its keys, with the mean of their values, and weighs as many as it
// holds.
#include "approx/landmarks.hpp"
#include "approx/method.hpp"
#include "approx/weight_rows.hpp"
#include "base/portable_math.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <mutex>
#include <tuple>

namespace attn::approx {

namespace {

std::size_t cluster_count(const Setting& setting, const engine::Plan& plan) {
  return std::min(static_cast<std::size_t>(setting[0]), plan.dims.kv_len);
}

/// Which cluster each key belongs to, and what the clusters are.
template <class T>
struct Clusters {
  std::vector<std::size_t> of;     ///< [batch, kv_heads, kv_len]
  Array keys;                      ///< [batch, kv_heads, clusters, head_dim]
  std::vector<std::size_t> count;  ///< [batch, kv_heads, clusters]
};

/// Takes the nearest centroid of each key from a walk with keys as queries.
template <class T>
class Nearest : public engine::Observer<T> {
 public:
  Nearest(const engine::Plan& plan, std::vector<std::size_t>& nearest) : plan_(plan), nearest_(nearest) {}
  [[nodiscard]] engine::Needs needs() const override { return {.top = 1}; }
  void rows(const engine::RowBlock<T>& block) override {
    const engine::Dims& d = plan_.dims;
    for (std::size_t i = 0; i < block.queries; ++i)
      // A key that holds NaN is near to none.
      nearest_[(block.batch * d.heads + block.head) * d.q_len + block.query + i] =
          block.top_count[i] == 0 ? 0 : block.top[i * block.top_step].key;
  }

 private:
  const engine::Plan& plan_;
  std::vector<std::size_t>& nearest_;
};

/// The means of the rows of each cluster; clusters without any keep what they had.
template <class T>
void take_means(const engine::RowSource<T>& rows, const engine::Plan& plan, std::size_t b, std::size_t h,
                const Clusters<T>& clusters, std::size_t count, Array& means) {
  const engine::Dims& d = plan.dims;
  const std::size_t head = b * d.kv_heads + h;
  const std::size_t dim = rows.dim();
  std::vector<double> sums(count * dim);
  std::vector<T> row(dim);
  for (std::size_t j = 0; j < plan.key_length[b]; ++j) {
    rows.make(b, h, j, 1, row.data());
    double* sum = sums.data() + clusters.of[head * d.kv_len + j] * dim;
    for (std::size_t f = 0; f < dim; ++f) sum[f] += static_cast<double>(row[f]);
  }
  T* to = means.template mutable_values<T>().data() + head * count * dim;
  for (std::size_t c = 0; c < count; ++c) {
    const std::size_t members = clusters.count[head * count + c];
    for (std::size_t f = 0; f < dim && members > 0; ++f)
      to[c * dim + f] = static_cast<T>(sums[c * dim + f] / static_cast<double>(members));
  }
}

template <class T>
void count_members(const engine::Plan& plan, std::size_t count, Clusters<T>& clusters) {
  const engine::Dims& d = plan.dims;
  clusters.count.assign(d.batch * d.kv_heads * count, 0);
  for (std::size_t head = 0; head < d.batch * d.kv_heads; ++head)
    for (std::size_t j = 0; j < plan.key_length[head / d.kv_heads]; ++j)
      ++clusters.count[head * count + clusters.of[head * d.kv_len + j]];
}

/// Lloyd's iteration (1982) from evenly spaced keys. The assignment to the nearest is a walk of the tiled engine.
template <class T>
Clusters<T> cluster_keys(const Job<T>& job, std::size_t count, std::size_t rounds) {
  const engine::Dims& d = job.plan.dims;
  Clusters<T> clusters;
  clusters.of.assign(d.batch * d.kv_heads * d.kv_len, 0);
  clusters.keys = Array(dtype_of<T>, {d.batch, d.kv_heads, count, d.head_dim});
  T* const keys = clusters.keys.template mutable_values<T>().data();
  for (std::size_t head = 0; head < d.batch * d.kv_heads; ++head) {
    const std::size_t length = job.plan.key_length[head / d.kv_heads];
    for (std::size_t c = 0; c < std::min(count, length); ++c)
      job.operands.key.make(head / d.kv_heads, head % d.kv_heads, c * length / std::min(count, length), 1,
                            keys + (head * count + c) * d.head_dim);
  }
  engine::Plan plan;
  plan.dims = d;
  plan.dims.heads = d.kv_heads;
  plan.dims.q_len = d.kv_len;
  plan.dims.kv_len = count;
  plan.dims.value_dim = d.head_dim;
  plan.options.score = Score::sqeuclidean;
  plan.query_offset.assign(d.batch, 0);
  for (const std::size_t length : job.plan.key_length) plan.key_length.push_back(std::min(count, length));
  engine::Execution quiet = job.execution;
  quiet.progress = {};
  for (std::size_t round = 0; round < rounds; ++round) {
    Nearest<T> nearest(plan, clusters.of);
    engine::Observer<T>* const observers[] = {&nearest};
    const engine::RowSource<T> centroids = rows_of<T>(clusters.keys);
    engine::run_tiled<T>(plan, {.query = job.operands.key, .key = centroids, .value = centroids, .residual = {}}, observers,
                         quiet);
    count_members(job.plan, count, clusters);
    engine::for_each_task(d.batch * d.kv_heads, quiet, [&](std::size_t head) {
      take_means(job.operands.key, job.plan, head / d.kv_heads, head % d.kv_heads, clusters, count, clusters.keys);
    });
  }
  return clusters;
}

/// Rows of weights over clusters become rows over keys: each key has an equal share of its cluster's.
template <class T>
class Spread : public engine::Observer<T> {
 public:
  Spread(const Job<T>& job, const Clusters<T>& clusters, std::size_t count) : job_(job), clusters_(clusters), count_(count) {
    for (const engine::Observer<T>* observer : job.observers) wanted_ |= observer->needs();
  }
  [[nodiscard]] engine::Needs needs() const override { return {.output = wanted_.output, .weights = true}; }

  void weights(const engine::Tile<T>& tile) override {
    const std::scoped_lock lock(mutex_);
    for (std::size_t i = 0; i < tile.queries; ++i) {
      std::vector<T>& row = rows_[{tile.batch, tile.head, tile.query + i}];
      row.resize(count_);
      for (std::size_t c = 0; c < tile.keys; ++c) row[tile.key + c] = tile.at(i, c);
    }
  }

  void rows(const engine::RowBlock<T>& block) override {
    const engine::Dims& d = job_.plan.dims;
    const std::size_t head = block.batch * d.kv_heads + d.kv_head(block.head);
    for (std::size_t i = 0; i < block.queries; ++i) {
      const std::vector<T> pooled = take(block.batch, block.head, block.query + i);
      std::vector<T> row(d.kv_len, T(0));
      for (std::size_t j = 0; j < job_.plan.key_length[block.batch]; ++j) {
        const std::size_t c = clusters_.of[head * d.kv_len + j];
        row[j] = pooled[c] / static_cast<T>(clusters_.count[head * count_ + c]);
      }
      hand_out_rows(job_, wanted_, {.batch = block.batch, .head = block.head, .first = block.query + i, .count = 1},
                    block.output == nullptr ? nullptr : block.output + i * d.value_dim, row.data());
    }
  }

 private:
  std::vector<T> take(std::size_t b, std::size_t h, std::size_t i) {
    const std::scoped_lock lock(mutex_);
    auto found = rows_.extract({b, h, i});
    return found.empty() ? std::vector<T>(count_) : std::move(found.mapped());
  }

  const Job<T>& job_;
  const Clusters<T>& clusters_;
  std::size_t count_;
  engine::Needs wanted_;
  std::mutex mutex_;
  std::map<std::tuple<std::size_t, std::size_t, std::size_t>, std::vector<T>> rows_;
};

template <class T>
T log_of(std::size_t count) {
  return count == 0 ? -std::numeric_limits<T>::infinity() : static_cast<T>(portable_log(static_cast<double>(count)));
}

/// The logarithm of how many keys a cluster holds, for every head; -inf hides clusters without any.
template <class T>
engine::MaskPart log_counts(const engine::Dims& d, const Clusters<T>& clusters, std::size_t count) {
  engine::MaskPart part{.kind = engine::MaskKind::add,
                        .array = Array(dtype_of<T>, {d.batch, d.heads, 1, count}),
                        .stride = {d.heads * count, count, 0, 1},
                        .key_count = count};
  T* to = part.array.template mutable_values<T>().data();
  for (std::size_t b = 0; b < d.batch; ++b)
    for (std::size_t h = 0; h < d.heads; ++h)
      for (std::size_t c = 0; c < count; ++c) *to++ = log_of<T>(clusters.count[(b * d.kv_heads + d.kv_head(h)) * count + c]);
  return part;
}

template <class T>
void run_pool(const Job<T>& job, const Setting& setting) {
  const engine::Dims& d = job.plan.dims;
  const std::size_t count = cluster_count(setting, job.plan);
  if (d.batch == 0 || count == 0) return engine::run_tiled<T>(job.plan, job.operands, job.observers, job.execution);
  const Clusters<T> clusters = cluster_keys<T>(job, count, static_cast<std::size_t>(setting[1]));
  Array values(dtype_of<T>, {d.batch, d.kv_heads, count, d.value_dim});
  for (std::size_t head = 0; head < d.batch * d.kv_heads; ++head)
    take_means(job.operands.value, job.plan, head / d.kv_heads, head % d.kv_heads, clusters, count, values);
  engine::Plan pooled = job.plan;
  pooled.dims.kv_len = count;
  for (std::size_t& length : pooled.key_length) length = std::min(length, count);
  pooled.masks = {log_counts(d, clusters, count)};
  const engine::Operands<T> operands{.query = job.operands.query,
                                     .key = rows_of<T>(clusters.keys),
                                     .value = rows_of<T>(values),
                                     .residual = job.operands.residual};
  const bool looks_at_weights =
      std::ranges::any_of(job.observers, [](const auto* o) { return o->needs().weights || o->needs().notes(); });
  if (!looks_at_weights) return engine::run_tiled<T>(pooled, operands, job.observers, job.execution);
  Spread<T> spread(job, clusters, count);
  engine::Observer<T>* const observers[] = {&spread};
  engine::run_tiled<T>(pooled, operands, observers, job.execution);
}

std::string pool_refusal(const engine::Plan& plan, const Setting& /*setting*/) {
  const AttentionOptions& o = plan.options;
  if (o.normalize != Normalizer::softmax && o.normalize != Normalizer::softmax1)
    return "a cluster weighs as its keys together for softmax and softmax1 only";
  if (o.causal || !o.window.open()) return "a cluster holds keys from anywhere, of which a query would see some and not others";
  if (plan.has_bias()) return "masks, biases, segments and ALiBi are of single keys, and a cluster holds several";
  return "";
}

Cost pool_cost(const engine::Plan& plan, const Setting& setting, const Means& means) {
  const engine::Dims& d = plan.dims;
  const std::size_t count = cluster_count(setting, plan);
  const auto clusters = static_cast<double>(count);
  const double assigned =
      setting[1] * static_cast<double>(d.batch * d.kv_heads * d.kv_len) * clusters * 3 * static_cast<double>(d.head_dim);
  const double attended =
      static_cast<double>(d.batch * d.heads * d.q_len) * clusters * 2 * static_cast<double>(d.head_dim + d.value_dim);
  return {.flops = assigned + attended,
          .bytes = tiled_bytes(plan, means) + d.batch * d.kv_heads * d.kv_len * sizeof(std::size_t) +
                   d.batch * count * (d.kv_heads * (d.head_dim + d.value_dim) + d.heads) * item_size(means.type) +
                   count * (d.head_dim + d.value_dim) * sizeof(double) * means.threads};
}

}  // namespace

const Method& pool_method() {
  static const Method method{
      .name = "pool",
      .summary = "clusters of keys in the place of keys",
      .parameters =
          {{.name = "CLUSTERS", .fallback = 256, .least = 1, .most = 0x1p24, .meaning = "clusters of the keys of each head"},
           {.name = "ROUNDS", .fallback = 2, .least = 1, .most = 100, .meaning = "rounds of Lloyd's iteration"}},
      .offers = {.output = true, .log_sum_exp = false, .weights = true, .facts = true, .top = SIZE_MAX},
      .refusal = pool_refusal,
      .cost = pool_cost,
      .settings = [](const engine::Plan& plan,
                     const Setting& given) { return rising_settings(given, 8, std::max<std::size_t>(plan.dims.kv_len, 1)); },
      .run_f32 = run_pool<float>,
      .run_f64 = run_pool<double>};
  return method;
}

}  // namespace attn::approx

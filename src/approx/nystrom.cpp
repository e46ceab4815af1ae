// Nystroem attention (Xiong, Zeng, Chakraborty, Tan, Fung, Li, Singh 2021): all pairs from those with a few landmarks.
#include "analysis/writers.hpp"
#include "approx/landmarks.hpp"
#include "approx/method.hpp"

#include <algorithm>

namespace attn::approx {

namespace {

/// More than an inverse takes that float64 has room for.
constexpr int kStepsForExact = 60;

std::size_t landmark_count(const Setting& setting) { return static_cast<std::size_t>(setting[0]); }

/// Softmax over all keys, or all key landmarks: what the three factors have in common.
engine::Plan plain_plan(const engine::Plan& plan, std::size_t queries, std::size_t keys, std::vector<std::size_t> key_length) {
  engine::Plan plain = plan;
  plain.dims.q_len = queries;
  plain.dims.kv_len = keys;
  plain.key_length = std::move(key_length);
  plain.chosen.clear();
  plain.options.residual = false;
  plain.options.empty_rows = Policy::zero;
  return plain;
}

std::vector<std::size_t> at_most(std::vector<std::size_t> lengths, std::size_t most) {
  for (std::size_t& length : lengths) length = std::min(length, most);
  return lengths;
}

/// softmax(Q~ K~^T) of all heads in float64.
Array middle_factor(const engine::Plan& plan, const Array& query, const Array& key, const engine::Execution& execution) {
  const engine::Dims& d = plan.dims;
  const Array q = query.converted(DType::f64);
  const Array k = key.converted(DType::f64);
  engine::Operands<double> operands{
      .query = rows_of<double>(q), .key = rows_of<double>(k), .value = rows_of<double>(k), .residual = {}};
  engine::Plan weights_only = plan;
  weights_only.dims.value_dim = d.head_dim;
  Array weights(DType::f64, {d.batch, d.heads, d.q_len, d.kv_len});
  using Writer = analysis::PairWriter<double, double>;
  Writer writer(weights_only, Writer::What::weights, weights.mutable_values<double>().data());
  engine::Observer<double>* const observers[] = {&writer};
  engine::run_tiled<double>(weights_only, operands, observers, execution);
  return weights;
}

/// softmax(Q~ K^T) V: [batch, heads, landmarks, value_dim].
template <class T>
Array right_factor(const engine::Plan& plan, const Array& query, const Job<T>& job) {
  const engine::Dims& d = plan.dims;
  engine::Operands<T> operands = job.operands;
  operands.query = rows_of<T>(query);
  Array output(dtype_of<T>, {d.batch, d.heads, d.q_len, d.value_dim});
  analysis::OutputWriter<T, T> writer(
      plan, operands, output.template mutable_values<T>().data(),
      {.batch = d.heads * d.q_len * d.value_dim, .head = d.q_len * d.value_dim, .query = d.value_dim});
  engine::Observer<T>* const observers[] = {&writer};
  engine::run_tiled<T>(plan, operands, observers, job.execution);
  return output;
}

/// The inverse of a head's middle factor, times its right one.
template <class T>
void solve(const engine::Plan& middle_plan, const Array& middle, const Array& right, std::size_t b, std::size_t head, int steps,
           Array& values) {
  const engine::Dims& d = middle_plan.dims;
  const std::size_t keys = middle_plan.key_length[b];
  const std::size_t width = right.shape().back();
  const std::size_t place = b * d.heads + head;
  Square a{d.q_len, keys, std::vector<double>(d.q_len * keys)};
  for (std::size_t i = 0; i < d.q_len; ++i)
    std::copy_n(middle.values<double>().data() + (place * d.q_len + i) * d.kv_len, keys, a.values.data() + i * keys);
  Square r{d.q_len, width, std::vector<double>(d.q_len * width)};
  const auto from = right.values<T>();
  for (std::size_t n = 0; n < r.values.size(); ++n) r.values[n] = static_cast<double>(from[place * r.values.size() + n]);
  const Square z = product(pseudo_inverse(a, steps), r);
  const auto to = values.mutable_values<T>();
  for (std::size_t n = 0; n < z.values.size(); ++n) to[place * d.kv_len * width + n] = static_cast<T>(z.values[n]);
}

template <class T>
void run_nystrom(const Job<T>& job, const Setting& setting) {
  const engine::Dims& d = job.plan.dims;
  const std::size_t queries = std::min(landmark_count(setting), d.q_len);
  const std::size_t keys = std::min(landmark_count(setting), d.kv_len);
  if (d.batch == 0 || queries == 0 || keys == 0)
    return engine::run_tiled<T>(job.plan, job.operands, job.observers, job.execution);
  engine::Execution quiet = job.execution;
  quiet.progress = {};
  const std::vector<std::size_t> all_queries(d.batch, d.q_len);
  const Array query = means_of_pieces<T>(job.operands.query, d.heads, all_queries, queries, 1);
  // Each query head has values of its own in the end, and so keys.
  const Array key = means_of_pieces<T>(job.operands.key, d.kv_heads, job.plan.key_length, keys, d.heads / d.kv_heads);
  const engine::Plan right_plan = plain_plan(job.plan, queries, d.kv_len, job.plan.key_length);
  const Array right = right_factor<T>(right_plan, query, job);
  engine::Plan middle_plan = plain_plan(job.plan, queries, keys, at_most(job.plan.key_length, keys));
  middle_plan.dims.kv_heads = d.heads;
  const Array middle = middle_factor(middle_plan, query, key, quiet);
  Array values(dtype_of<T>, {d.batch, d.heads, keys, d.value_dim});
  // Where everything is a landmark the answer is exact, as nearly as the inverse is one.
  const bool is_whole = queries == d.q_len && keys == d.kv_len;
  const int steps = is_whole ? kStepsForExact : static_cast<int>(setting[1]);
  engine::for_each_task(d.batch * d.heads, quiet, [&](std::size_t head) {
    solve<T>(middle_plan, middle, right, head / d.heads, head % d.heads, steps, values);
  });
  engine::Plan left_plan = plain_plan(job.plan, d.q_len, keys, middle_plan.key_length);
  left_plan.dims.kv_heads = d.heads;
  const engine::Operands<T> operands{
      .query = job.operands.query, .key = rows_of<T>(key), .value = rows_of<T>(values), .residual = job.operands.residual};
  engine::run_tiled<T>(left_plan, operands, job.observers, job.execution);
}

std::string nystrom_refusal(const engine::Plan& plan, const Setting& /*setting*/) {
  const AttentionOptions& o = plan.options;
  if (o.normalize != Normalizer::softmax) return "it is made for softmax, and --normalize is another";
  if (o.causal || !o.window.open())
    return "its landmarks are means over the whole sequence, and a query that sees a part of it would see all";
  if (plan.has_bias()) return "masks, biases, segments and ALiBi are of single pairs, and it computes none";
  return "";
}

Cost nystrom_cost(const engine::Plan& plan, const Setting& setting, const Means& means) {
  const engine::Dims& d = plan.dims;
  const std::size_t queries = std::min(landmark_count(setting), d.q_len);
  const std::size_t keys = std::min(landmark_count(setting), d.kv_len);
  const double steps = setting[1];  // of five products each
  const auto q = static_cast<double>(queries);
  const auto k = static_cast<double>(keys);
  const double pairs = q * static_cast<double>(d.kv_len) + static_cast<double>(d.q_len) * k;
  const std::uint64_t item = item_size(means.type);
  const std::uint64_t heads = d.batch * d.heads;
  return {
      .flops = static_cast<double>(heads) * (2 * pairs * static_cast<double>(d.head_dim + d.value_dim) + steps * 10 * q * q * k),
      .bytes = tiled_bytes(plan, means) + heads * (queries + keys) * (d.head_dim + d.value_dim) * (item + sizeof(double)) +
               (heads + 8 * means.threads) * queries * keys * sizeof(double)};
}

}  // namespace

const Method& nystrom_method() {
  static const Method method{
      .name = "nystrom",
      .summary = "three small softmax matrices with landmarks, which are means of neighbouring queries and keys",
      .parameters =
          {{.name = "LANDMARKS", .fallback = 64, .least = 1, .most = 4096, .meaning = "landmark queries, and as many keys"},
           {.name = "STEPS",
            .fallback = 6,
            .least = 1,
            .most = 60,
            .meaning = "steps towards the inverse between them, as many as it takes where all are landmarks"}},
      .offers = {.output = true},
      .refusal = nystrom_refusal,
      .cost = nystrom_cost,
      .settings =
          [](const engine::Plan& plan, const Setting& given) {
            return rising_settings(given, 8, std::clamp<std::size_t>(std::max(plan.dims.q_len, plan.dims.kv_len), 1, 512));
          },
      .run_f32 = run_nystrom<float>,
      .run_f64 = run_nystrom<double>};
  return method;
}

}  // namespace attn::approx

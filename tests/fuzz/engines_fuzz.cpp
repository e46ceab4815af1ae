// Differential: the tiled engine against the reference within an error bound of rounding, and against itself, to the bit, under
// other numbers of threads, vector targets and observers, and with NaN behind every mask.
#include "analysis/writers.hpp"
#include "engine/engine.hpp"
#include "engine/prepare.hpp"
#include "fuzz/engine_case.hpp"
#include "fuzz/fuzz.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <fmt/format.h>

using namespace attn;
using engine::Dims;
using engine::Execution;
using engine::Inputs;
using engine::Operands;
using engine::Plan;

namespace {

/// All that can be written of one attention; what was not asked for is empty.
template <class T>
struct Results {
  std::vector<T> output, weights, masked;
  std::vector<double> log_sum_exp;
};

template <class T>
class LseKeeper : public engine::Observer<T> {
 public:
  LseKeeper(const Dims& dims, std::vector<double>& values) : dims_(dims), values_(values) {}
  [[nodiscard]] engine::Needs needs() const override { return {.log_sum_exp = true}; }
  void rows(const engine::RowBlock<T>& block) override {
    const std::size_t first = (block.batch * dims_.heads + block.head) * dims_.q_len + block.query;
    for (std::size_t i = 0; i < block.queries; ++i) values_[first + i] = block.log_sum_exp[i];
  }

 private:
  const Dims& dims_;
  std::vector<double>& values_;
};

enum class Want { everything, output_only };

template <class T>
Results<T> attend(const Plan& plan, const Operands<T>& operands, bool tiled, Want want, const Execution& execution) {
  const Dims& d = plan.dims;
  const std::size_t rows = d.batch * d.heads * d.q_len;
  Results<T> results;
  results.output.resize(rows * d.value_dim);
  using Pairs = analysis::PairWriter<T, T>;
  analysis::OutputWriter<T, T> output(plan, operands, results.output.data(),
                                      {d.heads * d.q_len * d.value_dim, d.q_len * d.value_dim, d.value_dim});
  std::vector<engine::Observer<T>*> observers{&output};
  if (want == Want::everything) {
    results.weights.resize(rows * d.kv_len);
    results.masked.resize(rows * d.kv_len);
    results.log_sum_exp.resize(rows);
  }
  Pairs weights(plan, Pairs::What::weights, results.weights.data());
  Pairs masked(plan, Pairs::What::masked_scores, results.masked.data());
  LseKeeper<T> lse(d, results.log_sum_exp);
  if (want == Want::everything) observers.insert(observers.end(), {&weights, &masked, &lse});
  if constexpr (std::is_same_v<T, double>) {
    if (!tiled) {
      engine::run_reference(plan, operands, observers, execution);
      return results;
    }
  }
  fuzz::require(tiled, "the reference computes in double");
  engine::run_tiled<T>(plan, operands, observers, execution);
  return results;
}

template <class T>
double length_of(const std::vector<T>& row) {
  double sum = 0;
  for (const T x : row) sum += static_cast<double>(x) * static_cast<double>(x);
  return std::isnan(sum) ? 0 : std::sqrt(sum);
}

/// What rounding may do to the logits of query i: `epsilon` times the size of all that is added up on the way to them.
double logit_error(const Plan& plan, const Operands<double>& operands, std::size_t b, std::size_t h, std::size_t i,
                   double epsilon) {
  const Dims& d = plan.dims;
  const double query = length_of(operands.query.row(b, h, i));
  double largest = 0;
  for (std::size_t j = 0; j < d.kv_len; ++j) {
    if (!plan.visible(b, h, i, j)) continue;
    const double key = length_of(operands.key.row(b, d.kv_head(h), j));
    double score = query * key;
    if (plan.options.score == Score::euclidean) score = query + key;
    if (plan.options.score == Score::sqeuclidean) score = (query + key) * (query + key);
    largest = std::max(largest, std::abs(plan.factor) * score + std::abs(plan.bias(b, h, i, j)));
  }
  return 64 * epsilon * (1 + largest);
}

bool near(double actual, double expected, double tolerance) {
  return actual == expected || (std::isnan(actual) && std::isnan(expected)) || std::abs(actual - expected) <= tolerance;
}

template <class T>
void compare_row(const Plan& plan, const Operands<double>& operands, const Results<double>& expected, const Results<T>& actual,
                 std::size_t b, std::size_t h, std::size_t i) {
  const Dims& d = plan.dims;
  const auto agree = [&](const char* what, std::size_t at, T actual_value, double wanted, double tolerance) {
    const auto value = static_cast<double>(actual_value);
    if (near(value, wanted, tolerance)) return;
    const AttentionOptions& o = plan.options;
    std::string seen;
    for (std::size_t j = 0; j < d.kv_len; ++j) seen += plan.visible(b, h, i, j) ? '1' : '0';
    fuzz::require(false,
                  fmt::format("{} {} of batch {} head {} query {}: {} against {} (tolerance {}); float{}, score {}, normalize "
                              "{}, factor {}, softcap {}, visible keys {}",
                              what, at, b, h, i, value, wanted, tolerance, sizeof(T) * 8, static_cast<int>(o.score),
                              static_cast<int>(o.normalize), plan.factor, o.softcap, seen));
  };
  const auto epsilon = static_cast<double>(std::numeric_limits<T>::epsilon());
  const double error = logit_error(plan, operands, b, h, i, epsilon);
  const std::size_t row = (b * d.heads + h) * d.q_len + i;
  const double lse = expected.log_sum_exp[row];
  const bool empty = lse == -std::numeric_limits<double>::infinity();  // may hold what --empty-rows says
  agree("log-sum-exp", 0, static_cast<T>(actual.log_sum_exp[row]), lse, error + 64 * epsilon * std::abs(lse));
  std::vector<double> tolerance(d.value_dim, 64 * epsilon * (plan.options.residual ? 4.0 : 0.0));
  for (std::size_t j = 0; j < d.kv_len; ++j) {
    const std::size_t pair = row * d.kv_len + j;
    const double weight = expected.weights[pair];
    const bool raw = plan.options.normalize == Normalizer::none;
    const double allowed =
        raw ? error : std::expm1(2 * error) * std::abs(weight) + 16 * static_cast<double>(std::numeric_limits<T>::min());
    agree("weight", j, actual.weights[pair], weight, allowed);
    agree("score", j, actual.masked[pair], expected.masked[pair], error);
    if (!plan.visible(b, h, i, j) && !empty) fuzz::require(actual.weights[pair] == 0 && weight == 0, "a masked key has a weight");
    const std::vector<double> value = operands.value.row(b, d.kv_head(h), j);
    for (std::size_t c = 0; c < d.value_dim; ++c)
      tolerance[c] += (allowed + 64 * epsilon * std::abs(weight)) * std::abs(value[c]);
  }
  for (std::size_t c = 0; c < d.value_dim; ++c)
    agree("output", c, actual.output[row * d.value_dim + c], expected.output[row * d.value_dim + c], tolerance[c]);
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

/// The inputs with NaN in the new keys, and their values, that no query sees.
Inputs poisoned(const Plan& plan, const Inputs& inputs) {
  const Dims& d = plan.dims;
  Inputs result = inputs;
  result.key.array = inputs.key.array.converted(DType::f64);
  result.value.array = inputs.value.array.converted(DType::f64);
  const engine::HeadLayout key = engine::head_layout(inputs.key, inputs.kv_heads);
  const engine::HeadLayout value = engine::head_layout(inputs.value, inputs.kv_heads);
  const std::size_t past = d.kv_len - key.length;
  const auto spoil = [](Array& array, const engine::HeadLayout& layout, std::size_t b, std::size_t h, std::size_t j) {
    const std::size_t first = b * layout.batch_stride + h * layout.head_stride + j * layout.row_stride;
    const std::span<double> row = array.mutable_values<double>().subspan(first, layout.dim);
    std::fill(row.begin(), row.end(), std::numeric_limits<double>::quiet_NaN());
  };
  for (std::size_t b = 0; b < d.batch; ++b)
    for (std::size_t kv = 0; kv < d.kv_heads; ++kv)
      for (std::size_t j = past; j < d.kv_len; ++j) {
        bool seen = false;
        for (std::size_t h = 0; h < d.heads && !seen; ++h)
          for (std::size_t i = 0; i < d.q_len && !seen && d.kv_head(h) == kv; ++i) seen = plan.visible(b, h, i, j);
        if (seen) continue;
        spoil(result.key.array, key, b, kv, j - past);
        spoil(result.value.array, value, b, kv, j - past);
      }
  return result;
}

/// Another way to the same bits.
template <class T>
void compare_variant(std::size_t variant, const Plan& plan, const Inputs& inputs, const Operands<T>& operands,
                     const Results<T>& known) {
  engine::Findings findings;
  Execution execution;
  switch (variant % 4) {
    case 0:
      execution.threads = 3;
      fuzz::require(same_bits(attend<T>(plan, operands, true, Want::output_only, execution).output, known.output),
                    "3 threads and one observer give other bits");
      return;
    case 1: {
      const std::vector<std::string> isas = engine::available_isas();
      execution.isa = isas[variant / 4 % isas.size()];
      const Results<T> other = attend<T>(plan, operands, true, Want::everything, execution);
      fuzz::require(same_bits(other.output, known.output) && same_bits(other.weights, known.weights) &&
                        same_bits(other.log_sum_exp, known.log_sum_exp),
                    "the target " + execution.isa + " gives other bits");
      return;
    }
    default: {
      const Inputs spoiled = poisoned(plan, inputs);
      const Operands<T> other_operands = engine::prepare<T>(plan, spoiled, findings);
      const Results<T> other = attend<T>(plan, other_operands, true, Want::everything, execution);
      fuzz::require(same_bits(other.output, known.output) && same_bits(other.weights, known.weights) &&
                        same_bits(other.masked, known.masked) && same_bits(other.log_sum_exp, known.log_sum_exp),
                    "NaN behind a mask reaches a result");
    }
  }
}

template <class T>
void check(std::size_t variant, const fuzz::EngineCase& drawn, const Plan& exact, const Operands<double>& exact_operands,
           const Results<double>& expected) {
  engine::Findings findings;
  const Plan plan = engine::make_plan(drawn.inputs, drawn.options, dtype_of<T>);
  const Operands<T> operands = engine::prepare<T>(plan, drawn.inputs, findings);
  const Results<T> actual = attend<T>(plan, operands, true, Want::everything, {});
  const Dims& d = exact.dims;
  for (std::size_t b = 0; b < d.batch; ++b)
    for (std::size_t h = 0; h < d.heads; ++h)
      for (std::size_t i = 0; i < d.q_len; ++i) compare_row<T>(exact, exact_operands, expected, actual, b, h, i);
  compare_variant<T>(variant, plan, drawn.inputs, operands, actual);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Choices choices({data, size});
  const bool in_double = choices.one_in(3);
  const std::size_t variant = choices.below(256);
  const fuzz::EngineCase drawn = fuzz::draw_case(choices);
  Plan plan;
  if (!fuzz::attempt({Status::usage, Status::data}, [&] { plan = engine::make_plan(drawn.inputs, drawn.options, DType::f64); }))
    return 0;
  engine::Findings findings;
  const Operands<double> operands = engine::prepare<double>(plan, drawn.inputs, findings);
  const Results<double> expected = attend<double>(plan, operands, false, Want::everything, {});
  if (in_double) {
    check<double>(variant, drawn, plan, operands, expected);
  } else {
    check<float>(variant, drawn, plan, operands, expected);
  }
  return 0;
}

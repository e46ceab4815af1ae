// The walk over tokens of recurrent linear attention: plain in float64, and by vector kernels.
#include "engine/recurrence.hpp"

#include "base/groups.hpp"
#include "engine/row_source.hpp"
#include "kernels/kernels.hpp"
#include "kernels/recurrence.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

namespace attn::engine {

namespace {

constexpr std::size_t kLine = 64;    ///< bytes of a cache line
constexpr std::size_t kTokens = 16;  ///< handed to a kernel at once: their rows stay in the cache beside the state

/// What both walks read, as T, and where they write, as D.
template <class T, class D>
class Ends {
 public:
  Ends(const RecurrentPlan& of, const RecurrentInputs& inputs, const RecurrentResults<D>& to)
      : plan(of),
        query({}, inputs.query, inputs.heads),
        key({}, inputs.key, inputs.kv_heads != 0 ? inputs.kv_heads : inputs.heads),
        value({}, inputs.value, inputs.kv_heads != 0 ? inputs.kv_heads : inputs.heads),
        decay(is_gated(of.rule) ? inputs.decay.array.converted(dtype_of<T>) : Array(dtype_of<T>, {0})),
        beta(is_delta(of.rule) ? inputs.beta.array.converted(dtype_of<T>) : Array(dtype_of<T>, {0})),
        past(inputs.past_state),
        results(to) {}

  /// Columns [first, first + count) of a past state, as [head_dim, stride] numbers; zeros when there is none.
  void read_state(std::size_t b, std::size_t h, std::size_t first, std::size_t count, T* state, std::size_t stride) const {
    const Dims& d = plan.dims;
    std::fill_n(state, d.head_dim * stride, T(0));
    if (!past.given()) return;
    for (std::size_t i = 0; i < d.head_dim; ++i)
      past.array.convert_to(dtype_of<T>, ((b * d.kv_heads + h) * d.head_dim + i) * d.value_dim + first, count,
                            reinterpret_cast<std::byte*>(state + i * stride));
  }

  void write_state(std::size_t b, std::size_t h, std::size_t first, std::size_t count, const T* state, std::size_t stride) {
    if (results.state == nullptr) return;
    const Dims& d = plan.dims;
    for (std::size_t i = 0; i < d.head_dim; ++i)
      write(state + i * stride, count, results.state + ((b * d.kv_heads + h) * d.head_dim + i) * d.value_dim + first);
  }

  void write_output(std::size_t b, std::size_t head, std::size_t t, std::size_t first, std::size_t count, const T* row) {
    const HeadLayout& l = plan.output;
    if (results.output == nullptr) return;
    write(row, count, results.output + b * l.batch_stride + head * l.head_stride + t * l.row_stride + first);
  }

  [[nodiscard]] bool wrote_nan() const noexcept { return wrote_nan_; }

  const RecurrentPlan& plan;
  const RowSource<T> query, key, value;
  const Array decay, beta;

 private:
  /// Every NaN with the same bits.
  void write(const T* from, std::size_t count, D* to) {
    bool has_nan = false;
    for (std::size_t i = 0; i < count; ++i) {
      const bool is_nan = std::isnan(from[i]);
      has_nan = has_nan || is_nan;
      to[i] = is_nan ? std::numeric_limits<D>::quiet_NaN() : static_cast<D>(from[i]);
    }
    if (has_nan) wrote_nan_ = true;
  }

  const NamedArray past;
  const RecurrentResults<D> results;
  std::atomic<bool> wrote_nan_ = false;
};

/// One state, all of its tokens, in float64.
template <class D>
void follow_state(Ends<double, D>& ends, std::size_t b, std::size_t h, const Execution& execution) {
  const RecurrentPlan& plan = ends.plan;
  const Dims& d = plan.dims;
  const std::size_t group = d.heads / d.kv_heads;
  const std::size_t rows = d.head_dim;
  const std::size_t columns = d.value_dim;
  std::vector<double> state(rows * columns);
  std::vector<double> output(columns);
  ends.read_state(b, h, 0, columns, state.data(), columns);
  const double* const decay = ends.decay.template values<double>().data();
  const double* const beta = ends.beta.template values<double>().data();
  for (std::size_t t = 0; t < d.q_len; ++t) {
    if (t % kTokens == 0) stop_if_cancelled(execution);
    const std::vector<double> key = ends.key.row(b, h, t);
    std::vector<double> added = ends.value.row(b, h, t);
    if (is_gated(plan.rule)) {
      for (std::size_t i = 0; i < rows; ++i) {
        const double gate = std::exp(decay[plan.decay.at(b, h, t) + i * plan.decay.feature]);
        for (std::size_t j = 0; j < columns; ++j) state[i * columns + j] *= gate;
      }
    }
    if (is_delta(plan.rule)) {
      std::vector<double> recalled(columns);
      for (std::size_t i = 0; i < rows; ++i)
        for (std::size_t j = 0; j < columns; ++j) recalled[j] += key[i] * state[i * columns + j];
      for (std::size_t j = 0; j < columns; ++j) added[j] = beta[plan.beta.at(b, h, t)] * (added[j] - recalled[j]);
    }
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t j = 0; j < columns; ++j) state[i * columns + j] += key[i] * added[j];
    for (std::size_t head = h * group; head < (h + 1) * group; ++head) {
      const std::vector<double> query = ends.query.row(b, head, t);
      std::ranges::fill(output, 0.0);
      for (std::size_t i = 0; i < rows; ++i)
        for (std::size_t j = 0; j < columns; ++j) output[j] += query[i] * state[i * columns + j];
      for (double& y : output) y *= plan.scale;
      ends.write_output(b, head, t, 0, columns, output.data());
    }
  }
  ends.write_state(b, h, 0, columns, state.data(), columns);
}

template <class T>
const kernels::RecurrenceKernels<T>& kernels_of(const std::string& isa) {
  return kernels::recurrence_kernels<T>(selected_isa(isa));
}

/// Columns of a block: as many as a panel of the widest vectors holds, fewer where threads would be idle.
std::size_t block_columns(const Dims& d, std::size_t threads) {
  std::size_t columns = 4 * kernels::kRecurrenceColumns;
  const auto tasks = [&] { return d.batch * d.kv_heads * groups_of(d.value_dim, columns); };
  while (columns > kernels::kRecurrenceColumns && (tasks() < threads || columns / 2 >= d.value_dim)) columns /= 2;
  return columns;
}

/// The numbers a thread works in.
std::size_t scratch_numbers(const Dims& d, std::size_t columns) {
  const std::size_t group = d.heads / d.kv_heads;
  return d.head_dim * columns + kTokens * (columns * (1 + group) + d.head_dim * (2 + group) + d.value_dim + 1);
}

/// A block of columns of one state: its memory, and its tokens.
template <class T>
class StateBlock {
 public:
  StateBlock(Ends<T, T>& ends, const kernels::RecurrenceKernels<T>& kernels, std::size_t columns)
      : ends_(ends),
        kernels_(kernels),
        memory_(scratch_numbers(ends.plan.dims, columns) + kLine),
        query_rows_(ends.plan.dims.heads / ends.plan.dims.kv_heads) {
    const Dims& d = ends.plan.dims;
    const std::size_t group = query_rows_.size();
    void* start = memory_.data();
    std::size_t room = memory_.size() * sizeof(T);
    T* at = static_cast<T*>(std::align(kLine, kLine, start, room));  // no load of a vector touches two lines of the cache
    const auto take = [&](std::size_t count) { return std::exchange(at, at + count); };
    steps_.head_dim = d.head_dim;
    steps_.columns = columns;
    steps_.group = group;
    steps_.scale = static_cast<T>(ends.plan.scale);
    steps_.state = take(d.head_dim * columns);
    steps_.out = take(kTokens * columns * group);
    values_ = take(kTokens * columns);
    made_values_ = take(kTokens * d.value_dim);
    keys_ = take(kTokens * d.head_dim);
    queries_ = take(kTokens * d.head_dim * group);
    gates_ = take(kTokens * d.head_dim);
    rates_ = take(kTokens);
    steps_.query = query_rows_.data();
    steps_.value = values_;
    steps_.gate = is_gated(ends.plan.rule) ? gates_ : nullptr;
    steps_.gate_width = ends.plan.gate_width();
    steps_.rate = is_delta(ends.plan.rule) ? rates_ : nullptr;
  }

  /// Columns [first, first + count) of the state of one head.
  void run(std::size_t b, std::size_t h, std::size_t first, std::size_t count, const Execution& execution) {
    const Dims& d = ends_.plan.dims;
    ends_.read_state(b, h, first, count, steps_.state, steps_.columns);
    for (std::size_t t = 0; t < d.q_len; t += kTokens) {
      stop_if_cancelled(execution);
      steps_.count = std::min(kTokens, d.q_len - t);
      gather(b, h, t, first, count);
      kernels_.advance(steps_);
      for (std::size_t g = 0; g < steps_.group; ++g)
        for (std::size_t i = 0; i < steps_.count; ++i)
          ends_.write_output(b, h * steps_.group + g, t + i, first, count, steps_.out + (g * steps_.count + i) * steps_.columns);
    }
    ends_.write_state(b, h, first, count, steps_.state, steps_.columns);
  }

 private:
  void gather(std::size_t b, std::size_t h, std::size_t t, std::size_t first, std::size_t count) {
    const RecurrentPlan& plan = ends_.plan;
    const std::size_t dim = plan.dims.head_dim;
    for (std::size_t g = 0; g < steps_.group; ++g) {
      const RowSpan<T> rows = ends_.query.rows(b, h * steps_.group + g, t, steps_.count, queries_ + g * kTokens * dim);
      query_rows_[g] = rows.data;
      steps_.query_stride = rows.stride;
    }
    const RowSpan<T> keys = ends_.key.rows(b, h, t, steps_.count, keys_);
    steps_.key = keys.data;
    steps_.key_stride = keys.stride;
    const RowSpan<T> values = ends_.value.rows(b, h, t, steps_.count, made_values_);
    for (std::size_t i = 0; i < steps_.count; ++i)
      std::copy_n(values.data + i * values.stride + first, count, values_ + i * steps_.columns);
    if (steps_.gate != nullptr) {
      const std::size_t width = steps_.gate_width;
      const auto decay = ends_.decay.template values<T>();
      for (std::size_t i = 0; i < steps_.count; ++i)
        std::copy_n(decay.data() + plan.decay.at(b, h, t + i), width, gates_ + i * width);
      kernels_.exponential(gates_, steps_.count * width);
    }
    if (steps_.rate == nullptr) return;
    const auto beta = ends_.beta.template values<T>();
    for (std::size_t i = 0; i < steps_.count; ++i) rates_[i] = beta[plan.beta.at(b, h, t + i)];
  }

  Ends<T, T>& ends_;
  const kernels::RecurrenceKernels<T>& kernels_;
  std::vector<T> memory_;  ///< zeros: columns that fill a block up stay so
  std::vector<const T*> query_rows_;
  T *values_, *made_values_, *keys_, *queries_, *gates_, *rates_;
  kernels::RecurrenceSteps<T> steps_;
};

}  // namespace

template <class D>
bool run_recurrence_reference(const RecurrentPlan& plan, const RecurrentInputs& inputs, const RecurrentResults<D>& results,
                              const Execution& execution) {
  Ends<double, D> ends(plan, inputs, results);
  const std::size_t heads = plan.dims.kv_heads;
  for_each_task(plan.dims.batch * heads, execution,
                [&](std::size_t task) { follow_state(ends, task / heads, task % heads, execution); });
  return ends.wrote_nan();
}

template <class T>
bool run_recurrence(const RecurrentPlan& plan, const RecurrentInputs& inputs, const RecurrentResults<T>& results,
                    const Execution& execution) {
  const Dims& d = plan.dims;
  Ends<T, T> ends(plan, inputs, results);
  const kernels::RecurrenceKernels<T>& kernels = kernels_of<T>(execution.isa);
  const std::size_t columns = block_columns(d, execution.threads);
  const std::size_t blocks = groups_of(d.value_dim, columns);
  for_each_task(d.batch * d.kv_heads * blocks, execution, [&](std::size_t task) {
    const std::size_t head = task / blocks;
    const std::size_t first = task % blocks * columns;
    StateBlock<T>(ends, kernels, columns)
        .run(head / d.kv_heads, head % d.kv_heads, first, std::min(columns, d.value_dim - first), execution);
  });
  return ends.wrote_nan();
}

std::uint64_t recurrence_bytes(const RecurrentPlan& plan, const RecurrentInputs& inputs, DType computed_in, bool is_reference,
                               std::size_t threads) {
  const Dims& d = plan.dims;
  const std::size_t item = item_size(computed_in);
  std::uint64_t bytes = 0;
  for (const NamedArray* array : {&inputs.decay, &inputs.beta})
    if (array->given() && array->array.dtype() != computed_in) bytes += array->array.size() * item;
  const std::size_t numbers = is_reference ? d.head_dim * d.value_dim + 3 * d.value_dim + 2 * d.head_dim
                                           : scratch_numbers(d, block_columns(d, threads)) + kLine;
  return bytes + std::uint64_t{threads} * numbers * item;
}

template bool run_recurrence_reference(const RecurrentPlan&, const RecurrentInputs&, const RecurrentResults<float>&,
                                       const Execution&);
template bool run_recurrence_reference(const RecurrentPlan&, const RecurrentInputs&, const RecurrentResults<double>&,
                                       const Execution&);
template bool run_recurrence(const RecurrentPlan&, const RecurrentInputs&, const RecurrentResults<float>&, const Execution&);
template bool run_recurrence(const RecurrentPlan&, const RecurrentInputs&, const RecurrentResults<double>&, const Execution&);

}  // namespace attn::engine

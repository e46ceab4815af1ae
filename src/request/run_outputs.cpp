// The output arrays of a run: their shapes, their files, and the observers that fill them.
#include "request/run_outputs.hpp"

#include "engine/prepare.hpp"
#include "request/long_weights.hpp"
#include "request/watch_plan.hpp"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>

namespace attn::request {

namespace {

/// [batch?, heads?, ...]: the leading axes that the query's layout has.
Shape leading_axes(const RunInputs& inputs, const engine::Dims& d) {
  const std::size_t rank = inputs.inputs.query.array.rank();
  Shape shape;
  if (rank >= 3) shape.push_back(d.batch);
  if (rank == 4 || inputs.inputs.heads != 0) shape.push_back(d.heads);
  return shape;
}

Shape pairs_shape(const RunInputs& inputs, const engine::Dims& d) {
  Shape shape = leading_axes(inputs, d);
  shape.insert(shape.end(), {d.q_len, d.kv_len});
  return shape;
}

Shape output_shape(const RunRequest& request, const RunInputs& inputs, const engine::Dims& d) {
  if (request.attention.combine == Combine::rows) {
    Shape shape = pairs_shape(inputs, d);
    shape.push_back(d.value_dim);
    return shape;
  }
  const std::size_t width = inputs.projection ? inputs.projection->output_width() : d.heads * d.value_dim;
  switch (inputs.inputs.query.array.rank()) {
    case 4:
      return {d.batch, d.heads, d.q_len, d.value_dim};
    case 3:
      return {d.batch, d.q_len, width};
    default:
      return {d.q_len, width};
  }
}

bool is_text_file(const FileName& name, const WriteOptions& options) {
  return is_text(options.to.value_or(format_of_path(name.path).value_or(Format::csv)));
}

bool is_same_file(const std::string& one, const std::string& other) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(one, ignored) && std::filesystem::equivalent(one, other, ignored);
}

}  // namespace

void check_output_files(const std::vector<OutputPlan>& planned, const std::string& report, const ReadFiles& inputs) {
  std::size_t streams = 0;
  const auto check = [&](const std::string& file, bool is_present) {
    const FileName name = FileName::parse_output(file);
    if (name.is_standard_stream()) {
      ++streams;
      return;
    }
    for (const auto& [role, loaded] : inputs) {
      const bool is_past = role.starts_with("past");
      if (loaded.name.is_standard_stream() || (is_present && is_past) || !is_same_file(name.path, loaded.name.path)) continue;
      throw Error(Status::usage, fmt::format("'{}' would replace the input of that name ({})", file, role),
                  "write to another file, then rename it");
    }
  };
  for (const OutputPlan& p : planned) check(p.file, p.role.starts_with("present"));
  if (!report.empty()) check(report, false);
  if (streams > 1)
    throw Error(Status::usage, "only one output can be standard output",
                "the output goes there unless -o FILE or -o none says otherwise");
}

std::byte* add_rows(const OutputPlan& p, const WritingSettings& writing, const std::vector<std::string>& ids,
                    std::vector<std::string> columns, Outputs& files) {
  const FileName name = FileName::parse_output(p.file);
  WriteOptions options;
  options.deflate = writing.deflate;
  if (p.role == "output" || name.is_standard_stream()) options.to = writing.to;
  if (!ids.empty()) {
    options.row_names = ids;
    options.row_title = "query";
    options.column_names = std::move(columns);
  }
  return files.add(name, p.role, p.dtype, p.shape, options);
}

std::vector<std::string> numbered(std::size_t count) {
  std::vector<std::string> names(count);
  for (std::size_t i = 0; i < count; ++i) names[i] = std::to_string(i);
  return names;
}

void check_ids(const std::vector<std::string>& ids, std::size_t length, const char* option, const char* what) {
  if (!ids.empty() && ids.size() != length)
    throw Error(Status::data, fmt::format("{} names {} {}, but there are {}", option, ids.size(), what, length));
}

analysis::RowStrides output_strides(const RunInputs& inputs, const engine::Dims& d) {
  if (inputs.inputs.query.array.rank() == 4)
    return {.batch = d.heads * d.q_len * d.value_dim, .head = d.q_len * d.value_dim, .query = d.value_dim};
  return {.batch = d.q_len * d.heads * d.value_dim, .head = d.value_dim, .query = d.heads * d.value_dim};
}

std::vector<OutputPlan> plan_outputs(const RunRequest& request, const RunInputs& inputs, const engine::Plan& plan, DType type) {
  const engine::Dims& d = plan.dims;
  check_ids(inputs.ids, d.q_len, "--ids", "queries");
  check_ids(inputs.key_ids, d.kv_len, "--key-ids", "keys");
  std::vector<OutputPlan> planned;
  const auto want = [&](const char* role, const std::string& file, Shape shape) {
    if (!file.empty() && file != "none")
      planned.push_back({.role = role, .file = file, .shape = std::move(shape), .dtype = type});
  };
  Shape lse = leading_axes(inputs, d);
  lse.push_back(d.q_len);
  want("output", request.output, output_shape(request, inputs, d));
  want("weights", request.weights, pairs_shape(inputs, d));
  want("scores", request.scores, pairs_shape(inputs, d));
  want("lse", request.lse, std::move(lse));
  std::ranges::move(plan_watch(request.watch, plan, inputs.ids), std::back_inserter(planned));
  want("present-key", request.present_key, {d.batch, d.kv_heads, d.kv_len, d.head_dim});
  want("present-value", request.present_value, {d.batch, d.kv_heads, d.kv_len, d.value_dim});
  check_output_files(planned, request.report, inputs.files);
  return planned;
}

template <class T, class D>
RunOutputs<T, D>::RunOutputs(const RunRequest& request, const RunInputs& inputs, const engine::Plan& plan,
                             const engine::Operands<T>& operands, const std::vector<OutputPlan>& planned, Outputs& files,
                             RankOutputs* ranks)
    : request_(request), inputs_(inputs), plan_(plan), operands_(operands), files_(files), ranks_(ranks) {
  for (const OutputPlan& p : planned) {
    if (p.role == "output")
      add_output(p);
    else if (p.role == "weights" && request.weights_form == WeightsForm::rows)
      add_long_weights(p);
    else if (p.role == "weights" || p.role == "scores")
      add_pairs(p);
    else if (p.role == "lse")
      observers_.push_back(std::make_unique<analysis::LseWriter<T, D>>(plan, add_file(p, false), put_rows()));
    else if (p.role.starts_with("present"))
      add_present(p);
  }
}

template <class T, class D>
std::vector<engine::Observer<T>*> RunOutputs<T, D>::observers() const {
  std::vector<engine::Observer<T>*> all;
  for (const auto& observer : observers_) all.push_back(observer.get());
  return all;
}

template <class T, class D>
D* RunOutputs<T, D>::add_file(const OutputPlan& p, bool columns_are_keys) {
  const FileName name = FileName::parse_output(p.file);
  WriteOptions options;
  options.deflate = request_.writing.deflate;
  if (p.role == "output" || name.is_standard_stream()) options.to = request_.writing.to;
  Shape shape = p.shape;
  if (is_text_file(name, options)) {
    // One number for each query stands in a line of its own, beside the query's name.
    if (p.role == "lse") shape.push_back(1);
    const bool rows_are_queries =
        shape.size() >= 2 && shape[shape.size() - 2] == plan_.dims.q_len && p.role.rfind("present", 0) != 0;
    if (!inputs_.ids.empty() && rows_are_queries) {
      options.row_names = inputs_.ids;
      options.row_title = "query";
    }
    const std::size_t width = shape.empty() ? 0 : shape.back();
    if (columns_are_keys && !inputs_.key_ids.empty())
      options.column_names = inputs_.key_ids;
    else if (!options.row_names.empty())
      options.column_names = p.role == "lse" ? std::vector<std::string>{"lse"} : numbered(width);
  }
  void* memory = ranks_ != nullptr ? ranks_->add(name, p.role, p.dtype, shape, options, rows_of(p))
                                   : files_.add(name, p.role, p.dtype, shape, options);
  return static_cast<D*>(memory);
}

template <class T, class D>
OutputRows RunOutputs<T, D>::rows_of(const OutputPlan& p) const {
  const engine::Dims& d = plan_.dims;
  if (p.role == "output") return {.strides = output_strides(inputs_, d), .width = d.value_dim};
  const std::size_t width = p.role == "lse" ? 1 : d.kv_len;
  return {.strides = {.batch = d.heads * d.q_len * width, .head = d.q_len * width, .query = width}, .width = width};
}

template <class T, class D>
void RunOutputs<T, D>::add_output(const OutputPlan& p) {
  output_ = add_file(p, false);
  if (inputs_.projection) {
    const engine::Dims& d = plan_.dims;
    heads_output_ = Array(dtype_of<T>, {d.batch * d.q_len, d.heads * d.value_dim});
    projected_output_ = output_;
    observers_.push_back(std::make_unique<analysis::OutputWriter<T, T>>(
        plan_, operands_, heads_output_.template mutable_values<T>().data(), output_strides(inputs_, d)));
  } else if (request_.attention.combine == Combine::rows) {
    observers_.push_back(std::make_unique<analysis::WeightedRowsWriter<T, D>>(plan_, operands_, output_));
  } else {
    observers_.push_back(std::make_unique<analysis::OutputWriter<T, D>>(plan_, operands_, output_,
                                                                        output_strides(inputs_, plan_.dims), put_rows()));
  }
}

template <class T, class D>
void RunOutputs<T, D>::finish(const engine::Execution& execution) const {
  if (projected_output_ == nullptr) return;
  inputs_.projection->project_output<T, D>(heads_output_, request_.attention.residual, projected_output_, execution,
                                           arithmetic_of(request_));
}

template <class T, class D>
void RunOutputs<T, D>::add_pairs(const OutputPlan& p) {
  using Writer = analysis::PairWriter<T, D>;
  auto what = Writer::What::weights;
  if (p.role == "scores") {
    switch (request_.scores_stage) {
      case ScoresStage::raw:
        what = Writer::What::raw_scores;
        break;
      case ScoresStage::capped:
        what = Writer::What::capped_scores;
        break;
      case ScoresStage::masked:
        what = Writer::What::masked_scores;
        break;
    }
  }
  observers_.push_back(std::make_unique<Writer>(plan_, what, add_file(p, true), put()));
}

template <class T, class D>
void RunOutputs<T, D>::add_long_weights(const OutputPlan& p) {
  const FileName name = FileName::parse_output(p.file);
  WriteOptions options;
  if (name.is_standard_stream()) options.to = request_.writing.to;
  if (!is_text_file(name, options)) throw Error(Status::usage, fmt::format("--weights-form long is text: {} is not CSV", p.file));
  const engine::Dims& d = plan_.dims;
  const Shape shape{d.batch, d.heads, d.q_len, d.kv_len};
  void* memory =
      files_.add_text(name, dtype_of<D>, shape,
                      [=, ids = inputs_.ids, key_ids = inputs_.key_ids](Outputs::TextSink& sink, const std::byte* pairs) {
                        write_long_weights(sink, Array(dtype_of<D>, shape, nullptr, pairs), ids, key_ids);
                      });
  using Writer = analysis::PairWriter<T, D>;
  observers_.push_back(std::make_unique<Writer>(plan_, Writer::What::weights, static_cast<D*>(memory), put()));
}

/// One process fills the mapped file; of several none is to hold even its part.
template <class T, class D>
analysis::Put<D> RunOutputs<T, D>::put_rows() {
  return ranks_ != nullptr ? put() : analysis::Put<D>();
}

template <class T, class D>
analysis::Put<D> RunOutputs<T, D>::put() {
  return [this](D* to, std::span<const D> numbers) {
    ranks_ != nullptr ? ranks_->put(to, std::as_bytes(numbers)) : files_.put(to, std::as_bytes(numbers));
  };
}

template <class T, class D>
void RunOutputs<T, D>::add_present(const OutputPlan& p) {
  const engine::Inputs& in = inputs_.inputs;
  const bool is_key = p.role == "present-key";
  const engine::RowSource<D> rows(is_key ? in.past_key : in.past_value, is_key ? in.key : in.value, in.packed_kv_heads());
  const engine::HeadLayout& l = rows.layout();
  D* to = add_file(p, false);
  for (std::size_t b = 0; b < l.batch; ++b)
    for (std::size_t h = 0; h < l.heads; ++h) rows.make(b, h, 0, l.length, to + (b * l.heads + h) * l.length * l.dim);
}

template class RunOutputs<float, float>;
template class RunOutputs<double, float>;
template class RunOutputs<double, double>;

}  // namespace attn::request

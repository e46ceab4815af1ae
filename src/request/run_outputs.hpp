// The output arrays of a run: their shapes, their files, and the observers that fill them.
#pragma once

#include "analysis/writers.hpp"
#include "engine/observer.hpp"
#include "engine/operands.hpp"
#include "engine/plan.hpp"
#include "request/output_plan.hpp"
#include "request/rank_outputs.hpp"
#include "request/run_inputs.hpp"
#include "request/run_request.hpp"

#include <attn/io.hpp>

#include <memory>
#include <string>
#include <vector>

namespace attn::request {

/// The outputs the request asks for, in the layouts of CONTRACT: the output as the query, pairs without the axes the query lacks.
/// Throws Error(usage) when two outputs are standard output or one would replace an input.
[[nodiscard]] std::vector<OutputPlan> plan_outputs(const RunRequest& request, const RunInputs& inputs, const engine::Plan& plan,
                                                   DType type);

/// Where the rows of the output lie in its layout.
[[nodiscard]] analysis::RowStrides output_strides(const RunInputs& inputs, const engine::Dims& dims);

/// Refuses two outputs on standard output, and an output that would replace an input (`inputs`: role and file); a cache may grow
/// in place.
void check_output_files(const std::vector<OutputPlan>& planned, const std::string& report, const ReadFiles& inputs);

/// Throws Error(data) when ids are given and are not `length` names of `what` ("queries").
void check_ids(const std::vector<std::string>& ids, std::size_t length, const char* option, const char* what);

/// "0", "1", ...: the names of columns that have no other.
[[nodiscard]] std::vector<std::string> numbered(std::size_t count);

/// The memory of an output with one row for each row that goes in. `ids` name the rows of text, when there are any, and `columns`
/// then its columns.
[[nodiscard]] std::byte* add_rows(const OutputPlan& planned, const WritingSettings& writing, const std::vector<std::string>& ids,
                                  std::vector<std::string> columns, Outputs& files);

/// Opens the planned files, or this rank's part of them, and makes the observers that fill them. T is the type the engine
/// computes in, D the type written.
template <class T, class D>
class RunOutputs {
 public:
  RunOutputs(const RunRequest& request, const RunInputs& inputs, const engine::Plan& plan, const engine::Operands<T>& operands,
             const std::vector<OutputPlan>& planned, Outputs& files, RankOutputs* ranks = nullptr);

  [[nodiscard]] std::vector<engine::Observer<T>*> observers() const;
  /// What is left to do when the engine has finished: the output projection.
  void finish(const engine::Execution& execution) const;
  /// The output itself, as it is written; null where nobody asked for it.
  [[nodiscard]] const D* output() const noexcept { return output_; }

 private:
  void add_output(const OutputPlan& planned);
  void add_pairs(const OutputPlan& planned);
  void add_long_weights(const OutputPlan& planned);
  void add_present(const OutputPlan& planned);
  [[nodiscard]] D* add_file(const OutputPlan& planned, bool columns_are_keys);
  [[nodiscard]] OutputRows rows_of(const OutputPlan& planned) const;
  [[nodiscard]] analysis::Put<D> put();
  [[nodiscard]] analysis::Put<D> put_rows();

  const RunRequest& request_;
  const RunInputs& inputs_;
  const engine::Plan& plan_;
  const engine::Operands<T>& operands_;
  Outputs& files_;
  RankOutputs* ranks_;
  std::vector<std::unique_ptr<engine::Observer<T>>> observers_;
  Array heads_output_;             ///< with an output projection: what goes into it, [batch * q_len, heads * value_dim] of T
  D* projected_output_ = nullptr;  ///< and where it goes
  D* output_ = nullptr;
};

}  // namespace attn::request

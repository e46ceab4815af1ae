// What `attn convert` does to an array: a fixed sequence of choices and changes.
#include "analysis/convert.hpp"

#include "analysis/rearrange.hpp"
#include "base/counted.hpp"
#include "io/columns.hpp"

#include <fmt/format.h>

namespace attn::analysis {

namespace {

/// The type of numbers that a step makes anew: that of a floating-point input, else float32.
DType real_type(const Array& array) { return is_floating(array.dtype()) ? array.dtype() : DType::f32; }

void choose_columns(Converted& result, const std::string& selector, const std::string& file) {
  if (result.array.rank() == 0) throw Error(Status::data, "a single number has no columns");
  const std::vector<std::size_t> chosen = select_columns(selector, result.columns, result.array.shape().back(), file);
  result.array = take_columns(result.array, chosen);
  if (result.columns.empty()) return;
  std::vector<std::string> names;
  names.reserve(chosen.size());
  for (const std::size_t column : chosen) names.push_back(result.columns[column]);
  result.columns = std::move(names);
}

void change_numbers(Converted& result, const Conversion& steps, const std::string& file, Reporter& reporter) {
  if (steps.normalize_rows) {
    NormalizedRows normalized = normalized_rows(result.array, *steps.normalize_rows);
    result.array = std::move(normalized.array);
    if (normalized.zero_rows > 0)
      reporter.warn(fmt::format("{}: {} all zero and stay so; the first is row {}", file,
                                counted(normalized.zero_rows, "row is", "rows are"), normalized.first_zero));
  }
  if (!steps.dtype) return;
  Retyped narrowed = retyped(result.array, *steps.dtype, steps.lossy);
  result.array = std::move(narrowed.array);
  if (narrowed.overflowed > 0)
    reporter.warn(fmt::format("{}: {} beyond the range of {} and became infinite", file,
                              counted(narrowed.overflowed, "number is", "numbers are"), dtype_name(*steps.dtype)));
}

Converted take_steps(const Loaded& input, const Conversion& steps, const std::string& file, Reporter& reporter) {
  Converted result{.array = input.array, .columns = input.columns};
  if (!steps.columns.empty()) choose_columns(result, steps.columns, file);
  if (!steps.rows.empty()) {
    const Shape& shape = result.array.shape();
    result.array =
        take_rows(result.array, shape.size() < 2 ? std::vector<RowRun>{} : parse_rows(steps.rows, shape[shape.size() - 2]));
  }
  const bool same_columns =
      !steps.one_hot && steps.reshape.empty() && steps.split_heads == 0 && !steps.merge_heads && !steps.transpose;
  if (!same_columns) result.columns.clear();
  if (steps.one_hot) result.array = one_hot(result.array, steps.classes, steps.dtype.value_or(real_type(result.array)));
  if (!steps.reshape.empty()) result.array = reshaped(result.array, steps.reshape);
  if (steps.split_heads != 0) result.array = split_heads(result.array, steps.split_heads);
  if (steps.merge_heads) result.array = merge_heads(result.array);
  if (steps.transpose) result.array = transposed(result.array);
  change_numbers(result, steps, file, reporter);
  return result;
}

}  // namespace

Converted convert(const Loaded& input, const Conversion& steps, Reporter& reporter) {
  const std::string file = input.name.text();
  if (steps.classes && !steps.one_hot) throw Error(Status::usage, "--classes goes with --one-hot");
  if (steps.split_heads != 0 && steps.merge_heads) throw Error(Status::usage, "--split-heads and --merge-heads undo each other");
  try {
    return take_steps(input, steps, file, reporter);
  } catch (const Error& error) {
    if (error.status() != Status::data || !error.where().file.empty()) throw;
    throw Error(Status::data, {.file = file}, error.what(), error.hint());
  }
}

}  // namespace attn::analysis

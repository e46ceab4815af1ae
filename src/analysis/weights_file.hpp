// Weights that some program has written, walked as an engine walks attention: the same observers, the same numbers.
#pragma once

#include "engine/engine.hpp"

#include <attn/array.hpp>

#include <cstddef>
#include <functional>
#include <span>
#include <string>

namespace attn::analysis {

/// What weights are not, though attention's usually are.
struct WeightsFindings {
  std::size_t rows_off = 0;   ///< rows that hold weights and do not add up to 1, as nearly as the file's type can say it
  std::size_t first_off = 0;  ///< the first of them, in [batch, heads, q_len]
  double mass_off = 0;        ///< what it adds up to
  std::size_t negative = 0;   ///< rows with a negative weight
  std::size_t first_negative = 0;
};

/// How far the sum of a row of weights may be from 1 when each weight was rounded to `type`.
[[nodiscard]] double mass_tolerance(DType type) noexcept;

/// The same numbers as [batch, heads, q_len, kv_len]. Throws Error(data) that names `file` for an array that is neither that nor
/// [q_len, kv_len] nor [heads, q_len, kv_len].
[[nodiscard]] Array weights_of_four_axes(const Array& array, const std::string& file);

/// A plan that says no more than the sizes of weights [batch, heads, q_len, kv_len] and where the first query stands.
[[nodiscard]] engine::Plan plan_of_weights(const Shape& shape, std::int64_t query_offset);

/// Hands out rows (facts, strongest keys) and then columns of `weights`, an array of the plan's four sizes and of any type, as
/// those of the batch entries from `first_batch` on. Memory is one row for each thread.
[[nodiscard]] WeightsFindings walk_weights(const engine::Plan& plan, const Array& weights,
                                           std::span<engine::Observer<double>* const> observers,
                                           const engine::Execution& execution, std::size_t first_batch = 0);

/// The weights [first, first + count) of a row in [batch, heads, q_len], valid until the next call.
using PieceReader = std::function<std::span<const double>(std::size_t row, std::size_t first, std::size_t count)>;

/// Hands out columns (Observer::columns) of whatever readers read; each task makes one for itself.
void walk_columns(const engine::Plan& plan, const std::function<PieceReader()>& make_reader,
                  std::span<engine::Observer<double>* const> observers, const engine::Execution& execution,
                  std::size_t first_batch = 0);

}  // namespace attn::analysis

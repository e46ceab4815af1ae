// What a user is told about the rows of a run once it has been computed.
#include "request/announce.hpp"

#include "base/counted.hpp"

#include <fmt/format.h>

namespace attn::request {

void announce_zero_vectors(const engine::Findings& findings, const RunRequest& request, Reporter& reporter) {
  if (findings.zero_queries + findings.zero_keys == 0) return;
  reporter.warn(fmt::format("zero vectors have no cosine: {} and {} count as {} (--zero-vectors)",
                            counted(findings.zero_queries, "query", "queries"), counted(findings.zero_keys, "key", "keys"),
                            request.attention.zero_vectors == Policy::nan ? "NaN" : "0"));
}

void announce_nan(bool nan_came_out, bool is_explained, const engine::Plan& plan, const RunInputs& inputs,
                  const RunRequest& request, Reporter& reporter) {
  const bool looks_anyway = plan.options.combine == Combine::rows;  // they show a value's NaN nowhere the watch looks
  if (!nan_came_out && !looks_anyway) return;
  const std::string found = first_visible_nan(inputs, plan);
  if (!found.empty() && request.nan == NanPolicy::error)
    throw Error(Status::data, found + ": a NaN that no mask hides (--nan error)");
  if (!found.empty()) reporter.warn(found + ": a NaN that no mask hides; what it reaches is NaN");
  if (found.empty() && nan_came_out && !is_explained)
    reporter.warn("the result holds NaN, though no input does: infinities made it");
}

void announce_empty(std::uint64_t count, std::uint64_t first, const engine::Plan& plan, Reporter& reporter) {
  if (count == 0) return;
  const std::uint64_t query = first % plan.dims.q_len;
  const std::uint64_t head = first / plan.dims.q_len % plan.dims.heads;
  const std::uint64_t batch = first / plan.dims.q_len / plan.dims.heads;
  const std::string message = fmt::format("{} of {} queries have no key left; the first is query {} of head {}, batch entry {}",
                                          count, plan.dims.batch * plan.dims.heads * plan.dims.q_len, query, head, batch);
  if (plan.options.empty_rows == Policy::error) throw Error(Status::data, message + " (--empty-rows error)");
  reporter.warn(
      fmt::format("{}: their output is {} (--empty-rows)", message, plan.options.empty_rows == Policy::nan ? "NaN" : "zero"));
}

}  // namespace attn::request

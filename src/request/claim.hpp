// What another program claims: the options that name its files, and reading them against the shapes a run would write.
#pragma once

#include "analysis/verify.hpp"
#include "request/run.hpp"
#include "request/run_inputs.hpp"
#include "request/run_request.hpp"

#include <attn/io.hpp>

#include <optional>
#include <string>
#include <vector>

namespace attn::request {

enum class ReportFormat { text, json };

template <>
struct Names<ReportFormat> {
  static constexpr std::array<std::pair<std::string_view, ReportFormat>, 2> list{
      {{"text", ReportFormat::text}, {"json", ReportFormat::json}}};
};

/// Everything a command can be asked that holds claims against `attn run`. The members of RunRequest that name outputs are taken
/// and have no effect, so that the command line of a run can be repeated.
struct ClaimRequest : RunRequest {
  std::string claim;
  std::string claim_weights;
  std::string claim_lse;
  std::string budget;  ///< empty: what the type of the claim can hold
  ReportFormat to = ReportFormat::text;
};

/// The rows of `attn run` for commands that write no arrays: all but those on how files are written.
[[nodiscard]] Table<RunRequest> rows_without_outputs();

/// Adds them to the rows of such a command; R is a RunRequest.
template <class R>
void append_run_rows(Table<R>& table) {
  append(table, rows_without_outputs(), [](auto& s) -> auto& { return s; });
}

/// What the help of a command says of the options about claims.
struct ClaimHelp {
  std::string group;
  std::string claim;
  std::string weights;
  std::string lse;  ///< empty: the command has no --claim-lse
  std::string budget;
  std::string budget_details;
};

/// All options of such a command.
[[nodiscard]] Table<ClaimRequest> claim_table(const ClaimHelp& help);

/// One claim as it was read.
struct Claim {
  std::string what;  ///< "output", "weights", "lse"
  std::string file;
  Loaded loaded;
  analysis::ClaimedArray array;
  bool is_rows = false;  ///< an output of --combine rows: one row for each pair
};

/// Reads the claims of the request. Each must have the shape that `attn run` would write, but for axes of one element. Throws
/// Error(usage) when there is none, Error(data) naming both shapes when one does not fit.
[[nodiscard]] std::vector<Claim> read_claims(const ClaimRequest& request, const RunInputs& inputs, const engine::Plan& plan,
                                             Reporter& reporter);

/// The name of the budget of the request, or of the coarsest claim.
[[nodiscard]] std::string budget_of(const ClaimRequest& request, const std::vector<Claim>& claims);

/// The request with what a run in float64 needs, and the number of threads.
[[nodiscard]] ClaimRequest in_double(const ClaimRequest& request, const RunContext& context);

/// Says the plan of --dry-run, and refuses what --max-memory does not allow: the inputs, and a copy of keys and values in float64
/// in which a value has `value_width` numbers. True when that was all.
[[nodiscard]] bool only_planned(const ClaimRequest& request, const RunInputs& inputs, const engine::Plan& plan,
                                std::size_t value_width, const RunContext& context);

/// Throws Error(data) for --nan error when an input holds a NaN that no mask hides.
void refuse_nan(const RunRequest& request, const RunInputs& inputs, const engine::Plan& plan);

/// Opens --report and fills it with `json` when there is one.
void write_report(const ClaimRequest& request, const RunContext& context, const std::string& json);

}  // namespace attn::request

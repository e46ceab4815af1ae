// What another program claims: the options that name its files, and reading them.
#include "request/claim.hpp"

#include "analysis/budget.hpp"
#include "engine/engine.hpp"
#include "request/estimate.hpp"
#include "request/report.hpp"
#include "request/run_outputs.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace attn::request {

namespace {

constexpr std::array<std::string_view, 8> kIgnored{"output", "weights",      "weights-form", "scores",
                                                   "lse",    "scores-stage", "present-key",  "present-value"};

Shape squeezed(const Shape& shape) {
  Shape result;
  std::ranges::copy_if(shape, std::back_inserter(result), [](std::size_t n) { return n != 1; });
  return result;
}

/// Claims are looked up by role among the outputs that a run would have.
std::vector<OutputPlan> expected_outputs(const ClaimRequest& r, const RunInputs& inputs, const engine::Plan& plan) {
  // A name that is no regular file: nothing is written, and a claim may well be one of the inputs.
  const auto wanted = [](const std::string& claim) { return std::string(claim.empty() ? "none" : "/dev/null"); };
  RunRequest run = static_cast<const RunRequest&>(r);
  run.output = wanted(r.claim);
  run.weights = wanted(r.claim_weights);
  run.lse = wanted(r.claim_lse);
  run.scores = run.present_key = run.present_value = run.report = "";
  run.watch = {};
  return plan_outputs(run, inputs, plan, DType::f64);
}

analysis::RowStrides strides_of(const std::string& what, bool is_rows, const RunInputs& inputs, const engine::Dims& d) {
  if (what == "output" && !is_rows) return output_strides(inputs, d);
  const std::size_t width = what == "lse" ? 1 : d.kv_len * (is_rows ? d.value_dim : 1);
  return {.batch = d.heads * d.q_len * width, .head = d.q_len * width, .query = width};
}

}  // namespace

Table<RunRequest> rows_without_outputs() {
  Table<RunRequest> table;
  for (Row<RunRequest> row : run_table()) {
    Option& o = row.option;
    if (o.group == "Writing files" || o.name == "approx") continue;
    if (o.group == kWatchGroup || std::ranges::find(kIgnored, o.name) != kIgnored.end()) {
      o.help = "taken as in attn run and without effect: no arrays are written";
      o.details.clear();
    } else if (o.name == "dtype") {
      o.help = "taken as in attn run and without effect: everything is computed in float64";
      o.details.clear();
    } else if (o.name == "report") {
      o.help = "writes the result as JSON";
    }
    table.push_back(std::move(row));
  }
  return table;
}

Table<ClaimRequest> claim_table(const ClaimHelp& help) {
  using R = ClaimRequest;
  Table<R> rows;
  rows.push_back(row<R>({.name = "claim", .metavar = "F", .group = help.group, .help = help.claim},
                        [](auto& s) -> auto& { return s.claim; }));
  rows.push_back(row<R>({.name = "claim-weights", .metavar = "F", .group = help.group, .help = help.weights},
                        [](auto& s) -> auto& { return s.claim_weights; }));
  if (!help.lse.empty())
    rows.push_back(row<R>({.name = "claim-lse", .metavar = "F", .group = help.group, .help = help.lse},
                          [](auto& s) -> auto& { return s.claim_lse; }));
  rows.push_back(row<R>({.name = "budget",
                         .metavar = "f32|tf32|f16|bf16|f64|ABS",
                         .group = help.group,
                         .help = help.budget,
                         .details = help.budget_details},
                        [](auto& s) -> auto& { return s.budget; }));
  rows.push_back(row<R>({.name = "to", .metavar = "FORMAT", .group = help.group, .help = "for people or for programs"},
                        [](auto& s) -> auto& { return s.to; }));
  append_run_rows(rows);
  return rows;
}

std::vector<Claim> read_claims(const ClaimRequest& r, const RunInputs& inputs, const engine::Plan& plan, Reporter& reporter) {
  std::vector<Claim> claims;
  for (const OutputPlan& expected : expected_outputs(r, inputs, plan)) {
    Claim claim;
    claim.what = expected.role;
    claim.file = expected.role == "output" ? r.claim : expected.role == "weights" ? r.claim_weights : r.claim_lse;
    claim.loaded = read_array(FileName::parse(claim.file), r.reading.options(DType::f64), reporter);
    require_numbers(claim.loaded, r.reading);
    const Shape& shape = claim.loaded.array.shape();
    if (shape != expected.shape && squeezed(shape) != squeezed(expected.shape))
      throw Error(Status::data, {.file = claim.file},
                  fmt::format("the claimed {} has the shape {} (expected {}, which attn run would write)", claim.what,
                              to_string(shape), to_string(expected.shape)));
    claim.is_rows = claim.what == "output" && plan.options.combine == Combine::rows;
    claim.array = {claim.loaded.array.reshaped(expected.shape), strides_of(claim.what, claim.is_rows, inputs, plan.dims)};
    claims.push_back(std::move(claim));
  }
  return claims;
}

std::string budget_of(const ClaimRequest& request, const std::vector<Claim>& claims) {
  if (!request.budget.empty()) return request.budget;
  std::string coarsest = "f64";
  for (const Claim& claim : claims) {
    const std::string own(is_text(claim.loaded.format) ? "f32" : analysis::natural_budget(claim.array.array.dtype()));
    if (analysis::read_budget("", own).stored > analysis::read_budget("", coarsest).stored) coarsest = own;
  }
  return coarsest;
}

ClaimRequest in_double(const ClaimRequest& request, const RunContext& context) {
  ClaimRequest r = request;
  r.dtype = ComputeType::f64;
  if (r.threads == 0) r.threads = context.cores;
  return r;
}

bool only_planned(const ClaimRequest& r, const RunInputs& inputs, const engine::Plan& plan, std::size_t value_width,
                  const RunContext& context) {
  if (!r.dry_run && !r.max_memory) return false;
  const bool is_tiled = r.engine != EngineChoice::reference;
  engine::Plan wide = plan;
  wide.dims.value_dim = value_width;
  const std::uint64_t copies = std::uint64_t{sizeof(double)} * plan.dims.batch * plan.dims.kv_heads * plan.dims.kv_len *
                               (value_width + plan.dims.head_dim);
  RunRecord record{.request = static_cast<const RunRequest&>(r),
                   .inputs = &inputs,
                   .plan = &plan,
                   .outputs = {},
                   .estimate = {},
                   .isa = {},
                   .seconds = {}};
  // Which budget it will be, and so whether weights are looked at, is only known when the claim is read.
  const engine::Needs needs{.output = true, .log_sum_exp = true, .weights = true};
  record.estimate = estimate(wide, inputs, DType::f64, is_tiled, r.threads, copies, needs);
  record.isa = isa_of(r);
  if (r.dry_run) context.print(plan_text(record, expected_seconds(wide, record.estimate.flops, DType::f64, is_tiled, r.threads)));
  require_memory(record.estimate, r.max_memory, "this needs", "to need less: hold fewer queries against the claim at a time");
  return r.dry_run;
}

void refuse_nan(const RunRequest& r, const RunInputs& inputs, const engine::Plan& plan) {
  if (r.nan != NanPolicy::error) return;
  const std::string found = first_visible_nan(inputs, plan);
  if (!found.empty()) throw Error(Status::data, found + ": a NaN that no mask hides (--nan error)");
}

void write_report(const ClaimRequest& request, const RunContext& context, const std::string& json) {
  if (request.report.empty()) return;
  Outputs report(context.temporary_folder);
  add_report(report, request.report, [&json] { return json; });
  report.commit();
}

}  // namespace attn::request

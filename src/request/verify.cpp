// Verification from files to a verdict.
#include "request/verify.hpp"

#include "analysis/error_bound.hpp"
#include "analysis/verify.hpp"
#include "engine/engine.hpp"
#include "engine/prepare.hpp"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

namespace attn::request {

namespace {

using analysis::ClaimedArray;
using analysis::Judgement;
using engine::Observer;

/// What one verification works on.
struct Work {
  const ClaimRequest& request;
  const RunInputs& inputs;
  const engine::Plan& plan;
  const engine::Operands<double>& operands;
  engine::Execution execution;

  void walk(const engine::Plan& with, const engine::Operands<double>& rows, std::span<Observer<double>* const> observers) const {
    if (request.engine == EngineChoice::reference)
      engine::run_reference(with, rows, observers, execution);
    else
      engine::run_tiled<double>(with, rows, observers, execution);
  }
};

const Claim* find(const std::vector<Claim>& claims, const char* what) {
  const auto found = std::ranges::find(claims, what, &Claim::what);
  return found == claims.end() ? nullptr : &*found;
}

/// The walk over values that carry what bounds are made of, and a second one only where pairs are claimed.
void judge(const Work& work, const analysis::Budget& budget, const std::vector<Claim>& claims,
           const std::vector<std::unique_ptr<Judgement>>& judgements, analysis::EmptyRows<double>& empty) {
  const analysis::ErrorBound bound(work.plan, work.inputs.inputs, work.operands, budget);
  engine::Plan extended_plan = work.plan;
  extended_plan.dims.value_dim = bound.extended_dim();
  engine::Operands<double> extended = work.operands;
  const engine::Dims& d = extended_plan.dims;
  const engine::Rows<double> rows{.data = bound.extended_values().values<double>().data(),
                                  .batch_stride = d.kv_heads * d.kv_len * d.value_dim,
                                  .head_stride = d.kv_len * d.value_dim,
                                  .row_stride = d.value_dim};
  extended.value = engine::RowSource<double>(rows, d.value_dim);

  const auto judgement_of = [&](const Claim* claim) {
    return claim == nullptr ? nullptr : judgements[static_cast<std::size_t>(claim - claims.data())].get();
  };
  const Claim* output = find(claims, "output");
  const Claim* weights = find(claims, "weights");
  const Claim* lse = find(claims, "lse");
  const Claim* row_output = output != nullptr && !output->is_rows ? output : nullptr;
  const Claim* pair_output = output != nullptr && output->is_rows ? output : nullptr;
  const auto array_of = [](const Claim* claim) { return claim == nullptr ? nullptr : &claim->array; };
  const bool has_pairs = weights != nullptr || pair_output != nullptr;
  analysis::RowJudge row_judge(work.plan, work.operands, bound, array_of(row_output), judgement_of(row_output), array_of(lse),
                               judgement_of(lse), has_pairs);
  Observer<double>* const first[] = {&row_judge, &empty};
  work.walk(extended_plan, extended, first);
  if (!has_pairs) return;
  std::vector<std::unique_ptr<analysis::PairJudge>> pair_judges;
  std::vector<Observer<double>*> second;
  for (const Claim* claim : {weights, pair_output}) {
    if (claim == nullptr) continue;
    pair_judges.push_back(std::make_unique<analysis::PairJudge>(
        work.plan, bound, row_judge, claim->array, claim->is_rows ? &work.operands.value : nullptr, *judgement_of(claim)));
    second.push_back(pair_judges.back().get());
  }
  work.walk(work.plan, work.operands, second);
}

/// Through projections only an absolute budget is known: the output is computed as a run does and then judged.
void judge_projected(const Work& work, const analysis::Budget& budget, const std::vector<Claim>& claims, Judgement& judgement,
                     analysis::EmptyRows<double>& empty) {
  if (claims.size() != 1 || claims.front().what != "output" || !budget.absolute)
    throw Error(Status::usage, "with --params only an output can be judged, by an absolute budget",
                "--budget 1e-5, or verify the attention between the projections by itself");
  const engine::Dims& d = work.plan.dims;
  const RunInputs& inputs = work.inputs;
  Array heads(DType::f64, {d.batch * d.q_len, d.heads * d.value_dim});
  const analysis::RowStrides strides{
      .batch = d.q_len * d.heads * d.value_dim, .head = d.value_dim, .query = d.heads * d.value_dim};
  analysis::OutputWriter<double, double> writer(work.plan, work.operands, heads.mutable_values<double>().data(), strides);
  Observer<double>* const observers[] = {&writer, &empty};
  work.walk(work.plan, work.operands, observers);
  Array exact(DType::f64, {d.batch * d.q_len, inputs.projection->output_width()});
  inputs.projection->project_output<double, double>(heads, work.request.attention.residual, exact.mutable_values<double>().data(),
                                                    work.execution, arithmetic_of(work.request));
  analysis::Tally tally;
  for (std::size_t i = 0; i < exact.size(); ++i)
    tally.take({.index = i,
                .claimed = claims.front().array.array.at_flat(i),
                .exact = exact.values<double>()[i],
                .bound = *budget.absolute});
  judgement.join(tally);
}

void require_claim(const ClaimRequest& request) {
  if (request.claim.empty() && request.claim_weights.empty() && request.claim_lse.empty())
    throw Error(Status::usage, "there is nothing to judge: --claim names the output that another program computed",
                "attn verify -q q.npy -k k.npy -v v.npy --claim theirs.npy --budget f32");
}

}  // namespace

const Table<ClaimRequest>& verify_table() {
  static const Table<ClaimRequest> table = [] {
    const std::string group = "Judging";
    using R = ClaimRequest;
    Table<R> rows{
        row<R>(
            {.name = "claim", .metavar = "F", .group = group, .help = "the output that is judged, shaped as attn run writes it"},
            [](auto& s) -> auto& { return s.claim; }),
        row<R>({.name = "claim-weights", .metavar = "F", .group = group, .help = "claimed weights, judged pair by pair"},
               [](auto& s) -> auto& { return s.claim_weights; }),
        row<R>({.name = "claim-lse", .metavar = "F", .group = group, .help = "claimed log-sum-exp of each row"},
               [](auto& s) -> auto& { return s.claim_lse; }),
        row<R>({.name = "budget",
                .metavar = "f32|tf32|f16|bf16|f64|ABS",
                .group = group,
                .help = "the precision that the claim may have been computed in, or an absolute error",
                .details = "The bound of each element follows from the data and the precision's unit roundoff. By default it is "
                           "the precision of the claim's file, f32 for text."},
               [](auto& s) -> auto& { return s.budget; }),
        row<R>({.name = "to", .metavar = "FORMAT", .group = group, .help = "for people or for programs"},
               [](auto& s) -> auto& { return s.to; }),
    };
    append_run_rows(rows);
    return rows;
  }();
  return table;
}

analysis::Verification verify(const ClaimRequest& request, const RunContext& context) {
  const auto start = std::chrono::steady_clock::now();
  require_claim(request);
  const ClaimRequest r = in_double(request, context);
  if (!r.budget.empty()) (void)analysis::read_budget("--budget", r.budget);
  const RunInputs inputs = read_inputs(r, context.reporter);
  const engine::Plan plan = engine::make_plan(inputs.inputs, inputs.options, DType::f64);
  if (only_planned(r, inputs, plan, 2 * plan.dims.value_dim + analysis::KeyMoments::count, context)) return {};
  const std::vector<Claim> claims = read_claims(r, inputs, plan, context.reporter);
  const analysis::Budget budget = analysis::read_budget("--budget", budget_of(r, claims));
  const engine::Execution execution{
      .threads = r.threads, .isa = r.isa, .cancelled = context.cancelled, .progress = context.progress};
  if (inputs.projection) inputs.projection->project(execution, arithmetic_of(r));
  engine::Findings findings;
  const engine::Operands<double> operands = engine::prepare<double>(plan, inputs.inputs, findings);
  std::vector<std::unique_ptr<Judgement>> judgements;
  for (const Claim& claim : claims)
    judgements.push_back(std::make_unique<Judgement>(claim.what, claim.file, claim.array.array.shape()));
  analysis::EmptyRows<double> empty(plan);
  const Work work{r, inputs, plan, operands, execution};
  if (inputs.projection)
    judge_projected(work, budget, claims, *judgements.front(), empty);
  else
    judge(work, budget, claims, judgements, empty);
  if (empty.count() > 0 && plan.options.empty_rows == Policy::error)
    throw Error(Status::data, fmt::format("{} queries have no key left (--empty-rows error)", empty.count()));
  std::vector<Loaded> read;
  for (const auto& file : inputs.files) read.push_back(file.second);
  for (const Claim& claim : claims) read.push_back(claim.loaded);
  verify_inputs_unchanged(read);
  analysis::Verification result{.budget = budget.name, .verdicts = {}, .empty_queries = empty.count(), .seconds = 0};
  for (const auto& judgement : judgements) result.verdicts.push_back(judgement->verdict());
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace attn::request

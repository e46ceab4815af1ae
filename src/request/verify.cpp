// Verification from files to a verdict.
#include "request/verify.hpp"

#include "analysis/error_bound.hpp"
#include "analysis/verify.hpp"
#include "base/counted.hpp"
#include "base/stopwatch.hpp"
#include "engine/engine.hpp"
#include "engine/prepare.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace attn::request {

namespace {

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

/// Room for the outputs of all heads side by side.
analysis::HeadsOutput heads_output(const engine::Dims& d) {
  const std::size_t width = d.heads * d.value_dim;
  return {.output = Array(DType::f64, {d.batch * d.q_len, width}),
          .bounds = Array(DType::f64, {d.batch * d.q_len, width}),
          .strides = {.batch = d.q_len * width, .head = d.value_dim, .query = width}};
}

/// What the projections before attention may have moved its rows by.
analysis::ProjectedErrors projected_errors(const Work& work, const analysis::Budget& budget) {
  analysis::ProjectedErrors errors;
  if (!work.inputs.projection || budget.absolute) return errors;
  if (work.plan.options.score == Score::cosine)
    throw Error(Status::usage, "the cosine of projected rows can only be judged by an absolute budget", "--budget 1e-5");
  const Projection& p = *work.inputs.projection;
  const model::AttentionParameters& w = p.parameters();
  const engine::Inputs& in = work.inputs.inputs;
  const engine::Dims& d = work.plan.dims;
  using analysis::Extent;
  errors.query = analysis::projected_errors(w.query, p.input(0), in.query.array, d.heads, Extent::length, budget);
  errors.key = analysis::projected_errors(w.key, p.input(1), in.key.array, d.kv_heads, Extent::length, budget);
  errors.value = analysis::projected_errors(w.value, p.input(2), in.value.array, d.kv_heads, Extent::feature, budget);
  errors.past = in.past_key.given() ? in.past_key.array.shape()[2] : 0;
  return errors;
}

/// The output behind its projection, with the bounds of what goes into it carried through.
void judge_projected(const Work& work, const analysis::Budget& budget, const analysis::HeadsOutput& heads, const Claim& claim,
                     Judgement& judgement) {
  const Projection& projection = *work.inputs.projection;
  const bool residual = work.request.attention.residual;
  const auto arithmetic = arithmetic_of(work.request);
  Array exact(DType::f64, {heads.output.shape()[0], projection.output_width()});
  projection.project_output<double, double>(heads.output, residual, exact.mutable_values<double>().data(), work.execution,
                                            arithmetic);
  const Array bounds = budget.absolute ? Array(DType::f64, exact.shape())
                                       : analysis::output_bounds(projection.parameters().output, heads.output, heads.bounds,
                                                                 exact, budget, arithmetic, work.execution);
  const bool nan_is_asked = work.plan.options.empty_rows == Policy::nan;
  analysis::Tally tally;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    const double y = exact.values<double>()[i];
    const double claimed = claim.array.array.at_flat(i);
    double bound = bounds.values<double>()[i];
    if (residual) {
      const double query = std::abs(projection.input(0).at_flat(i));
      bound += budget.stored * (std::abs(y) + query) + budget.operand * query;
    }
    if (nan_is_asked && std::isnan(y) && std::isnan(claimed))
      tally.take_expected_nan();
    else
      tally.take({.index = i, .claimed = claimed, .exact = y, .bound = budget.absolute.value_or(bound)});
  }
  judgement.join(tally);
}

/// The walk over values that carry what bounds are made of, and a second one only where pairs are claimed.
void judge(const Work& work, const analysis::Budget& budget, const std::vector<Claim>& claims,
           const std::vector<std::unique_ptr<Judgement>>& judgements, analysis::EmptyRows<double>& empty) {
  const analysis::ErrorBound bound(work.plan, work.inputs.inputs, work.operands, budget, projected_errors(work, budget));
  engine::Plan extended_plan = work.plan;
  extended_plan.dims.value_dim = bound.extended_dim();
  engine::Operands<double> extended = work.operands;
  const engine::Dims& d = extended_plan.dims;
  const engine::Rows<double> rows{.data = bound.extended_values().values<double>().data(),
                                  .batch_stride = d.kv_heads * d.kv_len * d.value_dim,
                                  .head_stride = d.kv_len * d.value_dim,
                                  .row_stride = d.value_dim};
  extended.value = engine::RowSource<double>(rows, d.value_dim);

  const auto judgement_of = [&](const Claim& claim) {
    return judgements[static_cast<std::size_t>(&claim - claims.data())].get();
  };
  analysis::RowClaims wanted;
  analysis::HeadsOutput heads;
  std::vector<const Claim*> pairs;
  const Claim* projected = nullptr;
  for (const Claim& claim : claims) {
    if (claim.what == "lse") {
      wanted.lse = &claim.array;
      wanted.log_sum_exps = judgement_of(claim);
    } else if (claim.what == "weights" || claim.is_rows) {
      pairs.push_back(&claim);
    } else if (work.inputs.projection) {
      projected = &claim;
      heads = heads_output(work.plan.dims);
      wanted.heads = &heads;
    } else {
      wanted.output = &claim.array;
      wanted.outputs = judgement_of(claim);
    }
  }
  wanted.keep_rows = !pairs.empty();
  analysis::RowJudge row_judge(work.plan, work.operands, bound, wanted);
  Observer<double>* const first[] = {&row_judge, &empty};
  work.walk(extended_plan, extended, first);
  if (projected != nullptr) judge_projected(work, budget, heads, *projected, *judgement_of(*projected));
  if (pairs.empty()) return;
  std::vector<std::unique_ptr<analysis::PairJudge>> pair_judges;
  std::vector<Observer<double>*> second;
  for (const Claim* claim : pairs) {
    pair_judges.push_back(std::make_unique<analysis::PairJudge>(
        work.plan, bound, row_judge, claim->array, claim->is_rows ? &work.operands.value : nullptr, *judgement_of(*claim)));
    second.push_back(pair_judges.back().get());
  }
  work.walk(work.plan, work.operands, second);
}

void require_claim(const ClaimRequest& request) {
  if (request.claim.empty() && request.claim_weights.empty() && request.claim_lse.empty())
    throw Error(Status::usage, "there is nothing to judge: --claim names the output that another program computed",
                "attn verify -q q.npy -k k.npy -v v.npy --claim theirs.npy --budget f32");
}

}  // namespace

const Table<ClaimRequest>& verify_table() {
  static const Table<ClaimRequest> table = claim_table(
      {.group = "Judging",
       .claim = "the output that is judged, shaped as attn run writes it",
       .weights = "claimed weights, judged pair by pair",
       .lse = "claimed log-sum-exp of each row",
       .budget = "the precision that the claim may have been computed in, or an absolute error",
       .budget_details = "The bound of each element follows from the data and the precision's unit roundoff. By default it is "
                         "the precision of the claim's file, f32 for text."});
  return table;
}

analysis::Verification verify(const ClaimRequest& request, const RunContext& context) {
  Stopwatch watch;
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
  refuse_nan(r, inputs, plan);
  engine::Findings findings;
  const engine::Operands<double> operands = engine::prepare<double>(plan, inputs.inputs, findings);
  std::vector<std::unique_ptr<Judgement>> judgements;
  for (const Claim& claim : claims)
    judgements.push_back(std::make_unique<Judgement>(claim.what, claim.file, claim.array.array.shape()));
  analysis::EmptyRows<double> empty(plan);
  const Work work{r, inputs, plan, operands, execution};
  judge(work, budget, claims, judgements, empty);
  if (empty.count() > 0 && plan.options.empty_rows == Policy::error)
    throw Error(Status::data, counted(empty.count(), "query has", "queries have") + " no key left (--empty-rows error)");
  for (const auto& [role, loaded] : inputs.files) verify_unchanged(loaded);
  for (const Claim& claim : claims) verify_unchanged(claim.loaded);
  analysis::Verification result{.budget = budget.name, .verdicts = {}, .empty_queries = empty.count(), .seconds = 0};
  for (const auto& judgement : judgements) result.verdicts.push_back(judgement->verdict());
  result.seconds = watch.lap();
  return result;
}

}  // namespace attn::request

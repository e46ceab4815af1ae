// Identification from files to a ranking.
#include "request/identify.hpp"

#include "analysis/budget.hpp"
#include "base/stopwatch.hpp"

#include <fmt/format.h>

namespace attn::request {

namespace {

/// Arrays as the search reads them again and again: numbers as float64, masks as bool or float64. What shares memory still does.
engine::Inputs widened(const engine::Inputs& given) {
  engine::Inputs in = given;
  in.query.array = given.query.array.converted(DType::f64);
  const auto widen = [&](const engine::NamedArray& from, const engine::NamedArray& known, const engine::NamedArray& widened) {
    return from.array.data() == known.array.data() ? widened.array : from.array.converted(DType::f64);
  };
  in.key.array = widen(given.key, given.query, in.query);
  in.value.array = widen(given.value, given.key, in.key);
  for (engine::NamedArray* past : {&in.past_key, &in.past_value})
    if (past->given()) past->array = past->array.converted(DType::f64);
  for (engine::NamedMask& mask : in.masks)
    mask.input.array = mask.input.array.converted(mask.kind == engine::MaskKind::add ? DType::f64 : DType::boolean);
  return in;
}

/// How unlike the convention that made it a claim of this precision may be. Far more than rounding does on the whole, far less
/// than another convention does: what is near enough is then ranked.
analysis::Likeness likeness_of(const analysis::Budget& budget) {
  if (budget.absolute) return {.relative = 0, .absolute = budget.absolute};
  if (budget.name == "f64") return {.relative = 1e-6, .absolute = {}};
  if (budget.name == "f32") return {.relative = 1e-3, .absolute = {}};
  if (budget.name == "bf16") return {.relative = 0.1, .absolute = {}};
  return {.relative = 0.02, .absolute = {}};
}

/// --budget, or the precision of the claim: of its numbers where they are narrower than their type, since a program that computes
/// in bfloat16 often widens what it saves.
analysis::Budget likely_budget(const ClaimRequest& r, const std::vector<Claim>& claims, Reporter& reporter) {
  if (r.budget.empty()) {
    for (const Claim& claim : claims) {
      const auto narrower = analysis::narrower_budget(claim.array.array);
      if (!narrower || *narrower == analysis::natural_budget(claim.array.array.dtype())) continue;
      reporter.note(fmt::format("{}: holds {} numbers only; taken as computed in that precision (--budget f32 says otherwise)",
                                claim.file, *narrower));
      return analysis::read_budget("--budget", std::string(*narrower));
    }
  }
  return analysis::read_budget("--budget", budget_of(r, claims));
}

void check(const ClaimRequest& r) {
  if (r.claim.empty() && r.claim_weights.empty())
    throw Error(Status::usage, "there is nothing to identify: --claim names the output that another program computed",
                "attn identify -q q.npy -k k.npy -v v.npy --claim theirs.npy");
  if (r.attention.combine == Combine::rows)
    throw Error(Status::usage, "attn identify looks at outputs that are summed, not at --combine rows");
}

/// W_o and what comes behind it, as float64.
std::shared_ptr<const analysis::OutputProjection> output_projection(const Projection& projection) {
  const model::Linear& linear = projection.parameters().output;
  const model::Matrix& w = linear.weight;
  auto result = std::make_shared<analysis::OutputProjection>();
  result->weight = Array(DType::f64, {w.in, w.out});
  const auto out = result->weight.mutable_values<double>();
  for (std::size_t i = 0; i < w.in; ++i)
    for (std::size_t o = 0; o < w.out; ++o) out[i * w.out + o] = w.at(i, o);
  if (linear.has_bias()) result->bias = linear.bias.converted(DType::f64);
  result->query = projection.input(0);
  return result;
}

}  // namespace

const Table<ClaimRequest>& identify_table() {
  static const Table<ClaimRequest> table = claim_table(
      {.group = "Identifying",
       .claim = "the output whose making is looked for, shaped as attn run writes it",
       .weights = "its weights, which must fit too",
       .lse = "",
       .budget = "the precision of the claim, or the largest difference that is near enough",
       .budget_details = "By default the precision of the claim's numbers: bf16 or f16 where all of them fit it, else that of "
                         "the file, f32 for text."});
  return table;
}

Identified identify(const ClaimRequest& request, const RunContext& context) {
  Stopwatch watch;
  check(request);
  const ClaimRequest r = in_double(request, context);
  if (!r.budget.empty()) (void)analysis::read_budget("--budget", r.budget);
  const RunInputs inputs = read_inputs(r, context.reporter);
  const engine::Plan plan = engine::make_plan(inputs.inputs, inputs.options, DType::f64);
  if (only_planned(r, inputs, plan, plan.dims.value_dim, context)) return {};
  const std::vector<Claim> claims = read_claims(r, inputs, plan, context.reporter);
  const analysis::Budget budget = likely_budget(r, claims, context.reporter);
  const engine::Execution execution{.threads = r.threads, .isa = r.isa, .cancelled = context.cancelled, .progress = {}};
  if (inputs.projection) inputs.projection->project(execution, arithmetic_of(r));
  refuse_nan(r, inputs, plan);
  Identified result;
  result.asked = {.inputs = widened(inputs.inputs), .options = inputs.options, .has_mask = !r.mask.empty()};
  if (inputs.projection) {
    result.asked.projection = output_projection(*inputs.projection);
    result.asked.options.residual = r.attention.residual;
  }
  result.scale = plan.factor * plan.options.temperature;
  result.budget = budget.name;
  analysis::ClaimedRun claimed;
  for (const Claim& claim : claims) {
    if (claim.what == "output") claimed.output = &claim.array;
    if (claim.what == "weights") claimed.weights = &claim.array;
    if (claim.what != "lse") result.elements += claim.array.array.size();
  }
  result.found = analysis::identify(result.asked, claimed, likeness_of(budget), execution);
  for (const auto& [role, loaded] : inputs.files) verify_unchanged(loaded);
  for (const Claim& claim : claims) verify_unchanged(claim.loaded);
  result.seconds = watch.lap();
  return result;
}

}  // namespace attn::request

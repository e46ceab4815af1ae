// --approx: a method in the place of the engine.
#include "request/run_method.hpp"

#include <fmt/format.h>

namespace attn::request {

std::optional<approx::Choice> method_of(const RunRequest& r, const engine::Plan& plan, const engine::Needs& needs) {
  if (r.approx.empty()) return std::nullopt;
  if (r.engine == EngineChoice::reference)
    throw Error(Status::usage, "--approx takes the place of the engine, and --engine reference asks for another",
                "attn approx measures how far a method is from the exact answer");
  const approx::Choice choice = approx::read_choice("--approx", r.approx);
  const std::string refusal = choice.method->refusal(plan, choice.setting);
  if (!refusal.empty())
    throw Error(Status::usage, fmt::format("--approx {} does not apply here: {}", choice.method->name, refusal));
  require_offered(choice, needs);
  return choice;
}

void require_offered(const approx::Choice& choice, const engine::Needs& needs) {
  const engine::Needs& offers = choice.method->offers;
  const auto require = [&](bool is_needed, bool is_offered, const char* what) {
    if (is_needed && !is_offered)
      throw Error(Status::usage, fmt::format("--approx {} has no {}", choice.method->name, what),
                  "what has a meaning with each method: docs/approximations.md");
  };
  require(needs.any_scores(), offers.any_scores(), "scores of pairs (--scores)");
  require(needs.log_sum_exp, offers.log_sum_exp, "sum of exponentials (--lse)");
  require(needs.weights, offers.weights, "weights of pairs");
  require(needs.facts || needs.top > 0, offers.facts, "weights of pairs to make statistics of");
  require(needs.columns, offers.columns, "weights to look at column by column");
}

approx::Means means_of(const RunRequest& request, DType computed_in) {
  return {.type = computed_in, .threads = request.threads, .copied = {.keys = true, .values = true}};
}

}  // namespace attn::request

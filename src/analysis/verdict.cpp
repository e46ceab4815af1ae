// What came of judging a claimed array element by element.
#include "analysis/verdict.hpp"

#include "analysis/chunks.hpp"
#include "analysis/numbers.hpp"
#include "analysis/reals.hpp"
#include "base/counted.hpp"
#include "base/json_number.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

namespace attn::analysis {

namespace {

nlohmann::ordered_json to_json(const Verdict& v) {
  Json worst = nullptr;
  if (v.elements > 0)
    worst = {{"index", unravel(v.worst.index, v.shape)},
             {"claimed", json_number(v.worst.claimed)},
             {"exact", json_number(v.worst.exact)},
             {"error", json_number(v.worst.error())},
             {"bound", json_number(v.worst.bound)}};
  return {{"what", v.what},
          {"file", v.file},
          {"holds", v.holds()},
          {"shape", v.shape},
          {"elements", v.elements},
          {"failed", v.failed},
          {"nan", v.nan},
          {"largest_error", json_number(v.largest_error)},
          {"largest_ratio", json_number(v.elements > 0 ? v.worst.ratio() : 0)},
          {"worst", worst}};
}

}  // namespace

double JudgedElement::error() const noexcept { return claimed == exact ? 0 : std::abs(claimed - exact); }

double JudgedElement::ratio() const noexcept {
  const double e = error();
  if (e == 0) return 0;
  const double r = e / bound;
  return std::isnan(r) ? kInfinity : r;
}

void Tally::take(const JudgedElement& element) noexcept {
  ++elements_;
  const double error = element.error();
  // Written so that a NaN, in the claim, in the exact number or in the bound, fails; and a number in the place of an infinity,
  // however little is known of it.
  const bool passes = error == 0 || (std::isfinite(error) && error <= element.bound);
  if (!passes) ++failed_;
  if (std::isnan(error))
    ++nan_;
  else
    largest_error_ = std::max(largest_error_, error);
  const double ratio = element.ratio();
  if (ratio > largest_ratio_ || (ratio == largest_ratio_ && element.index < worst_.index)) {
    largest_ratio_ = ratio;
    worst_ = element;
  }
}

Judgement::Judgement(std::string what, std::string file, Shape shape) {
  verdict_.what = std::move(what);
  verdict_.file = std::move(file);
  verdict_.shape = std::move(shape);
}

void Judgement::join(const Tally& t) {
  const std::lock_guard lock(mutex_);
  verdict_.elements += t.elements_;
  verdict_.failed += t.failed_;
  verdict_.nan += t.nan_;
  verdict_.largest_error = std::max(verdict_.largest_error, t.largest_error_);
  if (t.largest_ratio_ < 0) return;
  if (t.largest_ratio_ > largest_ratio_ || (t.largest_ratio_ == largest_ratio_ && t.worst_.index < verdict_.worst.index)) {
    largest_ratio_ = t.largest_ratio_;
    verdict_.worst = t.worst_;
  }
}

bool Verification::holds() const noexcept {
  return std::ranges::all_of(verdicts, [](const Verdict& v) { return v.holds(); });
}

std::string verification_text(const Verification& verification) {
  std::string text;
  for (const Verdict& v : verification.verdicts) {
    text += v.holds() ? fmt::format("{} holds: {} within the budget {}\n", v.what, counted(v.elements, "element", "elements"),
                                    verification.budget)
                      : fmt::format("{} fails: {} of {} beyond the budget {}\n", v.what, v.failed,
                                    counted(v.elements, "element", "elements"), verification.budget);
    if (v.elements == 0) continue;
    if (v.nan > 0) text += fmt::format("  NaN                      {}\n", v.nan);
    text += fmt::format("  largest error            {}\n", number(v.largest_error));
    text += fmt::format("  largest error / bound    {}\n", number(v.worst.ratio()));
    text += fmt::format("  worst at {}: claimed {}, exact {}, error {}, bound {}\n", index_text(v.worst.index, v.shape),
                        number(v.worst.claimed), number(v.worst.exact), number(v.worst.error()), number(v.worst.bound));
  }
  if (verification.empty_queries > 0)
    text += fmt::format("{} no key left\n", counted(verification.empty_queries, "query has", "queries have"));
  return text;
}

std::string verification_json(const Verification& verification) {
  Json claims = Json::array();
  for (const Verdict& v : verification.verdicts) claims.push_back(to_json(v));
  const Json all{{"holds", verification.holds()},
                 {"budget", verification.budget},
                 {"claims", std::move(claims)},
                 {"empty_queries", verification.empty_queries},
                 {"seconds", verification.seconds}};
  return all.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace attn::analysis

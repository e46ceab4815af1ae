// What statistics and strongest pairs ask of a walk, and how large their tables are.
#include "request/watch_plan.hpp"

#include "request/plot_view.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

namespace attn::request {

namespace {

/// Text has no shape and type; these are those of the numbers it is made from.
OutputPlan planned_stats(const WatchSettings& s, const engine::Dims& d) {
  const std::size_t length = s.summary ? d.q_len + d.kv_len : s.per == StatsPer::column ? d.kv_len : d.q_len;
  const std::size_t numbers = (s.per == StatsPer::pattern ? 7U : 5U) + (s.by_value_norm ? 9U : 0U);
  return {.role = "stats-out", .file = s.stats, .shape = {d.batch, d.heads, length, numbers}, .dtype = DType::f64};
}

OutputPlan planned_topk(const WatchSettings& s, const engine::Dims& d) {
  const bool is_row = s.by == TopBy::row;
  const std::size_t lines = is_row ? d.q_len : d.kv_len;
  const std::size_t most = std::min(s.most(), is_row ? d.kv_len : d.q_len);
  const bool is_sure = !s.mass && !(s.minimum > 0);
  if (is_sure && d.batch * d.heads * lines * most > s.most_pairs) analysis::refuse_pairs(s.most_pairs);
  return {.role = "topk-out", .file = s.topk, .shape = {d.batch, d.heads, lines, most, 2}, .dtype = DType::f64};
}

/// Sums in pieces, and the cells they become.
OutputPlan planned_plot(const WatchSettings& s, const engine::Plan& plan, const std::vector<std::string>& ids) {
  const analysis::PoolGrid grid = view_of(s.plot, plan, ids).grid;
  return {.role = "plot-out",
          .file = s.plot.file,
          .shape = {grid.heads.size(), grid.rows, pieces_of(grid, plan.dims.kv_len) + grid.columns},
          .dtype = DType::f64};
}

}  // namespace

void check_watch(const WatchSettings& s) {
  if (!s.plot.file.empty()) static_cast<void>(form_of(s.plot));
  if (s.by_value_norm && s.stats.empty() && s.topk.empty())
    throw Error(Status::usage, "--by-value-norm goes with --stats-out or --topk-out: what it weighs");
  if (s.topk.empty()) return;
  if (s.most() == 0) throw Error(Status::usage, "0 pairs of each row are nothing to list (expected 1 or more)");
  if (s.mass && !(*s.mass > 0 && *s.mass <= 1))
    throw Error(Status::usage, fmt::format("a mass of {} is no share of a row's weight (expected above 0, at most 1)", *s.mass));
  if (s.mass && s.by == TopBy::column)
    throw Error(Status::usage, "a mass is a share of a row's weight: columns have none to share",
                "list the strongest of columns by their number");
  if (std::isnan(s.minimum)) throw Error(Status::usage, "NaN is no bound for weights");
}

WatchSettings bounded_by(WatchSettings settings, const std::optional<ByteSize>& max_memory) {
  if (max_memory) settings.most_pairs = std::numeric_limits<std::size_t>::max();
  return settings;
}

engine::Needs table_needs(const WatchSettings& s) {
  engine::Needs needs;
  if (!s.stats.empty()) {
    needs.facts = s.summary || s.per != StatsPer::column;
    needs.columns = s.summary || s.per == StatsPer::column;
    needs.weights = !s.summary && s.per == StatsPer::pattern;
  }
  if (s.topk.empty()) return needs;
  if (s.by == TopBy::column)
    needs.columns = true;
  else
    needs |= s.selection().needs();
  return needs;
}

engine::Needs needs_of(const WatchSettings& s) {
  engine::Needs needs = table_needs(s);
  if (s.by_value_norm) needs = {.weights = needs.weights || needs.notes(), .columns = needs.columns};
  needs.columns = needs.columns || !s.plot.file.empty();
  return needs;
}

std::vector<OutputPlan> plan_watch(const WatchSettings& s, const engine::Plan& plan, const std::vector<std::string>& ids) {
  std::vector<OutputPlan> planned;
  if (!s.stats.empty()) planned.push_back(planned_stats(s, plan.dims));
  if (!s.topk.empty()) planned.push_back(planned_topk(s, plan.dims));
  if (!s.plot.file.empty()) planned.push_back(planned_plot(s, plan, ids));
  return planned;
}

}  // namespace attn::request

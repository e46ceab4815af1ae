// The observers that statistics and strongest pairs come from, and the files that they go to.
#include "request/watch_outputs.hpp"

#include "base/counted.hpp"
#include "request/plot_view.hpp"
#include "request/watch_plan.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

namespace attn::request {

template <class T>
WatchObservers<T>::WatchObservers(const WatchSettings& s, const engine::Plan& plan, Which which) {
  const bool is_all = which == Which::all;
  if (!s.stats.empty()) {
    const bool is_rows = s.summary || s.per == StatsPer::row || s.per == StatsPer::head;
    if (is_rows && is_all) rows = std::make_shared<analysis::RowStatistics<T>>(plan);
    if (s.summary || s.per == StatsPer::column) columns = std::make_shared<analysis::ColumnStatistics<T>>(plan);
    if (!s.summary && s.per == StatsPer::pattern) patterns = std::make_shared<analysis::PatternWatch<T>>(plan, s.by_value_norm);
  }
  if (s.topk.empty()) return;
  if (s.by == TopBy::column)
    queries = std::make_shared<analysis::StrongestQueries<T>>(plan, s.selection());
  else if (is_all)
    keys = std::make_shared<analysis::StrongestKeys<T>>(plan, s.selection());
}

template <class T>
std::vector<engine::Observer<T>*> WatchObservers<T>::list() const {
  std::vector<engine::Observer<T>*> all{rows.get(), columns.get(), patterns.get(), keys.get(), queries.get()};
  std::erase(all, nullptr);
  return all;
}

template <class T>
std::vector<analysis::SharedObserver<T>*> WatchObservers<T>::shared() const {
  std::vector<analysis::SharedObserver<T>*> all{columns.get(), patterns.get(), queries.get()};
  std::erase(all, nullptr);
  return all;
}

namespace {

template <class T>
std::unique_ptr<analysis::ByValueNorm<T>> by_value_norm(const engine::Plan& plan, const engine::RowSource<T>& values,
                                                        std::vector<engine::Observer<T>*> inner) {
  return std::make_unique<analysis::ByValueNorm<T>>(plan, std::make_shared<const analysis::ValueNorms<T>>(values, plan.dims),
                                                    std::move(inner));
}

}  // namespace

template <class T>
WatchOutputs<T>::WatchOutputs(const WatchSettings& settings, const engine::Plan& plan, const engine::RowSource<T>& values,
                              const WatchText& text, Outputs& files)
    : settings_(settings), plan_(plan), made_(settings, plan, WatchObservers<T>::Which::all) {
  check_watch(settings);
  if (!settings.stats.empty()) add_stats(text, files);
  if (!settings.topk.empty()) add_topk(text, files);
  if (settings.by_value_norm) by_value_norm_ = by_value_norm(plan, values, made_.list());
  if (!settings.plot.file.empty())
    plot_ = std::make_unique<PlotOutput<T>>(
        settings.plot, plan,
        PlotNames{.ids = text.ids, .key_ids = text.key_ids, .source = text.source, .line_axis = text.line_axis}, files);
}

template <class T>
void WatchOutputs<T>::add_stats(const WatchText& text, Outputs& files) {
  const FileName name = FileName::parse_output(settings_.stats);
  if (settings_.summary)
    return files.add_text(
        name, [text, rows = made_.rows, columns = made_.columns, window = settings_.plot.terminal](Outputs::TextSink& sink) {
          text.summary(sink, analysis::head_facts(text.dims, rows->facts()), columns->facts(), window);
        });
  switch (settings_.per) {
    case StatsPer::row:
      return files.add_text(name, [text, rows = made_.rows](Outputs::TextSink& sink) { text.rows(sink, rows->facts()); });
    case StatsPer::column:
      return files.add_text(name,
                            [text, columns = made_.columns](Outputs::TextSink& sink) { text.columns(sink, columns->facts()); });
    case StatsPer::head:
      return files.add_text(name, [text, rows = made_.rows](Outputs::TextSink& sink) {
        text.heads(sink, analysis::head_facts(text.dims, rows->facts()));
      });
    case StatsPer::pattern:
      return files.add_text(
          name, [text, patterns = made_.patterns](Outputs::TextSink& sink) { text.patterns(sink, patterns->heads()); });
  }
}

template <class T>
void WatchOutputs<T>::add_topk(const WatchText& text, Outputs& files) {
  const FileName name = FileName::parse_output(settings_.topk);
  const TopForm form = settings_.form;
  if (settings_.by == TopBy::column) {
    return files.add_text(name, [text, form, queries = made_.queries](Outputs::TextSink& sink) {
      text.strongest(sink, queries->found(), TopBy::column, form);
    });
  }
  files.add_text(
      name, [text, form, keys = made_.keys](Outputs::TextSink& sink) { text.strongest(sink, keys->found(), TopBy::row, form); });
}

template <class T>
std::vector<engine::Observer<T>*> WatchOutputs<T>::observers() const {
  if (by_value_norm_ == nullptr) return learners();
  std::vector<engine::Observer<T>*> all{by_value_norm_.get()};
  if (plot_ != nullptr) all.push_back(plot_->observer());
  return all;
}

template <class T>
std::vector<engine::Observer<T>*> WatchOutputs<T>::learners() const {
  std::vector<engine::Observer<T>*> all = made_.list();
  if (plot_ != nullptr) all.push_back(plot_->observer());
  return all;
}

template <class T>
std::vector<analysis::SharedObserver<T>*> WatchOutputs<T>::shared() const {
  std::vector<analysis::SharedObserver<T>*> all = made_.shared();
  if (plot_ != nullptr) all.push_back(plot_->observer());
  return all;
}

template <class T>
WatchPart<T>::WatchPart(const WatchSettings& settings, const engine::Plan& plan, const engine::RowSource<T>& values,
                        const std::vector<std::string>& ids, engine::Observer<T>& rows)
    : made_(settings, plan, WatchObservers<T>::Which::shared), rows_(rows) {
  if (settings.by_value_norm) by_value_norm_ = by_value_norm(plan, values, inner());
  if (!settings.plot.file.empty())
    cells_ = std::make_unique<analysis::PooledWeights<T>>(plan, settings.plot.pool, view_of(settings.plot, plan, ids).grid);
}

template <class T>
std::vector<engine::Observer<T>*> WatchPart<T>::inner() const {
  std::vector<engine::Observer<T>*> all = made_.list();
  all.push_back(&rows_);
  return all;
}

template <class T>
std::vector<engine::Observer<T>*> WatchPart<T>::observers() const {
  std::vector<engine::Observer<T>*> all = inner();
  if (by_value_norm_ != nullptr) all = {by_value_norm_.get()};
  if (cells_ != nullptr) all.push_back(cells_.get());
  return all;
}

template <class T>
std::vector<analysis::SharedObserver<T>*> WatchPart<T>::shared() const {
  std::vector<analysis::SharedObserver<T>*> all = made_.shared();
  if (cells_ != nullptr) all.push_back(cells_.get());
  return all;
}

namespace {

/// `row` counts through all heads and batch entries.
[[noreturn]] void refuse_negative(const engine::Dims& d, std::size_t row) {
  throw Error(Status::data,
              fmt::format("query {} of head {}, batch entry {}, has negative weights, which have no entropy", row % d.q_len,
                          row / d.q_len % d.heads, row / d.q_len / d.heads),
              "statistics of columns do not need one: --per column");
}

}  // namespace

template <class T>
void WatchOutputs<T>::finish(Reporter& reporter) const {
  if (made_.rows != nullptr) {
    const auto& facts = made_.rows->facts();
    const auto found = std::ranges::find_if(facts, &engine::RowFacts::has_negative);
    if (found != facts.end()) refuse_negative(plan_.dims, static_cast<std::size_t>(found - facts.begin()));
  }
  if (made_.patterns != nullptr)
    if (const auto row = made_.patterns->first_negative()) refuse_negative(plan_.dims, *row);
  if (plot_ != nullptr) plot_->finish(reporter);
  if (made_.keys != nullptr && made_.keys->short_rows() > 0)
    reporter.warn(fmt::format("{} more than {} to hold the mass {} (ask for more)",
                              counted(made_.keys->short_rows(), "row needs", "rows need"),
                              counted(settings_.most(), "key", "keys"), settings_.mass.value_or(1)));
}

template <class T>
bool WatchOutputs<T>::saw_nan() const {
  if (made_.rows != nullptr &&
      std::ranges::any_of(made_.rows->facts(), [](const engine::RowFacts& f) { return std::isnan(f.mass); }))
    return true;
  if (plot_ != nullptr && plot_->saw_nan()) return true;
  return made_.columns != nullptr &&
         std::ranges::any_of(made_.columns->facts(), [](const analysis::ColumnFacts& f) { return std::isnan(f.received); });
}

template struct WatchObservers<float>;
template struct WatchObservers<double>;
template class WatchOutputs<float>;
template class WatchOutputs<double>;
template class WatchPart<float>;
template class WatchPart<double>;

}  // namespace attn::request

// The observers that statistics and strongest pairs come from, and the files that they go to.
#include "request/watch_outputs.hpp"

#include "request/watch_plan.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace attn::request {

template <class T>
WatchOutputs<T>::WatchOutputs(const WatchSettings& settings, const engine::Plan& plan, const engine::RowSource<T>& values,
                              const WatchText& text, Outputs& files)
    : settings_(settings), plan_(plan) {
  check_watch(settings);
  if (!settings.stats.empty()) add_stats(text, files);
  if (!settings.topk.empty()) add_topk(text, files);
  if (settings.by_value_norm)
    by_value_norm_ = std::make_unique<analysis::ByValueNorm<T>>(
        plan, std::make_shared<const analysis::ValueNorms<T>>(values, plan.dims), tables());
  if (!settings.plot.file.empty())
    plot_ = std::make_unique<PlotOutput<T>>(
        settings.plot, plan,
        PlotNames{.ids = text.ids, .key_ids = text.key_ids, .source = text.source, .line_axis = text.line_axis}, files);
}

template <class T>
void WatchOutputs<T>::add_stats(const WatchText& text, Outputs& files) {
  const bool is_rows = settings_.summary || settings_.per == StatsPer::row || settings_.per == StatsPer::head;
  if (is_rows) rows_ = std::make_shared<analysis::RowStatistics<T>>(plan_);
  if (settings_.summary || settings_.per == StatsPer::column) columns_ = std::make_shared<analysis::ColumnStatistics<T>>(plan_);
  if (!settings_.summary && settings_.per == StatsPer::pattern)
    patterns_ = std::make_shared<analysis::PatternWatch<T>>(plan_, settings_.by_value_norm);
  const FileName name = FileName::parse_output(settings_.stats);
  if (settings_.summary)
    return files.add_text(name,
                          [text, rows = rows_, columns = columns_, window = settings_.plot.terminal](Outputs::TextSink& sink) {
                            text.summary(sink, analysis::head_facts(text.dims, rows->facts()), columns->facts(), window);
                          });
  switch (settings_.per) {
    case StatsPer::row:
      return files.add_text(name, [text, rows = rows_](Outputs::TextSink& sink) { text.rows(sink, rows->facts()); });
    case StatsPer::column:
      return files.add_text(name, [text, columns = columns_](Outputs::TextSink& sink) { text.columns(sink, columns->facts()); });
    case StatsPer::head:
      return files.add_text(name, [text, rows = rows_](Outputs::TextSink& sink) {
        text.heads(sink, analysis::head_facts(text.dims, rows->facts()));
      });
    case StatsPer::pattern:
      return files.add_text(name,
                            [text, patterns = patterns_](Outputs::TextSink& sink) { text.patterns(sink, patterns->heads()); });
  }
}

template <class T>
void WatchOutputs<T>::add_topk(const WatchText& text, Outputs& files) {
  const FileName name = FileName::parse_output(settings_.topk);
  const TopForm form = settings_.form;
  if (settings_.by == TopBy::column) {
    queries_ = std::make_shared<analysis::StrongestQueries<T>>(plan_, settings_.selection());
    return files.add_text(name, [text, form, queries = queries_](Outputs::TextSink& sink) {
      text.strongest(sink, queries->found(), TopBy::column, form);
    });
  }
  keys_ = std::make_shared<analysis::StrongestKeys<T>>(plan_, settings_.selection());
  files.add_text(name,
                 [text, form, keys = keys_](Outputs::TextSink& sink) { text.strongest(sink, keys->found(), TopBy::row, form); });
}

template <class T>
std::vector<engine::Observer<T>*> WatchOutputs<T>::observers() const {
  std::vector<engine::Observer<T>*> all = tables();
  if (by_value_norm_ != nullptr) all = {by_value_norm_.get()};
  if (plot_ != nullptr) all.push_back(plot_->observer());
  return all;
}

template <class T>
std::vector<engine::Observer<T>*> WatchOutputs<T>::tables() const {
  std::vector<engine::Observer<T>*> all{rows_.get(), columns_.get(), patterns_.get(), keys_.get(), queries_.get()};
  std::erase(all, nullptr);
  return all;
}

template <class T>
void WatchOutputs<T>::finish(Reporter& reporter) const {
  if (rows_ != nullptr) {
    const auto& facts = rows_->facts();
    // Of a row with a NaN the mass is NaN, too.
    const auto found =
        std::ranges::find_if(facts, [](const engine::RowFacts& f) { return std::isnan(f.entropy) && !std::isnan(f.mass); });
    if (found != facts.end()) {
      const auto row = static_cast<std::size_t>(found - facts.begin());
      const engine::Dims& d = plan_.dims;
      throw Error(Status::data,
                  fmt::format("query {} of head {}, batch entry {}, has negative weights, which have no entropy", row % d.q_len,
                              row / d.q_len % d.heads, row / d.q_len / d.heads),
                  "statistics of columns do not need one: --per column");
    }
  }
  if (plot_ != nullptr) plot_->finish(reporter);
  if (keys_ != nullptr && keys_->short_rows() > 0)
    reporter.warn(fmt::format("{} rows need more than {} keys to hold the mass {} (ask for more)", keys_->short_rows(),
                              settings_.most(), settings_.mass.value_or(1)));
}

template <class T>
bool WatchOutputs<T>::saw_nan() const {
  if (rows_ != nullptr && std::ranges::any_of(rows_->facts(), [](const engine::RowFacts& f) { return std::isnan(f.mass); }))
    return true;
  if (plot_ != nullptr && plot_->saw_nan()) return true;
  return columns_ != nullptr &&
         std::ranges::any_of(columns_->facts(), [](const analysis::ColumnFacts& f) { return std::isnan(f.received); });
}

template class WatchOutputs<float>;
template class WatchOutputs<double>;

}  // namespace attn::request

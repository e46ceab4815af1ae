// Numbers about the weights of a run, for the ledger.
#include "sweep/metrics.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace attn::sweep {

namespace {

struct Metric {
  std::string_view name;
  double analysis::HeadFacts::*mean;
};

constexpr std::array<Metric, 4> kMetrics{{{"entropy", &analysis::HeadFacts::entropy},
                                          {"support", &analysis::HeadFacts::support},
                                          {"max", &analysis::HeadFacts::maximum},
                                          {"distance", &analysis::HeadFacts::distance}}};

}  // namespace

std::vector<std::string> metric_names() {
  std::vector<std::string> names;
  for (const Metric& metric : kMetrics) names.emplace_back(metric.name);
  return names;
}

std::vector<std::pair<std::string, double>> MetricWatch::means(const std::vector<std::string>& names) const {
  if ((!single_ && !double_) || dims_.batch * dims_.heads * dims_.q_len == 0) return {};
  const std::vector<analysis::HeadFacts> heads = analysis::head_facts(dims_, single_ ? single_->facts() : double_->facts());
  std::vector<std::pair<std::string, double>> means;
  for (const std::string& name : names) {
    const auto* const metric = std::ranges::find(kMetrics, name, &Metric::name);
    double sum = 0;
    for (const analysis::HeadFacts& head : heads) sum += head.*(metric->mean);
    means.emplace_back(name, sum / static_cast<double>(heads.size()));
  }
  return means;
}

}  // namespace attn::sweep

// Numbers about the weights of a run, for the ledger: means over all rows, taken from the walk that makes the output.
#pragma once

#include "analysis/statistics.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace attn::sweep {

/// Names of all metrics that there are: entropy (nats), support (exp of the entropy), max and distance of each row's weights.
[[nodiscard]] std::vector<std::string> metric_names();

/// Watches the walk of one run.
class MetricWatch {
 public:
  [[nodiscard]] engine::Observer<float>* watch(const engine::Plan& plan, float /*type*/) { return &start(single_, plan); }
  [[nodiscard]] engine::Observer<double>* watch(const engine::Plan& plan, double /*type*/) { return &start(double_, plan); }
  /// Means over the rows of all heads, in the order of `names`; nothing when no walk was watched or there are no rows.
  [[nodiscard]] std::vector<std::pair<std::string, double>> means(const std::vector<std::string>& names) const;

 private:
  template <class T>
  engine::Observer<T>& start(std::optional<analysis::RowStatistics<T>>& rows, const engine::Plan& plan) {
    dims_ = plan.dims;
    return rows.emplace(plan);
  }

  std::optional<analysis::RowStatistics<float>> single_;
  std::optional<analysis::RowStatistics<double>> double_;
  engine::Dims dims_;
};

}  // namespace attn::sweep

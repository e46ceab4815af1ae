// The observers that statistics and strongest pairs come from, and the files that they go to.
#pragma once

#include "analysis/by_value_norm.hpp"
#include "engine/engine.hpp"
#include "request/plot_output.hpp"
#include "request/watch_text.hpp"

#include <memory>
#include <vector>

namespace attn::request {

/// The observers that tables are made from; null for what nobody asks for. They are shared with those who write the tables.
template <class T>
struct WatchObservers {
  enum class Which { all, shared };
  /// `shared`: only those that tell others what they have learned.
  WatchObservers(const WatchSettings& settings, const engine::Plan& plan, Which which);

  [[nodiscard]] std::vector<engine::Observer<T>*> list() const;
  [[nodiscard]] std::vector<analysis::SharedObserver<T>*> shared() const;

  std::shared_ptr<analysis::RowStatistics<T>> rows;
  std::shared_ptr<analysis::ColumnStatistics<T>> columns;
  std::shared_ptr<analysis::PatternWatch<T>> patterns;
  std::shared_ptr<analysis::StrongestKeys<T>> keys;
  std::shared_ptr<analysis::StrongestQueries<T>> queries;
};

/// Makes the observers that the settings ask for and declares the files. T is the type the walk hands out.
template <class T>
class WatchOutputs {
 public:
  /// `settings` and `plan` must live until the files are committed, the names of `text` until finish(). `values` are read only
  /// where the settings weigh by their norms.
  WatchOutputs(const WatchSettings& settings, const engine::Plan& plan, const engine::RowSource<T>& values, const WatchText& text,
               Outputs& files);

  [[nodiscard]] std::vector<engine::Observer<T>*> observers() const;
  /// Those that are told of the rows that other processes have seen, which are made of norms already where the settings want
  /// that.
  [[nodiscard]] std::vector<engine::Observer<T>*> learners() const;
  /// Those that can be told what other processes have seen.
  [[nodiscard]] std::vector<analysis::SharedObserver<T>*> shared() const;
  /// After the walk: draws, refuses negative weights where an entropy was asked for, and says what could not be had.
  void finish(Reporter& reporter) const;
  /// Some statistic is NaN.
  [[nodiscard]] bool saw_nan() const;

 private:
  void add_stats(const WatchText& text, Outputs& files);
  void add_topk(const WatchText& text, Outputs& files);

  const WatchSettings& settings_;
  const engine::Plan& plan_;
  // The text is made when the files are committed, by producers that share these.
  WatchObservers<T> made_;
  std::unique_ptr<analysis::ByValueNorm<T>> by_value_norm_;  ///< between the walk and all of the above, or null
  std::unique_ptr<PlotOutput<T>> plot_;
};

/// What a process watches for another one that has the outputs. T is the type the walk hands out.
template <class T>
class WatchPart {
 public:
  /// `rows` is told of rows as the tables want them, and must outlive this, as must `plan`. `values` are read only where the
  /// settings weigh by their norms.
  WatchPart(const WatchSettings& settings, const engine::Plan& plan, const engine::RowSource<T>& values,
            const std::vector<std::string>& ids, engine::Observer<T>& rows);
  [[nodiscard]] std::vector<engine::Observer<T>*> observers() const;
  /// In the order of WatchOutputs::shared().
  [[nodiscard]] std::vector<analysis::SharedObserver<T>*> shared() const;

 private:
  /// What learns of weights, or of norms in their place.
  [[nodiscard]] std::vector<engine::Observer<T>*> inner() const;

  WatchObservers<T> made_;
  engine::Observer<T>& rows_;
  std::unique_ptr<analysis::ByValueNorm<T>> by_value_norm_;  ///< between the walk and all of the above, or null
  std::unique_ptr<analysis::PooledWeights<T>> cells_;
};

}  // namespace attn::request

// Statistics and strongest pairs as text.
#pragma once

#include "analysis/patterns.hpp"
#include "analysis/statistics.hpp"
#include "analysis/strongest.hpp"
#include "request/watch_request.hpp"

#include <attn/io.hpp>

#include <string>
#include <vector>

namespace attn::request {

/// What all tables share. Names are those of queries and keys, or empty.
struct WatchText {
  engine::Dims dims;
  std::vector<std::string> ids;
  std::vector<std::string> key_ids;
  std::string source = {};     ///< the file that weights come from which were not computed
  std::string line_axis = {};  ///< what the first axis of the weights is, where that is known
  bool is_single = true;       ///< numbers are float32: as many digits as read back to that

  void rows(Outputs::TextSink& sink, const std::vector<engine::RowFacts>& facts) const;
  void columns(Outputs::TextSink& sink, const std::vector<analysis::ColumnFacts>& facts) const;
  void heads(Outputs::TextSink& sink, const std::vector<analysis::HeadFacts>& facts) const;
  void patterns(Outputs::TextSink& sink, const std::vector<analysis::HeadPattern>& patterns) const;
  void strongest(Outputs::TextSink& sink, const analysis::Strongest& found, TopBy by, TopForm form) const;
  /// A page of at most 24 lines: the heads, and the keys that receive most, their names cut to what the window has room for.
  void summary(Outputs::TextSink& sink, const std::vector<analysis::HeadFacts>& heads,
               const std::vector<analysis::ColumnFacts>& columns, const render::Terminal& window) const;
};

}  // namespace attn::request

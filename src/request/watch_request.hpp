// What a run is asked about its weights: statistics and strongest pairs.
#pragma once

#include "analysis/strongest.hpp"
#include "request/plot_request.hpp"

#include <cstddef>
#include <optional>
#include <string>

namespace attn::request {

enum class StatsPer { row, column, head, pattern };
enum class TopBy { row, column };
enum class TopForm { csv, ndjson };

/// FILE members are empty when nothing is asked for.
struct WatchSettings {
  std::string stats;
  StatsPer per = StatsPer::row;
  bool by_value_norm = false;  ///< of |w_ij| ||v_j||, whatever is asked for
  bool summary = false;        ///< statistics as a page for people instead of CSV

  std::string topk;
  std::optional<std::size_t> count;  ///< of each row or column; default 10, or with `mass` most_for_mass
  TopBy by = TopBy::row;
  double minimum = 0;
  std::optional<double> mass;
  bool no_self = false;
  TopForm form = TopForm::csv;

  /// Pairs that a table may hold where --max-memory sets no bound: 4 GiB of them.
  std::size_t most_pairs = std::size_t{1} << 28U;
  PlotSettings plot;

  /// Keys of a row that are kept at most while its mass is not reached.
  static constexpr std::size_t most_for_mass = 4096;
  [[nodiscard]] std::size_t most() const { return count.value_or(mass ? most_for_mass : 10); }
  [[nodiscard]] analysis::Selection selection() const {
    return {.most = most(), .minimum = minimum, .no_self = no_self, .mass = mass, .most_pairs = most_pairs};
  }
};

/// The heading of these options; commands that have no use for them leave the group out.
inline constexpr const char* kWatchGroup = "Statistics";

/// Where rows are shown, and what stands before their names: attn run has "--topk-min" for what is "--min" of attn topk.
struct WatchNames {
  std::string group;
  std::string prefix;
};
/// What statistics are of, and which pairs are listed how.
[[nodiscard]] Table<WatchSettings> stats_rows(const WatchNames& names);
[[nodiscard]] Table<WatchSettings> topk_rows(const WatchNames& names);
/// What stands for the weights in all of them.
[[nodiscard]] Row<WatchSettings> by_value_norm_row(const std::string& group);

/// All of it as `attn run` has it, with the outputs' files.
[[nodiscard]] const Table<WatchSettings>& watch_table();

template <>
struct Names<StatsPer> {
  static constexpr std::array<std::pair<std::string_view, StatsPer>, 4> list{
      {{"row", StatsPer::row}, {"column", StatsPer::column}, {"head", StatsPer::head}, {"pattern", StatsPer::pattern}}};
};
template <>
struct Names<TopBy> {
  static constexpr std::array<std::pair<std::string_view, TopBy>, 2> list{{{"row", TopBy::row}, {"column", TopBy::column}}};
};
template <>
struct Names<TopForm> {
  static constexpr std::array<std::pair<std::string_view, TopForm>, 2> list{{{"csv", TopForm::csv}, {"ndjson", TopForm::ndjson}}};
};

}  // namespace attn::request

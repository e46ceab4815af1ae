// The options that ask a run for statistics and strongest pairs.
#include "request/watch_request.hpp"

namespace attn::request {

using W = WatchSettings;

Table<W> stats_rows(const WatchNames& names) {
  Table<W> t;
  t.push_back(row<W>({.name = names.prefix + "per",
                      .metavar = "WHAT",
                      .group = names.group,
                      .help = "statistics of each row, column or head, or the pattern that a head follows"},
                     [](auto& s) -> auto& { return s.per; }));
  return t;
}

Table<W> topk_rows(const WatchNames& names) {
  Table<W> t;
  const bool is_own = names.prefix.empty();
  t.push_back(row<W>({.name = names.prefix + "number",
                      .letter = is_own ? 'n' : char{0},
                      .metavar = "N",
                      .group = names.group,
                      .help = "how many pairs of each row or column",
                      .details = "Where the mass decides, as many as that needs, but no more than 4096.",
                      .fallback = "10"},
                     [](auto& s) -> auto& { return s.count; }));
  t.push_back(row<W>({.name = names.prefix + "by",
                      .metavar = "WHAT",
                      .group = names.group,
                      .help = "the strongest keys of each row, or the strongest queries of each column"},
                     [](auto& s) -> auto& { return s.by; }));
  t.push_back(row<W>({.name = names.prefix + "min", .metavar = "W", .group = names.group, .help = "leaves out weights below W"},
                     [](auto& s) -> auto& { return s.minimum; }));
  t.push_back(row<W>({.name = names.prefix + "mass",
                      .metavar = "M",
                      .group = names.group,
                      .help = "the fewest keys that hold the share M of a row's weight, as many as are asked for at most"},
                     [](auto& s) -> auto& { return s.mass; }));
  t.push_back(
      row<W>({.name = names.prefix + "no-self", .group = names.group, .help = "leaves out the key at the query's own position"},
             [](auto& s) -> auto& { return s.no_self; }));
  t.push_back(row<W>({.name = names.prefix + (is_own ? "to" : "form"),
                      .metavar = "FORM",
                      .group = names.group,
                      .help = "CSV, or one JSON object a line"},
                     [](auto& s) -> auto& { return s.form; }));
  return t;
}

Row<W> by_value_norm_row(const std::string& group) {
  return row<W>(
      {.name = "by-value-norm",
       .group = group,
       .help = "the norm of w_ij v_j in the place of the weight w_ij (Kobayashi et al. 2020)",
       .details =
           "A key with a large weight and a short value adds little to the output. Largest weights, strongest keys and what "
           "keys receive are norms as they are; entropy, support, distance and patterns are of each norm's share of its row."},
      [](auto& s) -> auto& { return s.by_value_norm; });
}

const Table<W>& watch_table() {
  static const Table<W> table = [] {
    Table<W> rows;
    const auto self = [](auto& s) -> auto& { return s; };
    rows.push_back(row<W>({.name = "stats-out",
                           .metavar = "F",
                           .group = kWatchGroup,
                           .help = "statistics of the weights as CSV, from the same walk",
                           .details = "What attn stats writes. It changes no bit of the other outputs.",
                           .writes = true},
                          [](auto& s) -> auto& { return s.stats; }));
    append(rows, stats_rows({kWatchGroup, "stats-"}), self);
    rows.push_back(row<W>({.name = "topk-out",
                           .metavar = "F",
                           .group = kWatchGroup,
                           .help = "the strongest keys of each query, from the same walk",
                           .details = "What attn topk writes. It changes no bit of the other outputs.",
                           .writes = true},
                          [](auto& s) -> auto& { return s.topk; }));
    append(rows, topk_rows({kWatchGroup, "topk-"}), self);
    rows.push_back(by_value_norm_row(kWatchGroup));
    const auto plot = [](auto& s) -> auto& { return s.plot; };
    rows.push_back(row<W>({.name = "plot-out",
                           .metavar = "F",
                           .group = kWatchGroup,
                           .help = "a picture of the weights, from the same walk",
                           .details = "What attn plot draws. It changes no bit of the other outputs."},
                          [](auto& s) -> auto& { return s.plot.file; }));
    append(rows, plot_rows(kWatchGroup, "plot-"), plot);
    return rows;
  }();
  return table;
}

}  // namespace attn::request

// The options that ask a run for statistics and strongest pairs.
#include "request/watch_request.hpp"

namespace attn::request {

namespace {

using W = WatchSettings;

void add_stats(Table<W>& t) {
  t.push_back(row<W>({.name = "stats-out",
                      .metavar = "F",
                      .group = kWatchGroup,
                      .help = "statistics of the weights as CSV, from the same walk",
                      .details = "What attn stats writes. It changes no bit of the other outputs."},
                     [](auto& s) -> auto& { return s.stats; }));
  t.push_back(row<W>({.name = "stats-per",
                      .metavar = "WHAT",
                      .group = kWatchGroup,
                      .help = "statistics of each row, column or head, or the pattern that a head follows"},
                     [](auto& s) -> auto& { return s.per; }));
}

void add_topk(Table<W>& t) {
  t.push_back(row<W>({.name = "topk-out",
                      .metavar = "F",
                      .group = kWatchGroup,
                      .help = "the strongest keys of each query, from the same walk",
                      .details = "What attn topk writes. It changes no bit of the other outputs."},
                     [](auto& s) -> auto& { return s.topk; }));
  t.push_back(
      row<W>({.name = "topk-number", .metavar = "N", .group = kWatchGroup, .help = "how many pairs of each row or column"},
             [](auto& s) -> auto& { return s.count; }));
  t.push_back(row<W>({.name = "topk-by",
                      .metavar = "WHAT",
                      .group = kWatchGroup,
                      .help = "the strongest keys of each row, or the strongest queries of each column"},
                     [](auto& s) -> auto& { return s.by; }));
  t.push_back(row<W>({.name = "topk-min", .metavar = "W", .group = kWatchGroup, .help = "leaves out weights below W"},
                     [](auto& s) -> auto& { return s.minimum; }));
  t.push_back(row<W>({.name = "topk-mass",
                      .metavar = "M",
                      .group = kWatchGroup,
                      .help = "the fewest keys that hold the share M of a row's weight, as many as are asked for at most"},
                     [](auto& s) -> auto& { return s.mass; }));
  t.push_back(row<W>({.name = "topk-no-self", .group = kWatchGroup, .help = "leaves out the key at the query's own position"},
                     [](auto& s) -> auto& { return s.no_self; }));
  t.push_back(row<W>({.name = "topk-form", .metavar = "FORM", .group = kWatchGroup, .help = "CSV, or one JSON object a line"},
                     [](auto& s) -> auto& { return s.form; }));
}

}  // namespace

const Table<WatchSettings>& watch_table() {
  static const Table<WatchSettings> table = [] {
    Table<WatchSettings> rows;
    add_stats(rows);
    add_topk(rows);
    return rows;
  }();
  return table;
}

}  // namespace attn::request

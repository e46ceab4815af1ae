// The option tables of attn stats, attn topk and attn plot: their own rows, and those of attn run.
#include "request/look.hpp"

#include <utility>

namespace attn::request {

namespace {

using Look = LookRequest;

constexpr const char* kLooking = "Looking";

constexpr auto kWatch = [](auto& s) -> auto& { return s.watch; };

Row<Look> from_weights_row() {
  return row<Look>(
      {.name = "from-weights",
       .metavar = "F",
       .group = kLooking,
       .help = "weights that are there already, in the place of queries and keys",
       .details = "[q_len, kv_len], or with [batch, heads] or [heads] before; any type of number. NPY, stored NPZ and "
                  "safetensors files are mapped and read row by row. Several files are the layers of a model, of as many "
                  "heads, queries and keys each, and stand in the place of batch entries. Positions count from "
                  "--query-offset; --value is read with --by-value-norm.",
       .repeated = true},
      [](auto& s) -> auto& { return s.from_weights; });
}

/// What `attn run` has besides: its arrays may be written in the same walk.
void add_run(Table<Look>& table, const char* output_help) {
  Table<Look> rows;
  append(rows, run_table(), [](auto& s) -> auto& { return s; });
  for (Row<Look>& r : rows) {
    if (r.option.group == kWatchGroup || r.option.name == "to") continue;
    if (r.option.name == "output") {
      r.option.help = output_help;
      r.option.details.clear();
    }
    table.push_back(std::move(r));
  }
}

}  // namespace

const Table<LookRequest>& stats_table() {
  static const Table<Look> table = [] {
    Table<Look> rows;
    append(rows, stats_rows({kLooking, ""}), kWatch);
    rows.push_back(row<Look>(
        {.name = "detect",
         .group = kLooking,
         .help = "what each head looks at: the previous token, the first, itself, its neighbours, everything",
         .details =
             "The same as --per pattern: mean weights of the key before the query, of the first key, of the query's own, of "
             "3 neighbours on each side, and the entropy's share of the largest there could be."},
        [](auto& s) -> auto& { return s.detect; }));
    append(rows, Table<WatchSettings>{by_value_norm_row(kLooking)}, kWatch);
    rows.push_back(from_weights_row());
    add_run(rows, "the table as CSV");
    return rows;
  }();
  return table;
}

const Table<LookRequest>& topk_table() {
  static const Table<Look> table = [] {
    Table<Look> rows;
    append(rows, topk_rows({kLooking, ""}), kWatch);
    append(rows, Table<WatchSettings>{by_value_norm_row(kLooking)}, kWatch);
    rows.push_back(from_weights_row());
    add_run(rows, "the table");
    return rows;
  }();
  return table;
}

const Table<LookRequest>& plot_table() {
  static const Table<Look> table = [] {
    Table<Look> rows;
    append(rows, plot_rows(kLooking, ""), [](auto& s) -> auto& { return s.watch.plot; });
    rows.push_back(
        row<Look>({.name = "html", .metavar = "F", .group = kLooking, .help = "a page for a browser: short for -o F --to html"},
                  [](auto& s) -> auto& { return s.html; }));
    rows.push_back(from_weights_row());
    add_run(rows, "the picture: .png, .svg, .html, .txt, or - for the terminal");
    return rows;
  }();
  return table;
}

}  // namespace attn::request

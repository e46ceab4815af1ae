// The option tables of attn stats and attn topk: their own rows, and those of attn run.
#include "request/look.hpp"

#include <algorithm>

namespace attn::request {

namespace {

using L = LookRequest;

constexpr const char* kLooking = "Looking";

/// The row of `attn run` for the same setting, under this command's own name.
Row<L> own_row(const char* run_name, const char* name, char letter, const char* metavar) {
  const auto found = std::ranges::find_if(watch_table(), [&](const Row<WatchSettings>& r) { return r.option.name == run_name; });
  Table<L> rows;
  append(rows, Table<WatchSettings>{*found}, [](auto& s) -> auto& { return s.watch; });
  Option& option = rows.front().option;
  option.name = name;
  option.letter = letter;
  option.group = kLooking;
  if (!option.is_switch()) option.metavar = metavar;
  return rows.front();
}

Row<L> from_weights_row() {
  return row<L>({.name = "from-weights",
                 .metavar = "F",
                 .group = kLooking,
                 .help = "weights that are there already, in the place of queries and keys",
                 .details = "[q_len, kv_len], or with [batch, heads] or [heads] before; any type of number. NPY, stored NPZ and "
                            "safetensors files are mapped and read row by row. Positions count from --query-offset."},
                [](auto& s) -> auto& { return s.from_weights; });
}

/// What `attn run` has besides: its arrays may be written in the same walk.
void add_run(Table<L>& table, const char* output_help) {
  Table<L> rows;
  append(rows, run_table(), [](auto& s) -> auto& { return s; });
  for (Row<L>& r : rows) {
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
  static const Table<L> table = [] {
    Table<L> rows;
    rows.push_back(own_row("stats-per", "per", 0, "WHAT"));
    rows.push_back(row<L>(
        {.name = "detect",
         .group = kLooking,
         .help = "what each head looks at: the previous token, the first, itself, its neighbours, everything",
         .details =
             "The same as --per pattern: mean weights of the key before the query, of the first key, of the query's own, of "
             "3 neighbours on each side, and the entropy's share of the largest there could be."},
        [](auto& s) -> auto& { return s.detect; }));
    rows.push_back(from_weights_row());
    add_run(rows, "the table as CSV");
    return rows;
  }();
  return table;
}

const Table<LookRequest>& topk_table() {
  static const Table<L> table = [] {
    Table<L> rows;
    rows.push_back(own_row("topk-number", "number", 'n', "N"));
    rows.push_back(own_row("topk-by", "by", 0, "WHAT"));
    rows.push_back(own_row("topk-min", "min", 0, "W"));
    rows.push_back(own_row("topk-mass", "mass", 0, "M"));
    rows.push_back(own_row("topk-no-self", "no-self", 0, ""));
    rows.push_back(own_row("topk-form", "to", 0, "FORM"));
    rows.push_back(from_weights_row());
    add_run(rows, "the table");
    return rows;
  }();
  return table;
}

}  // namespace attn::request

// The option table of `attn bench`.
#include "request/bench_request.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace attn::request {

namespace {

using B = BenchRequest;

void add_shapes(Table<B>& t) {
  const std::string group = "Shapes";
  t.push_back(
      row<B>({.name = "shape",
              .metavar = "SHAPE",
              .group = group,
              .help = "B,H,q_len,kv_len,head_dim[,value_dim] (default: a table of standard shapes)",
              .details = "Batch entries, query heads, queries, keys, features of a query and a key, features of a value."},
             [](auto& s) -> auto& { return s.shape; }));
  t.push_back(
      row<B>({.name = "packed", .group = group, .help = "heads lie side by side in a row instead of one behind the other"},
             [](auto& s) -> auto& { return s.packed; }));
  t.push_back(row<B>({.name = "seed", .metavar = "N", .group = group, .help = "another seed gives other random inputs"},
                     [](auto& s) -> auto& { return s.seed; }));
}

void add_timing(Table<B>& t) {
  const std::string group = "Timing";
  t.push_back(row<B>({.name = "repeat",
                      .metavar = "N",
                      .group = group,
                      .help = "timed runs (default: as many as fit a second, at least 3)",
                      .details = "A run goes from query, key and value in memory to the output in memory."},
                     [](auto& s) -> auto& { return s.repeat; }));
  t.push_back(row<B>({.name = "warmup", .metavar = "N", .group = group, .help = "runs before them that are not timed"},
                     [](auto& s) -> auto& { return s.warmup; }));
}

/// The rows that `attn run` has: an option exists in one place.
void add_shared(Table<B>& t) {
  constexpr std::array<std::string_view, 18> shared{
      "score", "scale",     "temperature", "softcap",  "normalize", "causal", "window", "query-offset", "alibi",
      "rope",  "rope-base", "rope-dim",    "kv-heads", "dtype",     "engine", "isa",    "threads",      "max-memory"};
  Table<RunRequest> chosen;
  for (const Row<RunRequest>& r : run_table()) {
    if (std::ranges::find(shared, r.option.name) != shared.end()) chosen.push_back(r);
  }
  append(t, chosen, [](auto& s) -> auto& { return s.run; });
}

}  // namespace

const Table<BenchRequest>& bench_table() {
  static const Table<BenchRequest> table = [] {
    Table<B> rows;
    add_shapes(rows);
    add_timing(rows);
    add_shared(rows);
    rows.push_back(row<B>({.name = "to", .metavar = "FORMAT", .group = "Output", .help = "for people or for programs"},
                          [](auto& s) -> auto& { return s.to; }));
    append_common(rows);
    return rows;
  }();
  return table;
}

}  // namespace attn::request

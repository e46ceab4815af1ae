// The option table of `attn linear`: its own rows, and those of attn run that a recurrence takes.
#include "request/linear_request.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace attn::request {

namespace {

using Linear = LinearRequest;

constexpr const char* kRecurrence = "Recurrence";

/// What attn run has and a recurrence has too, before its own rows and behind them.
constexpr std::array<std::string_view, 6> kInputRows{"X", "query", "key", "value", "ids", "nan"};
constexpr std::array<std::string_view, 10> kOthers{"output", "report", "heads",   "kv-heads",   "dtype",
                                                   "engine", "isa",    "threads", "max-memory", "dry-run"};

template <std::size_t N>
void take(Table<Linear>& t, const std::array<std::string_view, N>& names) {
  Table<RunRequest> rows;
  for (const Row<RunRequest>& r : run_table()) {
    if (std::ranges::find(names, r.option.name) == names.end()) continue;
    rows.push_back(r);
    if (r.option.name != "scale") continue;
    rows.back().option.group = kRecurrence;
    rows.back().option.help = "factor of the output (0: 1/sqrt(head_dim))";
    rows.back().option.fallback = "1/sqrt(head_dim)";
  }
  append(t, rows, [](auto& s) -> auto& { return s.run; });
}

void add_linear_rows(Table<Linear>& t) {
  t.push_back(row<Linear>(
      {.name = "rule",
       .metavar = "RULE",
       .group = kRecurrence,
       .help = "how a token with key k and value v changes the state S",
       .details =
           "linear: S + k v^T. gated: diag(exp(decay)) S + k v^T. delta: S + beta k (v - S^T k)^T. gated-delta: the same after S "
           "was decayed. The output is scale * S^T q.",
       .fallback = "by --decay and --beta"},
      [](auto& s) -> auto& { return s.rule; }));
  t.push_back(row<Linear>(
      {.name = "decay",
       .metavar = "F",
       .group = kRecurrence,
       .help = "logarithms of the factors that the state decays by: [batch, length, kv_heads * head_dim] or [.., kv_heads]",
       .details =
           "One for each feature of the keys, or one for each head, or [.., 1] for all alike; or [batch, kv_heads, length, "
           "head_dim or 1]. Axes of 1 are repeated, and leading ones may be left out."},
      [](auto& s) -> auto& { return s.decay; }));
  t.push_back(
      row<Linear>({.name = "beta",
                   .metavar = "F",
                   .group = kRecurrence,
                   .help = "rates of the delta rule: [batch, length, kv_heads] or [.., 1]",
                   .details = "Or [batch, kv_heads, length, 1]. Axes of 1 are repeated, and leading ones may be left out."},
                  [](auto& s) -> auto& { return s.beta; }));
  t.push_back(row<Linear>({.name = "past-state",
                           .metavar = "F",
                           .group = kRecurrence,
                           .help = "the state before the first token: [batch, kv_heads, head_dim, value_dim] (default: zeros)"},
                          [](auto& s) -> auto& { return s.past_state; }));
  t.push_back(row<Linear>({.name = "present-state",
                           .metavar = "F",
                           .group = kRecurrence,
                           .help = "writes the state after the last token: the next step's --past-state"},
                          [](auto& s) -> auto& { return s.present_state; }));
}

}  // namespace

const Table<LinearRequest>& linear_table() {
  static const Table<LinearRequest> table = [] {
    Table<LinearRequest> rows;
    take(rows, kInputRows);
    add_linear_rows(rows);
    take(rows, std::array<std::string_view, 1>{"scale"});
    take(rows, kOthers);
    append(rows, reading_table(), [](auto& s) -> auto& { return s.run.reading; });
    append(rows, writing_table(), [](auto& s) -> auto& { return s.run.writing; });
    append_common(rows);
    return rows;
  }();
  return table;
}

}  // namespace attn::request

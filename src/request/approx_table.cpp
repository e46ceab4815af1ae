// The option table of `attn approx`.
#include "request/approx_request.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>

namespace attn::request {

namespace {

using A = ApproxRequest;
constexpr const char* kGroup = "Approximations";

/// Rows of `attn run` that name outputs or choose an engine.
constexpr std::array<std::string_view, 14> kLeftOut{"approx",       "output", "weights", "weights-form", "scores",
                                                    "scores-stage", "lse",    "combine", "present-key",  "present-value",
                                                    "engine",       "ids",    "key-ids", "report"};

/// "window[:REACH] (256): only keys near the query's position."
std::string list_of_methods() {
  std::string text;
  for (const approx::Method* method : approx::methods()) {
    text += fmt::format("{}{}", text.empty() ? "" : " ", method->name);
    for (const approx::Parameter& p : method->parameters) text += fmt::format("[:{}]", p.name);
    text += fmt::format(": {}", method->summary);
    for (const approx::Parameter& p : method->parameters) text += fmt::format("; {}: {} ({})", p.name, p.meaning, p.fallback);
    text += ".";
  }
  return text;
}

void add_own(Table<A>& t) {
  t.push_back(row<A>({.name = "methods",
                      .metavar = "LIST",
                      .group = kGroup,
                      .help = "NAME[:SETTING],... (default: all methods that apply)",
                      .details = list_of_methods()},
                     [](auto& s) -> auto& { return s.methods; }));
  t.push_back(row<A>({.name = "sample",
                      .metavar = "N",
                      .group = kGroup,
                      .help = "take the exact answer of N random queries only, where that of all is too dear",
                      .details = "Errors are over these queries, and the time of exact attention is what theirs says of all. The "
                                 "methods compute all queries in any case."},
                     [](auto& s) -> auto& { return s.sample; }));
  t.push_back(row<A>({.name = "seed", .metavar = "N", .group = kGroup, .help = "another seed samples other queries"},
                     [](auto& s) -> auto& { return s.seed; }));
  t.push_back(
      row<A>({.name = "target-error",
              .metavar = "E",
              .group = kGroup,
              .help = "look for each method's cheapest setting with a relative output error of at most E",
              .details = "By halving along the method's settings, from the coarsest to the most exact one, which is shown "
                         "where none meets E."},
             [](auto& s) -> auto& { return s.target_error; }));
  t.push_back(row<A>({.name = "repeat",
                      .metavar = "N",
                      .group = kGroup,
                      .help = "timed runs of each, of which the fastest counts (default: as many as fit 0.2 s, at most 10)"},
                     [](auto& s) -> auto& { return s.repeat; }));
  t.push_back(row<A>({.name = "output",
                      .letter = 'o',
                      .metavar = "F",
                      .group = kGroup,
                      .help = "the output of the one method asked for, in the layout of the query",
                      .writes = true},
                     [](auto& s) -> auto& { return s.output; }));
  t.push_back(row<A>(
      {.name = "plot", .metavar = "F", .group = kGroup, .help = "a picture of error against time (PNG, SVG)", .writes = true},
      [](auto& s) -> auto& { return s.plot; }));
  t.push_back(row<A>({.name = "to", .metavar = "FORMAT", .group = kGroup, .help = "the table for people or for programs"},
                     [](auto& s) -> auto& { return s.to; }));
  t.push_back(
      row<A>({.name = "report", .metavar = "F", .group = kGroup, .help = "writes the table as JSON as well", .writes = true},
             [](auto& s) -> auto& { return s.report; }));
}

}  // namespace

const Table<ApproxRequest>& approx_table() {
  static const Table<ApproxRequest> table = [] {
    Table<A> rows;
    add_own(rows);
    Table<RunRequest> chosen;
    for (const Row<RunRequest>& r : run_table()) {
      const bool is_left_out = std::ranges::find(kLeftOut, r.option.name) != kLeftOut.end();
      if (!is_left_out && r.option.group != "Writing files" && r.option.group != kWatchGroup) chosen.push_back(r);
    }
    append(rows, chosen, [](auto& s) -> auto& { return s; });
    return rows;
  }();
  return table;
}

}  // namespace attn::request

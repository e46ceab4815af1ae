// The option table of `attn sweep`: one row for each option.
#include "sweep/sweep.hpp"

namespace attn::sweep {

namespace {

using request::row;
using request::Table;

constexpr const char* kRuns = "Runs";
constexpr const char* kRunning = "Running";

void add_runs(Table<SweepRequest>& t) {
  t.push_back(row<SweepRequest>(
      {.name = "SPEC",
       .metavar = "F",
       .group = kRuns,
       .help = "a TOML file: [run], [grid], [[case]], [keep], [compare]; or behind -- a command with its options",
       .details =
           "[run] has options of attn run by their long names (command = \"layer\" takes another command), [grid] lists of "
           "values of which every combination is run, each [[case]] a further run. Names of input files are relative to "
           "the file. [keep] names what each run writes: output = \"{id}.npy\"; {number} and options, {score}, stand in "
           "names too. [compare] has with = \"expected.npy\", or a case is the baseline = true; rtol and atol.",
       .positional = true},
      [](auto& s) -> auto& { return s.spec; }));
  t.push_back(row<SweepRequest>({.name = "grid",
                                 .metavar = "OPTION=VALUES",
                                 .group = kRuns,
                                 .help = "values that an option is run with: score=dot,cosine or heads=1..8",
                                 .repeated = true},
                                [](auto& s) -> auto& { return s.grid; }));
  t.push_back(row<SweepRequest>({.name = "keep",
                                 .metavar = "WHAT=NAME",
                                 .group = kRuns,
                                 .help = "what each run leaves in DIR: output={id}.npy",
                                 .repeated = true},
                                [](auto& s) -> auto& { return s.keep; }));
  t.push_back(row<SweepRequest>(
      {.name = "compare",
       .metavar = "F",
       .group = kRuns,
       .help = "compare every output with this array",
       .details = "Into the ledger come largest differences, root mean square, cosine, and same_argmax: the share of rows whose "
                  "largest number stands in the same column."},
      [](auto& s) -> auto& { return s.compare; }));
  t.push_back(row<SweepRequest>(
      {.name = "output",
       .letter = 'o',
       .metavar = "DIR",
       .group = kRuns,
       .help = "the folder of the sweep: runs.jsonl with a line for each run, summary.csv, and what runs leave",
       .details = "A second call with the same folder runs what is missing. A run is known by its options and by what is in its "
                  "input files: where these change it is another run."},
      [](auto& s) -> auto& { return s.folder; }));
}

void add_running(Table<SweepRequest>& t) {
  t.push_back(row<SweepRequest>({.name = "jobs",
                                 .letter = 'j',
                                 .metavar = "N",
                                 .group = kRunning,
                                 .help = "runs at a time, which share the cores (0: as many as cores)",
                                 .details = "Results are the same bytes for any number."},
                                [](auto& s) -> auto& { return s.jobs; }));
  t.push_back(row<SweepRequest>({.name = "shard",
                                 .metavar = "I/N",
                                 .group = kRunning,
                                 .help = "only part I of N, with a ledger of its own; --summary puts the parts together",
                                 .details = "Parts may be counted from 0 or from 1: 0/4 and 4/4 are the same one."},
                                [](auto& s) -> auto& { return s.shard; }));
  t.push_back(row<SweepRequest>({.name = "retry-failed", .group = kRunning, .help = "run again what failed before"},
                                [](auto& s) -> auto& { return s.retry_failed; }));
  t.push_back(row<SweepRequest>(
      {.name = "dry-run", .group = kRunning, .help = "list the runs with expected bytes and seconds, and run none"},
      [](auto& s) -> auto& { return s.dry_run; }));
  t.push_back(row<SweepRequest>(
      {.name = "summary", .metavar = "DIR", .group = kRunning, .help = "make DIR/summary.csv again from the ledgers in DIR"},
      [](auto& s) -> auto& { return s.summary; }));
}

}  // namespace

const Table<SweepRequest>& sweep_table() {
  static const Table<SweepRequest> table = [] {
    Table<SweepRequest> rows;
    add_runs(rows);
    add_running(rows);
    request::append_common(rows);
    return rows;
  }();
  return table;
}

}  // namespace attn::sweep

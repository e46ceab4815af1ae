// DIR/summary.csv: a table of all runs in the ledgers.
#pragma once

#include "sweep/ledger.hpp"

#include <map>
#include <string>

namespace attn::sweep {

/// One line a run, in the order of the runs' numbers: number, id, status, exit, the options that differ between runs, seconds,
/// metrics, what the comparison found, outputs, error.
[[nodiscard]] std::string summary_csv(const std::map<std::string, Json>& records);

/// Makes the table again from the ledgers in `folder`, complete or not at all. Throws Error(io) when there is no ledger, or when
/// the table cannot be written.
void write_summary(const std::string& folder);

}  // namespace attn::sweep

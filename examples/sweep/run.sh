#!/bin/sh
# Sweeps over scores and temperatures on the handwritten digits and shows how many are right, and which pair is best.
# Usage: run.sh [ATTN [DIR]]   (ATTN is the program; default: attn on the PATH; DIR keeps the ledger)
set -eu
attn=${1:-attn}
here=$(cd "$(dirname "$0")" && pwd)
work=${2:-$(mktemp -d)}
[ $# -ge 2 ] || trap 'rm -rf "$work"' EXIT

"$attn" sweep "$here/digits.toml" -o "$work" --jobs 0 --quiet

# The columns by their names, then a table of shares in percent.
awk -F, '
  NR == 1 { for (c = 1; c <= NF; c++) at[$c] = c; next }
  {
    score = $at["score"]; temperature = $at["temperature"]; right = 100 * $at["same_argmax"]
    if (!(score in seen)) { seen[score] = 1; scores[++ns] = score }
    if (!(temperature in known)) { known[temperature] = 1; temperatures[++nt] = temperature }
    share[score, temperature] = right
    if (right > best) { best = right; which = score " at temperature " temperature; support = $at["support"] }
  }
  END {
    printf "%-12s", "temperature"
    for (s = 1; s <= ns; s++) printf "%11s", scores[s]
    print ""
    for (t = 1; t <= nt; t++) {
      printf "%-12s", temperatures[t]
      for (s = 1; s <= ns; s++) printf "%10.1f%%", share[scores[s], temperatures[t]]
      print ""
    }
    printf "best: %s, %.1f %% right, looking at %.1f images\n", which, best, support
  }' "$work/summary.csv"

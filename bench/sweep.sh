#!/usr/bin/env bash
# What a run of a sweep costs: 200 small runs (64 x 64 inputs) at two jobs and at one, new and when all is done, and the same runs as
# processes of their own.
#
#   bench/sweep.sh [ATTN] [ROUNDS]
#
# ATTN is the program (default: build/release/attn), ROUNDS 5 by default; the shortest counts.
set -euo pipefail

# shellcheck source=bench/common.sh
. "$(dirname "$0")/common.sh"

use_attn "${1:-}"
rounds=${2:-5}
enter_new_folder ""
"$attn" gen --shape 64,64 --seed 1 -o x.npy
cat >spec.toml <<'END'
[run]
X = "x.npy"
[grid]
temperature = "1..100"
score = ["dot", "cosine"]
[keep]
output = "{id}.npy"
metrics = ["entropy", "support", "max"]
END
runs=200

# timed COMMAND...: sets `milliseconds`, the shortest of the rounds, for each run; fresh_folder is removed before each.
timed() {
  local round begin now
  milliseconds=""
  for ((round = 0; round < rounds; ++round)); do
    [ -z "$fresh_folder" ] || rm -rf "$fresh_folder"
    begin=$(date +%s%N)
    "$@" >log 2>&1
    now=$(echo "scale=3; ($(date +%s%N) - $begin) / 1000000 / $runs" | bc)
    milliseconds=$(shorter "$milliseconds" "$now")
  done
}

# sweep JOBS: 200 runs, each with an output and three means.
sweep() {
  "$attn" sweep spec.toml --jobs "$1" -o sweep
}

singles() {
  local score temperature
  mkdir -p singles
  for score in dot cosine; do
    for ((temperature = 1; temperature <= 100; ++temperature)); do
      "$attn" run x.npy --score $score --temperature $temperature -o singles/$score-$temperature.npy
    done
  done
}

echo "$(nproc) cores; milliseconds for each of $runs runs of 64 x 64, the shortest of $rounds"
echo
echo "| | ms a run |"
echo "|---|--:|"
for jobs in 2 1; do
  fresh_folder=sweep
  timed sweep $jobs
  [ "$(wc -l <sweep/runs.jsonl)" = $runs ] || { cat log >&2; exit 1; }
  echo "| attn sweep --jobs $jobs | $milliseconds |"
done
fresh_folder=""
timed sweep 2
echo "| called again, all done | $milliseconds |"
fresh_folder=singles
timed singles
echo "| attn run, $runs times | $milliseconds |"

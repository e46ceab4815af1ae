#!/usr/bin/env bash
# Compares writing the weights of some heads (512 MiB of 8 heads of 4,096 queries and keys) with `dd` writing as many bytes, and shows
# what the log-sum-exp and a second thread do to the time. All in turn, each the shortest of the rounds.
#
#   bench/outputs.sh [ATTN] [FOLDER] [ROUNDS] [HEADS,ROWS,FEATURES]
#
# ATTN is the program (default: build/release/attn), FOLDER where the files are made (default: a new one in /tmp), ROUNDS how often
# (default: 7), HEADS,ROWS,FEATURES the shape of queries, keys and values (default: 8,4096,64; of at least 1 MiB of weights). Each
# line: seconds by the clock, and seconds of processor time.
set -euo pipefail

# shellcheck source=bench/common.sh
. "$(dirname "$0")/common.sh"

use_attn "${1:-}"
rounds=${3:-7}
enter_new_folder "${2:-}"
seed=0
shape=${4:-8,4096,64}
IFS=, read -r heads rows _ <<<"$shape"
for name in q k v; do "$attn" gen --shape "1,$shape" --seed $((++seed)) -o $name.npy; done

mebibytes=$((heads * rows * rows / 262144))
# Memory that the system took back is slow to get again: each contender finds as much of it as the others, just given back.
settle() {
  rm -f out.npy
  dd if=/dev/zero of=settle bs=1M count=$((mebibytes + 48)) status=none
  rm -f settle
}
declare -A clock processor
order=()
# measure NAME COMMAND...
measure() {
  local name=$1 real user system
  shift
  settle
  TIMEFORMAT='%R %U %S'
  read -r real user system < <({ time "$@" >/dev/null 2>&1; } 2>&1)
  [ -n "${clock[$name]:-}" ] || order+=("$name")
  clock[$name]=$(shorter "${clock[$name]:-}" "$real")
  processor[$name]=$(shorter "${processor[$name]:-}" "$(echo "$user + $system" | bc)")
}

run=("$attn" run -q q.npy -k k.npy -v v.npy --quiet)
for ((round = 0; round < rounds; ++round)); do
  measure "dd, $mebibytes MiB" dd if=/dev/zero of=out.npy bs=1M count=$mebibytes status=none
  for threads in 1 2; do
    measure "log-sum-exp alone, threads $threads" "${run[@]}" -o none --lse l.npy --threads $threads
    measure "weights alone, threads $threads" "${run[@]}" -o none --weights out.npy --threads $threads
    measure "output alone, threads $threads" "${run[@]}" -o o.npy --threads $threads
    measure "output and log-sum-exp, threads $threads" "${run[@]}" -o o.npy --lse l.npy --threads $threads
  done
done

printf '%-40s %8s %10s\n' '' clock processor
for name in "${order[@]}"; do printf '%-40s %8s %10s\n' "$name" "${clock[$name]}" "${processor[$name]}"; done
for threads in 1 2; do
  awk -v dd="${clock["dd, $mebibytes MiB"]}" -v run="${clock["weights alone, threads $threads"]}" -v n="$threads" \
    'BEGIN { printf "weights, threads %d: the whole run at %.0f %% of the speed of dd\n", n, 100 * dd / run }'
done
awk -v one="${clock["output alone, threads 1"]}" -v two="${clock["output alone, threads 2"]}" \
  'BEGIN { printf "output, whole run: 2 threads %.2f times one\n", one / two }'
awk -v without="${processor["output alone, threads 1"]}" -v with="${processor["output and log-sum-exp, threads 1"]}" \
  'BEGIN { printf "log-sum-exp beside the output: %.1f %% of processor time\n", 100 * (with / without - 1) }'

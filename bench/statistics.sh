#!/usr/bin/env bash
# Compares statistics, strongest keys and pictures with the output alone: time, processor time and memory of one head of LENGTH
# queries and keys with 64 features. All in turn, each the shortest of the rounds. Then holds entropies to float64, and what keys
# receive to the number of queries.
#
#   bench/statistics.sh [ATTN] [LENGTH] [ROUNDS] [THREADS]
#
# ATTN is the program (default: build/release/attn), LENGTH 100000, ROUNDS 3, THREADS 2 by default.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
attn=$(realpath "${1:-$root/build/release/attn}")
length=${2:-100000}
rounds=${3:-3}
threads=${4:-2}

[ -x "$attn" ] || { echo "statistics.sh: $attn is no program; build it first (cmake --preset release && cmake --build --preset release)" >&2; exit 2; }
folder=$(mktemp -d "${TMPDIR:-/tmp}/attn-statistics.XXXXXX")
trap 'rm -rf "$folder"' EXIT
cd "$folder"
seed=0
for name in q k v; do "$attn" gen --shape "$length,64" --seed $((++seed)) -o $name.npy; done

declare -A clock processor memory
order=()
# measure NAME COMMAND...
measure() {
  local name=$1 real user system kib processor_now
  shift
  /usr/bin/time -o seconds.txt -f '%e %U %S %M' "$attn" "$@" -q q.npy -k k.npy -v v.npy --threads "$threads" --quiet
  read -r real user system kib < seconds.txt
  processor_now=$(echo "$user + $system" | bc)
  if [ -z "${clock[$name]:-}" ]; then
    order+=("$name")
    clock[$name]=$real
    processor[$name]=$processor_now
    memory[$name]=$kib
  fi
  if [ "$(echo "$real < ${clock[$name]}" | bc)" = 1 ]; then clock[$name]=$real; fi
  if [ "$(echo "$processor_now < ${processor[$name]}" | bc)" = 1 ]; then processor[$name]=$processor_now; fi
  if [ "$kib" -gt "${memory[$name]}" ]; then memory[$name]=$kib; fi
}

for ((round = 0; round < rounds; ++round)); do
  measure "output" run -o o.npy
  measure "row statistics" stats -o rows.csv
  measure "column statistics" stats --per column -o columns.csv
  measure "10 strongest keys" topk -o top.csv
  measure "10 strongest queries" topk --by column -o queries.csv
  measure "row statistics by value norm" stats --by-value-norm -o norms.csv
  measure "picture of 800 pixels" plot -o p.png
  measure "output and picture" run -o o.npy --plot-out p2.png
  cmp p.png p2.png
  measure "output, rows and strongest keys" run -o both.npy --stats-out rows2.csv --topk-out top2.csv
  cmp o.npy both.npy
  cmp rows.csv rows2.csv
  cmp top.csv top2.csv
done

printf '%-34s %8s %10s %6s %8s\n' '' clock processor times MiB
for name in "${order[@]}"; do
  printf '%-34s %8s %10s %6.2f %8d\n' "$name" "${clock[$name]}" "${processor[$name]}" \
    "$(echo "scale=3; ${clock[$name]} / ${clock[output]}" | bc)" $((memory[$name] / 1024))
done
printf '%-34s %8s\n' "the same one after another" "$(echo "${clock[output]} + ${clock["row statistics"]} + ${clock["10 strongest keys"]}" | bc)"
awk -F, -v n="$length" 'NR > 1 { sum += $4 } END { printf "received in all: %.7g of the number of queries\n", sum / n }' columns.csv

# 64 rows from the middle, every number in float64.
sampled=$((length < 64 ? length : 64))
first=$(((length - sampled) / 2))
"$attn" convert q.npy sample.npy --rows "$first..$((first + sampled - 1))"
"$attn" stats -q sample.npy -k k.npy --dtype f64 --engine reference -o sample.csv
tail -n +2 rows.csv | tail -n "+$((first + 1))" | head -n "$sampled" | paste -d, - <(tail -n +2 sample.csv) |
  awk -F, '{ d = $4 - $12; if (d < 0) d = -d; if (!(d <= worst)) worst = d } END { printf "entropy of %d rows: at most %.2g nats from float64\n", NR, worst }'

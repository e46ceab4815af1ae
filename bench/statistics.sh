#!/usr/bin/env bash
# Compares statistics, strongest keys and pictures with the output alone: time, processor time and memory of one head of LENGTH
# queries and keys with 64 features, all in turn, round by round. Then holds entropies to float64, and what keys receive to the
# number of queries.
#
#   bench/statistics.sh [ATTN] [LENGTH] [ROUNDS] [THREADS] [WHAT] [FOLDER]
#
# ATTN is the program (default: build/release/attn), LENGTH 100000, ROUNDS 3, THREADS 2 by default. WHAT is `alone` (each beside the
# output), `together` (several in one run against one after the other), `more` (by columns, by value norm), `check` (accuracy, after
# `alone`) or all of them. Rounds are remembered in FOLDER, where one is given, and medians are those of all its rounds: what takes
# long can be measured in several calls.
set -euo pipefail

# shellcheck source=bench/common.sh
. "$(dirname "$0")/common.sh"

use_attn "${1:-}"
length=${2:-100000}
rounds=${3:-3}
threads=${4:-2}
what=${5:-all}
folder=${6:-}

if [ -z "$folder" ]; then
  enter_new_folder ""
else
  mkdir -p "$folder"
  cd "$folder"
fi
seed=0
for name in q k v; do
  seed=$((seed + 1))
  [ -e $name.npy ] || "$attn" gen --shape "$length,64" --seed $seed -o $name.npy
done
touch times.tsv

wants() { [ "$what" = "$1" ] || [ "$what" = all ]; }

# measure NAME COMMAND...: a line of times.tsv with the part, the name, seconds by the clock and of the processor, KiB.
measure() {
  local name=$1 real user system kib
  shift
  /usr/bin/time -o seconds.txt -f '%e %U %S %M' "$attn" "$@" -q q.npy -k k.npy -v v.npy --threads "$threads" --quiet
  read -r real user system kib < seconds.txt
  printf '%s\t%s\t%s\t%s\t%s\n' "$part" "$name" "$real" "$(echo "$user + $system" | bc)" "$kib" >> times.tsv
}

for ((round = 0; round < rounds; ++round)); do
  if wants alone; then
    part="alone"
    measure "output" run -o o.npy
    measure "row statistics" stats -o rows.csv
    measure "column statistics" stats --per column -o columns.csv
    measure "10 strongest keys" topk -o top.csv
    measure "picture of 800 pixels, mean" plot -o p.png
    measure "picture of 800 pixels, max" plot --pool max -o max.png
  fi
  if wants together; then
    part="together"
    measure "output" run -o o.npy
    measure "row statistics" stats -o rows.csv
    measure "10 strongest keys" topk -o top.csv
    measure "picture of 800 pixels, mean" plot -o p.png
    measure "all four in one run" run -o both.npy --stats-out rows2.csv --topk-out top2.csv --plot-out p2.png
    cmp o.npy both.npy
    cmp rows.csv rows2.csv
    cmp top.csv top2.csv
    cmp p.png p2.png
  fi
  if wants more; then
    part="more"
    measure "output" run -o o.npy
    measure "10 strongest queries" topk --by column -o queries.csv
    measure "row statistics by value norm" stats --by-value-norm -o norms.csv
  fi
done

# Medians over the rounds; `times` is the median of each round's ratio to its output.
grep -m 1 'model name' /proc/cpuinfo | sed 's/.*: //' || true
awk -F'\t' '
  function median(list, count,   i, j, x) {
    for (i = 2; i <= count; ++i) {
      x = list[i]
      for (j = i - 1; j >= 1 && list[j] > x; --j) list[j + 1] = list[j]
      list[j + 1] = x
    }
    return count % 2 ? list[(count + 1) / 2] : (list[count / 2] + list[count / 2 + 1]) / 2
  }
  function of(values, key, count,   own, i) {
    for (i = 1; i <= count; ++i) own[i] = values[key, i]
    return median(own, count)
  }
  $2 == "output" { output[$1] = $3; spent[$1] = $4 }
  {
    key = $1 ": " $2
    if (!(key in rounds)) order[++names] = key
    n = ++rounds[key]
    clock[key, n] = $3; processor[key, n] = $4
    times[key, n] = $3 / output[$1]; share[key, n] = $4 / spent[$1]
    if ($5 > memory[key]) memory[key] = $5
    if ($1 == "together" && $2 == "all four in one run") { one[n] = $3 / sum; one_processor[n] = $4 / sum_processor; ones = n }
    if ($1 == "together") {
      if ($2 == "output") { sum = 0; sum_processor = 0 }
      sum += $3; sum_processor += $4
    }
  }
  END {
    printf "%-42s %6s %8s %7s %10s %7s %6s\n", "", "rounds", "clock", "times", "processor", "times", "MiB"
    for (i = 1; i <= names; ++i) {
      key = order[i]; n = rounds[key]
      printf "%-42s %6d %8.2f %7.2f %10.2f %7.2f %6d\n", key, n, of(clock, key, n), of(times, key, n), of(processor, key, n), \
        of(share, key, n), memory[key] / 1024
    }
    if (ones) printf "all four in one run, of one after the other: %.2f of the time, %.2f of the processor time\n", median(one, ones), \
      median(one_processor, ones)
  }' times.tsv

wants check || exit 0
awk -F, -v n="$length" 'NR > 1 { sum += $4 } END { printf "received in all: %.9g of the number of queries\n", sum / n }' columns.csv
# 64 rows from the middle, every number in float64.
sampled=$((length < 64 ? length : 64))
first=$(((length - sampled) / 2))
"$attn" convert q.npy sample.npy --rows "$first..$((first + sampled - 1))"
"$attn" stats -q sample.npy -k k.npy --dtype f64 --engine reference -o sample.csv
tail -n +2 rows.csv | tail -n "+$((first + 1))" | head -n "$sampled" | paste -d, - <(tail -n +2 sample.csv) |
  awk -F, '{ d = $4 - $12; if (d < 0) d = -d; if (!(d <= worst)) worst = d } END { printf "entropy of %d rows: at most %.2g nats from float64\n", NR, worst }'

#!/usr/bin/env bash
# How many times faster than the exact engine approximations are, and how far off: one head of LENGTH queries and keys with 64
# features, normal random numbers; `causal` and `peaked` (temperature 0.1, where few keys of a query matter) besides. The exact answer
# and all methods in turn, each the shortest of the rounds.
#
#   bench/approximations.sh [ATTN] [LENGTH] [ROUNDS] [THREADS] [PART]
#
# ATTN is the program (default: build/release/attn), LENGTH 32768, ROUNDS 3, THREADS 2 by default; PART is plain, causal, peaked or all
# of them. Ends with status 1 when, at a LENGTH of 32768 or more, linear attention is not 25 times as fast as the exact engine, a window
# of 512 not 20 times, int8 not 1.5 times, or a mass of 0.99 of peaked inputs not 3 times.
set -euo pipefail

# shellcheck source=bench/common.sh
. "$(dirname "$0")/common.sh"

use_attn "${1:-}"
length=${2:-32768}
rounds=${3:-3}
threads=${4:-2}
part=${5:-all}
enter_new_folder ""
seed=0
for name in q k v; do "$attn" gen --shape "$length,64" --seed $((++seed)) -o $name.npy; done

declare -A seconds error
order=()
# take KIND: the shortest seconds of each method in table.csv.
take() {
  local method setting time rest name
  while IFS=, read -r method setting time rest; do
    [ "$method" != method ] || continue
    name="$1$method${setting:+:$setting}"
    if [ -z "${seconds[$name]:-}" ]; then
      order+=("$name")
      error[$name]=$(cut -d, -f3 <<< "$rest")
    fi
    seconds[$name]=$(shorter "${seconds[$name]:-}" "$time")
  done < table.csv
}

# run PART KIND METHODS OPTION...: one round.
run() {
  local which=$1 kind=$2 methods=$3
  shift 3
  if [ "$part" != all ] && [ "$part" != "$which" ]; then return; fi
  "$attn" approx -q q.npy -k k.npy -v v.npy --threads "$threads" --methods "$methods" "$@" --to csv > table.csv
  take "$kind"
}

for ((round = 0; round < rounds; ++round)); do
  run plain "" window:512,window:512:64,block:16,linear,features:256,nystrom:64,pool:256,int8,bf16,split
  run causal "causal " window:512,linear,features:256 --causal
  run peaked "peaked " mass:0.99,topk:64,int8 --temperature 0.1
done

printf '%-24s %10s %8s %10s\n' '' seconds times 'rel. error'
status=0
for name in "${order[@]}"; do
  kind=${name%"${name##* }"}
  times=$(awk -v a="${seconds[${kind}exact]}" -v b="${seconds[$name]}" 'BEGIN { printf "%.2f", a / b }')
  printf '%-24s %10.4f %8s %10.3g\n' "$name" "${seconds[$name]}" "$times" "${error[$name]}"
  least=0
  case $name in linear) least=25 ;; window:512:0) least=20 ;; int8) least=1.5 ;; "peaked mass:0.99") least=3 ;; esac
  if [ "$length" -ge 32768 ] && awk -v t="$times" -v l="$least" 'BEGIN { exit !(t < l) }'; then
    echo "approximations.sh: $name is $times times as fast as the exact engine (expected $least)" >&2
    status=1
  fi
done
exit $status
